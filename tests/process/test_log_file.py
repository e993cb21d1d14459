"""The log of a running server in a file that somebody rotates."""

import json
import os
import signal
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.commands import Command
from harness.servers import run_socket
from harness.waiting import wait_for

pytestmark = pytest.mark.slow

ARGUMENTS = ["-v", "-p", "cat", "-W", "1", "-B", "127.0.0.1", "-s", "0"]


@pytest.mark.parametrize("way", ["move", "copytruncate"])
def test_rotation_loses_no_line_and_needs_no_signal(way: str, tmp_path: Path) -> None:
    """What comes before it is in the former file, what comes after it in the new one."""
    path, former = tmp_path / "log", tmp_path / "log.1"
    command = Command("--log-format", "json", "--log-file", str(path), *ARGUMENTS)
    try:
        place = ("127.0.0.1", command.port)
        assert exchange(place, b"one") == b"one"
        wait_for(lambda: _count(path) == 1, "the first connection is in the log")
        if way == "move":
            path.rename(former)
        else:
            former.write_bytes(path.read_bytes())
            os.truncate(path, 0)
        assert exchange(place, b"two") == b"two"
        wait_for(lambda: path.exists() and _count(path) == 1, "the second is in the new log")
        command.signal(signal.SIGTERM)
        assert command.wait() == 0
    finally:
        command.close()

    assert _count(former) == 1
    assert json.loads(path.read_text().splitlines()[-1])["event"] == "stopped"
    assert command.stderr == f"inet: listening on port {place[1]}\n"


def _count(path: Path) -> int:
    lines = path.read_text().splitlines()
    return sum(json.loads(line)["event"] == "connection_closed" for line in lines)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--log-file", "/no/such/log"],
            "socket: cannot open the log file '/no/such/log': No such",
        ),
        (["--log-format", "journal"], "socket: cannot reach the journal at '/run/systemd/journal"),
    ],
)
def test_log_that_cannot_be_opened_refuses_the_start(options: list[str], said: str) -> None:
    """One line and exit code 71."""
    if options[1] == "journal" and os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("this machine has a journal")
    outcome = run_socket(*options, *ARGUMENTS)

    assert outcome.status == 71
    assert outcome.stderr.startswith(said)
    assert outcome.stderr.count("\n") == 1
