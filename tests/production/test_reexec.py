"""Re-exec: the installed version takes the master's place, and nothing is lost."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.processes import count_descriptors, view
from harness.supervisors import Supervisor, run_socketd
from harness.waiting import wait_for
from socketd.master.agreement import VERSION

Supervise = Callable[..., Supervisor]

pytestmark = pytest.mark.slow


def echo(worker: str = "auto", more: str = "") -> str:
    """Return a file with one service."""
    return (
        f'[service.echo]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\nworker = "{worker}"\n'
        f"{more}\n[service.echo.workers]\nmin = 2\nmax = 8\nidle_timeout = '100ms'\n"
    )


def started(pid: int) -> str:
    """Return when a process was made: exec changes nothing of that."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_connection_under_way_outlives_the_replacement(
    supervise: Supervise, worker_kind: str
) -> None:
    """The master is the same process, its busy workers are still its children and are logged."""
    supervisor = supervise(echo(worker_kind))
    place = supervisor.place("echo")
    before = started(supervisor.pid)
    with connect(place) as connection:
        connection.sendall(b"one ")
        assert connection.recv(4) == b"one "
        busy = supervisor.server.wait_event("connection_accepted")["pid"]
        assert supervisor.replace()["event"] == "reexec_done"
        worker = view(busy)
        assert worker is not None
        assert worker.parent == supervisor.pid
        connection.sendall(b"two")
        connection.shutdown(socket.SHUT_WR)

        assert read_all(connection) == b"two"
    supervisor.server.wait_event("connection_closed", lambda line: line["pid"] == busy)
    assert started(supervisor.pid) == before
    assert exchange(place, b"hello") == b"hello"
    supervisor.server.stop()
    assert supervisor.server.events("stopped")[0]["connections"] == 2


def test_new_version_reads_the_file_anew(supervise: Supervise) -> None:
    """What has changed in the file meanwhile is in force after the replacement."""
    supervisor = supervise(echo())
    place = supervisor.place("echo")
    supervisor.rewrite(echo().replace('"cat"', '"tr a-z A-Z"'))
    supervisor.replace()

    wait_for(lambda: exchange(place, b"hello") == b"HELLO", "the new program answers")


def test_programs_are_scheduled_as_usual_after_the_replacement(
    supervise: Supervise, worker_kind: str
) -> None:
    """The master gives way to its children, before and behind the exec; they never inherit that."""
    script = "python3 -IS -c 'import os; print(os.sched_getscheduler(0))'"
    supervisor = supervise(echo(worker_kind).replace('"cat"', f'"{script}"'))
    place = supervisor.place("echo")

    for _ in range(2):
        assert [exchange(place) for _ in range(3)] == [b"%d\n" % os.SCHED_OTHER] * 3
        assert os.sched_getscheduler(supervisor.pid) == os.SCHED_BATCH
        supervisor.replace()


def test_version_that_would_not_start_is_not_put_in_our_place(supervise: Supervise) -> None:
    """If the proof fails, the old version goes on and says why in one line."""
    supervisor = supervise(echo())
    place = supervisor.place("echo")
    good = supervisor.file.read_text()
    supervisor.rewrite("[service.echo\n")
    line = supervisor.replace()

    assert line["event"] == "reexec_failed"
    assert "is not TOML" in line["reason"]
    assert exchange(place, b"hello") == b"hello"
    supervisor.rewrite(good)
    assert supervisor.replace()["event"] == "reexec_done"
    assert exchange(place, b"hello") == b"hello"
    supervisor.server.is_quiet = False


def test_snapshot_of_another_format_is_refused_by_the_proof(tmp_path: Path) -> None:
    """A version that cannot read what the running one writes says so before it is too late."""
    file = tmp_path / "services.toml"
    file.write_text(echo())
    same = run_socketd("check", "--estate-version", str(VERSION), str(file))
    other = run_socketd("check", "--estate-version", str(VERSION + 1), str(file))

    assert (same.status, same.stderr) == (0, "")
    assert other.status == 1
    assert f"reads format {VERSION}; restart the service" in other.stderr


def test_service_on_its_way_out_stays_on_it(supervise: Supervise) -> None:
    """A removed service that still has a connection keeps it, and its time to finish."""
    other = '[service.other]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\n'
    supervisor = supervise(echo(more="timeouts = { drain = '2s', kill = '1s' }") + other)
    place = supervisor.place("echo")
    supervisor.place("other")
    with connect(place) as connection:
        connection.sendall(b"one ")
        assert connection.recv(4) == b"one "
        supervisor.reload(other)
        supervisor.replace()

        assert read_all(connection) == b""  # SIGTERM when the two seconds are over
    supervisor.server.wait_event("stopped", lambda line: line["service"] == "echo")
    assert exchange(supervisor.place("other"), b"hello") == b"hello"


def test_several_replacements_in_a_row_leave_nothing_behind(
    supervise: Supervise, worker_kind: str
) -> None:
    """Descriptors and workers are as many after each as they were before the first."""
    supervisor = supervise(echo(worker_kind))
    place = supervisor.place("echo")
    assert exchange(place, b"hello") == b"hello"
    supervisor.server.wait_event("connection_closed")
    supervisor.server.wait_settled(idle=2)
    before = count_descriptors(supervisor.pid)
    for _ in range(3):
        supervisor.replace()
        assert exchange(place, b"hello") == b"hello"
        supervisor.server.wait_settled(idle=2)
        wait_for(lambda: count_descriptors(supervisor.pid) == before, "nothing is left open")


def test_stop_during_the_proof_is_a_stop(supervise: Supervise) -> None:
    """Who asks for a replacement and then for a stop gets the stop."""
    supervisor = supervise(echo())
    supervisor.place("echo")
    supervisor.server.signal(signal.SIGUSR2)
    supervisor.server.wait_event("reexec_started")
    supervisor.server.signal(signal.SIGTERM)

    assert supervisor.server.wait() == 0
    assert supervisor.server.events("reexec_done") == []
