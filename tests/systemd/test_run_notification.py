"""`socketd run` and its service manager: reloads are told from their beginning to their end."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.managers import NotifySocket
from harness.supervisors import Supervisor

pytestmark = pytest.mark.slow

FILE = '[service.echo]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\n'


@pytest.fixture
def manager() -> Iterator[NotifySocket]:
    """Lend a manager's socket."""
    with NotifySocket(f"@socketd-test-run-{os.getpid()}") as manager:
        yield manager


def step_of(message: dict[str, str]) -> str:
    """Return which step of its life a process tells of."""
    return next(iter(message))


def test_reload_good_or_bad_is_told_in_order(manager: NotifySocket, tmp_path: Path) -> None:
    """RELOADING with its time, then READY, whatever came of it; at last STOPPING."""
    file = tmp_path / "services.toml"
    file.write_text(FILE)
    supervisor = Supervisor(file, environment={"NOTIFY_SOCKET": manager.address})
    supervisor.server.is_quiet = False
    try:
        steps = [manager.receive_until("READY")[-1]]
        for text in (FILE + 'stderr = "null"\n', "nonsense"):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            supervisor.reload(text)
            began = manager.receive_until("RELOADING")[-1]
            steps += [began, manager.receive_until("READY")[-1]]
            assert before <= int(began["MONOTONIC_USEC"])
        supervisor.server.signal(signal.SIGTERM)
        steps.append(manager.receive_until("STOPPING")[-1])
        assert supervisor.server.wait() == 0
    finally:
        supervisor.server.close()

    assert [step_of(step) for step in steps] == [
        "READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING",
    ]  # fmt: skip
    assert {step["MAINPID"] for step in steps if "MAINPID" in step} == {str(supervisor.pid)}


def test_replacement_keeps_the_pid_and_the_watchdog(manager: NotifySocket, tmp_path: Path) -> None:
    """The manager is told nothing of another process, and signs of life go on coming."""
    file = tmp_path / "services.toml"
    file.write_text(FILE)
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "1000000"}
    supervisor = Supervisor(file, environment=environment)
    try:
        manager.receive_until("READY")
        supervisor.wait_ready()
        assert supervisor.replace()["event"] == "reexec_done"
        heard = [manager.receive() for _ in range(4)]
        assert any("WATCHDOG" in message for message in heard)
        pids = {message["MAINPID"] for message in heard if "MAINPID" in message}
        assert pids <= {str(supervisor.pid)}
        assert not any("STOPPING" in message for message in heard)
    finally:
        supervisor.server.close()
