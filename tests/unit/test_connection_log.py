"""What is said of connections waits until the service is said to be ready."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from socketd.operations import log
from socketd.workers.connection_log import ConnectionLog


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Log into a file."""
    path = tmp_path / "log"
    log.configure(log.LogFormat.JSON, log.LogLevel.WARNING, "socketd", str(path))
    yield path
    log.configure(log.LogFormat.CONSOLE, log.LogLevel.WARNING, "socketd")


def test_what_was_kept_comes_first_and_in_order(file: Path) -> None:
    """Nothing is lost, and nothing waits any more once the log is open."""
    connections = ConnectionLog()
    for status in (126, 127):
        connections.emit("command_not_run", service="s", status=status)
    connections.emit("worker_failed", service="s", worker=1, reason="not of this level")
    assert file.read_text() == ""

    connections.open()
    connections.emit("command_not_run", service="s", status=128)
    connections.open()

    statuses = [line.split('"status": ')[1][:3] for line in file.read_text().splitlines()]
    assert statuses == ["126", "127", "128"]
