"""`--idle-limit` and `--first-byte-limit`: connections over which nothing goes.

The master asks the kernel and sends signals: a copy is a copy, wherever its template is held.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.processes import marked
from harness.servers import Server, run_socket
from harness.supervisors import Supervisor, run_socketd

pytestmark = [pytest.mark.slow, pytest.mark.ready("load", "relay")]

Serve = Callable[..., Server]

TCP = ("-W", "1", "-B", "127.0.0.1", "-s", "0")
IDLE = ("--idle-limit", "400ms")


def closed(server: Server) -> dict[str, object]:
    """Return how the first connection has ended."""
    return server.wait_event("connection_closed")


def test_connection_over_which_nothing_goes_is_ended(serve: Serve) -> None:
    """The log says why; what its program has started ends with it."""
    server = serve(*IDLE, "-p", "read x; sleep 1000 & sleep 1000", *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"x\n")
        assert read_all(connection) == b""

    line = closed(server)
    assert (line["status"], line["limit"]) == (-signal.SIGTERM, "idle")
    server.wait_settled(idle=1)
    assert [one for one in marked(server.mark) if one.name == "sleep"] == []


def test_connection_that_says_something_now_and_then_goes_on(serve: Serve) -> None:
    """Each byte counts, in either direction; this takes three times the limit."""
    program = "while read x; do sleep 0.2; echo $x; done"
    server = serve("--idle-limit", "1s", "-p", program, *TCP)
    with connect(server.place) as connection:
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            connection.sendall(b"x\n")
            assert connection.recv(2) == b"x\n"
    assert (closed(server)["status"], closed(server)["limit"]) == (0, None)


def test_bytes_of_the_program_alone_count(serve: Serve) -> None:
    """A client that only listens is none that is idle."""
    program = "read x; i=0; while [ $i -lt 15 ]; do echo $i; sleep 0.1; i=$((i+1)); done"
    server = serve("--idle-limit", "700ms", "-p", program, *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")
        assert len(read_all(connection).split()) == 15
    assert closed(server)["status"] == 0


def test_client_that_does_not_read_is_idle(serve: Serve) -> None:
    """However much its program would send: nothing is acknowledged any more."""
    server = serve(*IDLE, "-p", "read x; exec cat /dev/zero", *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")
        line = closed(server)
    # A relay that is told to end tries to deliver what it has.
    assert line["status"] in (-signal.SIGTERM, -signal.SIGKILL)
    assert line["limit"] == "idle"


def test_client_that_says_nothing_is_ended(serve: Serve) -> None:
    """Whoever speaks in time is left alone, also if it says nothing more."""
    limits = ("--first-byte-limit", "500ms", "-W", "2", "-B", "127.0.0.1", "-s", "0")
    server = serve(*limits, "-p", "cat", "--kill-timeout", "10s")
    with connect(server.place) as silent, connect(server.place) as other:
        other.sendall(b"x")
        assert other.recv(1) == b"x"
        assert read_all(silent) == b""
        line = closed(server)
        assert (line["status"], line["limit"]) == (-signal.SIGTERM, "first_byte")
        assert exchange(server.place, b"y") == b"y"
        other.sendall(b"z")
        assert other.recv(1) == b"z"


def test_program_that_will_not_end_is_killed(serve: Serve) -> None:
    """After --kill-timeout, and the reason is still the same."""
    program = "trap '' TERM; read x; echo up; while :; do sleep 0.1; done"
    server = serve(*IDLE, "--kill-timeout", "300ms", "-p", program, *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")
        assert read_all(connection) == b"up\n"
    line = closed(server)
    assert (line["status"], line["limit"]) == (-signal.SIGKILL, "idle")


def test_time_limit_names_itself(serve: Serve) -> None:
    """The limit that there was is one of those that the log names."""
    server = serve("--time-limit", "300ms", "-p", "cat", *TCP)
    with connect(server.place) as connection:
        assert read_all(connection) == b""
    assert closed(server)["limit"] == "time"


def test_connection_is_found_wherever_the_program_has_put_it(serve: Serve) -> None:
    """Also when 0, 1 and 2 are something else by then."""
    program = "exec 7<&0 </dev/null >/dev/null 2>/dev/null; read x <&7; exec sleep 1000"
    server = serve(*IDLE, "-p", program, *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")
        assert read_all(connection) == b""
    assert closed(server)["limit"] == "idle"


def test_connection_that_is_relayed_is_seen_too() -> None:
    """With -c, by a process of ours; with --linger, behind the program."""
    for more in (["-c"], ["--linger", "1s"]):
        server = Server([*more, *IDLE, "-p", "cat", *TCP])
        with contextlib.closing(server), connect(server.place) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            assert read_all(connection) == b""
            assert closed(server)["limit"] == "idle"


def test_connection_that_cannot_be_seen_is_told_once() -> None:
    """A program that has closed it everywhere goes on: nobody waits for it."""
    program = "read x; exec sleep 1000 </dev/null >/dev/null 2>/dev/null"
    server = Server([*IDLE, "-p", program, *TCP], is_quiet=False)
    with contextlib.closing(server):
        with connect(server.place) as connection:
            connection.sendall(b"\n")
            assert read_all(connection) == b""
        told = server.wait_event("connection_unseen")
        (sleep,) = [one for one in marked(server.mark) if one.name == "sleep"]
        assert told["pid"] == sleep.pid
        os.kill(sleep.pid, signal.SIGTERM)
        assert (closed(server)["status"], closed(server)["limit"]) == (-signal.SIGTERM, None)
        assert len(server.events("connection_unseen")) == 1


def test_limits_survive_a_reexec(tmp_path: Path) -> None:
    """The next version knows since when a connection is silent: the kernel says so."""
    file = tmp_path / "x.toml"
    file.write_text(
        '[service.x]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\n'
        '[service.x.timeouts]\nidle = "1s"\n'
    )
    supervisor = Supervisor(file)
    try:
        with connect(supervisor.place("x")) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            supervisor.replace()
            assert read_all(connection) == b""
        assert supervisor.server.wait_event("connection_closed")["limit"] == "idle"
    finally:
        supervisor.server.close()


@pytest.mark.parametrize("option", ["--idle-limit", "--first-byte-limit"])
def test_unix_socket_has_no_such_limit(option: str, tmp_path: Path) -> None:
    """The kernel counts no bytes there: rather an error than a limit that never comes."""
    done = run_socket(option, "1s", "-p", "cat", "-s", f"{tmp_path}/s")

    assert done.status == 15
    assert f"{option}: is for TCP: of a UNIX socket as {tmp_path}/s the kernel" in done.stderr


def test_fronts_have_limits_of_their_own(tmp_path: Path) -> None:
    """Nothing is limited twice, under two names."""
    file = tmp_path / "x.toml"
    file.write_text(
        '[service.x]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\nfront = "fcgi"\n'
        '[service.x.timeouts]\nidle = "1s"\nfirst_byte = "1s"\n'
    )
    told = run_socketd("check", str(file)).stderr

    assert "timeouts.first_byte: is for no front: see head_timeout" in told
    assert "timeouts.idle: is not for front fcgi: see keep_timeout, answer_timeout and " in told


def test_scgi_request_whose_body_does_not_come_is_ended() -> None:
    """Which no other limit but that of the whole connection is for."""
    server = Server(["--front", "scgi", *IDLE, "-p", "cat", *TCP])
    with contextlib.closing(server), connect(server.place) as connection:
        head = b"CONTENT_LENGTH\x00100000\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00"
        connection.sendall(b"%d:%s," % (len(head), head))
        read_all(connection)
        assert closed(server)["limit"] == "idle"
