"""The end of a service: the queue is served, connections finish, nothing is left."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.processes import marked
from harness.servers import SOCKET, Server
from harness.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.ready("load", "read", "stop", "relay")]

Serve = Callable[..., Server]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_of_an_idle_pool_exits_zero_and_leaves_nothing(
    serve: Serve, number: signal.Signals, tmp_path: Path
) -> None:
    """SIGTERM and SIGINT end an idle pool at once, with its pid file."""
    pid_file = tmp_path / "pid"
    server = serve("-p", "cat", "-W", "4", "-B", "localhost", "-s", "0", "--pidfile", str(pid_file))
    server.wait_settled(idle=4)
    assert int(pid_file.read_text()) == server.pid

    server.signal(number)

    assert server.wait() == 0
    assert marked(server.mark) == []
    assert not pid_file.exists()
    assert server.events("stopped")[0]["connections"] == 0


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_what_the_kernel_has_queued_is_served_before_the_end(
    serve: Serve, family: str, tmp_path: Path
) -> None:
    """Connections made before the stop are answered, though no worker had accepted them."""
    where = ["-B", "localhost", "-s", "0"] if family == "tcp" else ["-s", f"{tmp_path}/s"]
    server = serve("-p", "cat", "--strategy", "fixed", "-W", "1", *where)
    place = server.place
    first = connect(place)
    server.wait_event("connection_accepted")
    queued = [connect(place) for _ in range(20)]

    server.signal(signal.SIGTERM)
    server.wait_event("stopping")
    first.close()

    for number, connection in enumerate(queued):
        with connection:
            connection.sendall(b"%d" % number)
            connection.shutdown(1)
            assert read_all(connection) == b"%d" % number
    assert server.wait() == 0


def test_client_that_comes_during_the_stop_is_served_by_the_next_server(serve: Serve) -> None:
    """A SYN that arrives while the service drains is not answered, so the next start gets it."""
    server = serve("-p", "cat", "-W", "1", "-B", "localhost", "-s", "0")
    place = server.place
    with connect(place) as busy:
        server.wait_event("connection_accepted")
        blocked = serve("-p", "cat", "--strategy", "fixed", "-W", "1", "-B", "localhost", "-s", "0")
        other = blocked.place
        with connect(other) as holding:
            blocked.wait_event("connection_accepted")
            with connect(other) as queued:
                blocked.signal(signal.SIGTERM)
                blocked.wait_event("stopping")
                late = socket.socket()
                late.setblocking(False)
                late.connect_ex(other)
                holding.close()
                queued.shutdown(1)
                assert read_all(queued) == b""
            assert blocked.wait() == 0
        again = serve("-p", "cat", "-W", "1", "-B", "localhost", "-s", str(other[1]))
        assert again.place == other
        late.setblocking(True)
        late.settimeout(20)
        late.sendall(b"late")
        late.shutdown(1)
        assert read_all(late) == b"late"
        late.close()
        busy.shutdown(1)


def test_busy_connection_finishes_within_the_drain_time(serve: Serve) -> None:
    """A stop waits for a connection that is under way."""
    server = serve("-p", "cat", "-W", "2", "-B", "localhost", "-s", "0")
    with connect(server.place) as connection:
        server.wait_event("connection_accepted")
        server.signal(signal.SIGTERM)
        server.wait_event("stopping")

        connection.sendall(b"still here")
        connection.shutdown(1)

        assert read_all(connection) == b"still here"
    assert server.wait() == 0


@pytest.mark.ready("load", "stop", "relay")
def test_connection_beyond_the_drain_time_is_terminated(serve: Serve) -> None:
    """After --drain-timeout the program's whole process group gets SIGTERM."""
    server = serve(
        "-p", "sleep 1000 & sleep 1000", "-W", "1", "-B", "localhost", "-s", "0",
        "--drain-timeout", "200ms",
    )  # fmt: skip
    with connect(server.place):
        server.wait_event("connection_accepted")

        assert server.stop() == 0

    assert server.wait_statuses(1) == [-signal.SIGTERM]
    assert marked(server.mark) == []


@pytest.mark.ready("load", "stop", "relay")
def test_program_that_ignores_sigterm_is_killed(serve: Serve, tmp_path: Path) -> None:
    """What survives SIGTERM gets SIGKILL after --kill-timeout, children included."""
    started = tmp_path / "started"
    server = serve(
        "-p", f"trap '' TERM; : > {started}; sleep 1000; sleep 1000", "-W", "1",
        "-B", "localhost", "-s", "0", "--drain-timeout", "1ms", "--kill-timeout", "300ms",
    )  # fmt: skip
    with connect(server.place):
        server.wait_event("connection_accepted")
        wait_for(started.exists, "the trap is set")

        assert server.stop() == 0

    assert server.wait_statuses(1) == [-signal.SIGKILL]
    assert marked(server.mark) == []


def test_second_signal_hastens_the_stop(serve: Serve) -> None:
    """A second SIGTERM ends connections long before the drain time-out."""
    server = serve("-p", "cat", "-W", "1", "-B", "localhost", "-s", "0", "--drain-timeout", "1h")
    with connect(server.place) as connection:
        server.wait_event("connection_accepted")
        server.signal(signal.SIGTERM)
        server.wait_event("stopping")

        server.signal(signal.SIGTERM)

        assert read_all(connection) == b""
        assert server.wait() == 0


def test_idle_master_does_not_wake_up(serve: Serve) -> None:
    """While nothing happens the master's context switches do not increase."""
    server = serve("-p", "cat", "-W", "2", "-B", "localhost", "-s", "0", "--idle-timeout", "50ms")
    exchange(server.place, b"once")
    server.wait_settled(idle=2)
    wait_for(lambda: _state(server.pid) == "S", "asleep")

    before = _switches(server.pid)
    time.sleep(0.5)  # the fact under test is what happens in this time: nothing

    assert _switches(server.pid) == before


def test_server_without_workers_option_keeps_the_classic_exit_code() -> None:
    """Without -W a signal ends in 256 minus its number, with the classic words."""
    for number, text in (
        (signal.SIGTERM, "\nTermination signal occured, exiting\n"),
        (signal.SIGINT, "\nInterrupt occured, exiting\n"),
        (signal.SIGHUP, "\nHangup signal occured, exiting\n"),
    ):
        with subprocess.Popen(
            [SOCKET, "-s", "-v", "-l", "-f", "-p", "cat", "-B", "127.0.0.1", "0"],
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            assert process.stderr.readline().startswith("inet: listening on port ")
            process.send_signal(number)
            assert process.stderr.read() == text
            assert process.wait() == 256 - number


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def _switches(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return int(file.read().partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def test_stop_removes_only_its_own_unix_path(serve: Serve, tmp_path: Path) -> None:
    """A path that somebody else has taken over in the meantime is left alone."""
    path = tmp_path / "s"
    server = serve("-p", "cat", "-W", "1", "-s", str(path))
    assert exchange(server.place, b"x") == b"x"
    os.unlink(path)
    path.write_text("somebody else's")

    assert server.stop() == 0

    assert path.read_text() == "somebody else's"


@pytest.mark.usefixtures("reachable")
@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)
def test_ordinary_user_stops_as_cleanly_as_root(serve: Serve) -> None:
    """Where the kernel refuses the filter, the queue is served all the same."""
    rights = "+dac_override"
    server = serve(
        "-p", "cat", "--strategy", "fixed", "-W", "1", "-B", "localhost", "-s", "0",
        prefix=["setpriv", "--reuid=54321", "--clear-groups",
                f"--inh-caps={rights}", f"--ambient-caps={rights}"],
    )  # fmt: skip
    place = server.place
    with connect(place) as first, connect(place) as queued:
        server.wait_event("connection_accepted")
        queued.sendall(b"queued")
        queued.shutdown(1)

        server.signal(signal.SIGTERM)
        server.wait_event("stopping")
        first.close()

        assert read_all(queued) == b"queued"
    assert server.wait() == 0


def test_signal_before_the_loop_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM while the first workers start ends cleanly, path and pid file removed."""
    path, pid_file = tmp_path / "s", tmp_path / "pid"
    for _ in range(12):
        process = subprocess.Popen(
            [SOCKET, "-p", "cat", "-W", "2", "-s", str(path), "--pidfile", str(pid_file)],
            stderr=subprocess.PIPE,
        )
        wait_for(path.exists, "the path is there")

        process.terminate()
        _, errors = process.communicate(timeout=10)

        assert (process.returncode, errors) == (0, b"")
        assert not path.exists()
        assert not pid_file.exists()
