"""`--linger`: a small parent stays behind the program, so that its answer arrives.

Copies that were held while they read and such that were held while they were stopped go on alike.
"""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import Place, connect, dribbling, exchange, read_all
from harness.processes import marked
from harness.sanitized import IS_WANTED
from harness.servers import Server
from harness.waiting import wait_for
from socketd.system.products import ZYGOTE as EXECUTABLE

pytestmark = [pytest.mark.slow, pytest.mark.ready("load", "read", "relay")]

Serve = Callable[..., Server]

TCP = ("-B", "127.0.0.1", "-s", "0")
ANSWER = 200_000
# It reads one line, byte by byte, as a program at the level `read` has to, and nothing else.
UNINTERESTED = f"read -r x; exec head -c {ANSWER} /dev/zero"


def ask_rudely(place: Place) -> int:
    """Send a megabyte before looking, if there is room for it; return how much comes to an end."""

    def send() -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b"\n" + bytes(1_000_000))

    with connect(place) as connection:
        sender = threading.Thread(target=send)
        sender.start()
        try:
            if connection.family != socket.AF_UNIX:  # which has no room
                sender.join()
            return len(read_all(connection))
        finally:
            sender.join()


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_answer_of_a_program_that_does_not_read_is_whole(
    serve: Serve, tmp_path: Path, family: str
) -> None:
    """The connection ends, and is not reset, whatever the client has sent that nobody read."""
    place = TCP if family == "tcp" else ("-s", f"{tmp_path}/s")
    server = serve("--linger", "2s", "-W", "2", "-p", UNINTERESTED, *place)

    assert [ask_rudely(server.place) for _ in range(30)] == [ANSWER] * 30


def test_answer_through_a_translating_relay_is_whole_too() -> None:
    """Which stays behind its program by itself."""
    server = Server(["-c", "--linger", "2s", "-W", "2", "-p", UNINTERESTED, *TCP])
    with contextlib.closing(server):
        assert [ask_rudely(server.place) for _ in range(30)] == [ANSWER] * 30


def test_client_that_goes_on_sending_is_let_go(serve: Serve) -> None:
    """The time is one in all; a byte now and then does not put it off."""
    server = serve("--linger", "300ms", "-W", "1", "-p", "read -r x; echo done", *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")
        with dribbling(connection, bytes(100_000)):
            assert server.wait_statuses(1) == [0]


def test_client_that_closes_is_not_waited_for(serve: Serve) -> None:
    """With an hour to linger, a connection is over when both sides have said so."""
    server = serve("--linger", "1h", "-W", "1", "-p", "read -r x; echo done", *TCP)

    assert exchange(server.place, b"\nrest") == b"done\n"
    assert server.wait_statuses(1) == [0]


# A script that is held must not name $$, which would be its template's.
OWN_PID = "read -r pid rest < /proc/self/stat"


@pytest.mark.parametrize(
    ("order", "status"), [("exit 3", 3), (f"exec sh -c '{OWN_PID}; kill -KILL $pid'", -9)]
)
def test_status_is_the_program_s(serve: Serve, order: str, status: int) -> None:
    """The log says how the program has ended, and the time that it took of the processor."""
    program = f"read -r x; i=0; while test $i -lt 30000; do i=$((i + 1)); done; {order}"
    server = serve("--linger", "2s", "-W", "1", "-p", program, *TCP)

    exchange(server.place, b"\n")
    closed = server.wait_event("connection_closed")

    assert closed["status"] == status
    assert closed["cpu_s"] > 0.005


def test_program_has_its_last_word_after_a_signal_to_the_group(serve: Serve) -> None:
    """What ends a connection from outside reaches the program, and once; its end is waited for."""
    program = "trap 'echo bye; exit 7' TERM; read -r x; echo up; sleep 1000 > /dev/null 2>&1 & wait"
    server = serve("--linger", "2s", "--time-limit", "1s", "-W", "1", "-p", program, *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")

        assert read_all(connection) == b"up\nbye\n"
    assert server.wait_statuses(1) == [7]


def test_signal_to_the_worker_is_the_program_s(serve: Serve) -> None:
    """Whoever knows the process of a connection by the log reaches what serves it."""
    program = (
        "trap 'echo heard; kill $!; exit' USR1; read -r x; "
        "sleep 1000 > /dev/null 2>&1 & echo up; wait"
    )
    server = serve("--linger", "2s", "-W", "1", "-p", program, *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")
        assert connection.recv(100) == b"up\n"
        os.kill(server.wait_event("connection_accepted")["pid"], signal.SIGUSR1)
        assert connection.recv(100) == b"heard\n"


def test_program_does_not_outlive_a_worker_that_is_killed(serve: Serve) -> None:
    """As without a parent, SIGKILL for the process in the log is the program's end."""
    server = serve("--linger", "2s", "-W", "1", "-p", "read -r x; echo up; exec sleep 1000", *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")
        assert connection.recv(100) == b"up\n"
        os.kill(server.wait_event("connection_accepted")["pid"], signal.SIGKILL)

        assert server.wait_statuses(1) == [-9]
        wait_for(
            lambda: not [one for one in marked(server.mark) if one.name == "sleep"],
            "the program has ended as well",
        )


def test_stop_does_not_wait_for_a_client_to_close(serve: Serve) -> None:
    """When connections are ended, those that only wait for their client end at once."""
    server = serve(
        "--linger", "1h", "--drain-timeout", "100ms", "-W", "1", "-p", "read -r x; exit 5", *TCP
    )
    with connect(server.place) as connection:
        connection.sendall(b"\n")
        assert connection.recv(100) == b""

        assert server.stop() == 0
    assert server.wait_statuses(1) == [5]


def private_kib(proc: Path) -> int:
    """Return how much memory that it has written to a process shares with nobody."""
    lines = (proc / "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))


def open_files(proc: Path) -> set[str]:
    """Return what the descriptors of a process lead to; some may be closed meanwhile."""
    found = set()
    for one in (proc / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(one))
    return found


def has_only_a_socket(proc: Path) -> bool:
    """Tell whether a keeper has nothing open but a socket, and what tells it of signals."""
    files = open_files(proc) - {"anon_inode:[signalfd]"}
    return len(files) == 1 and files.pop().startswith("socket:")


def test_parent_is_small_and_has_the_connection_only(serve: Serve, worker_kind: str) -> None:
    """It keeps neither memory nor descriptors of the program."""
    server = serve("--linger", "2s", "-W", "1", "-p", "read -r x; echo up; exec sleep 1000", *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")
        assert connection.recv(100) == b"up\n"
        proc = Path("/proc") / str(server.wait_event("connection_accepted")["pid"])
        most_kib = 10_000 if worker_kind == "python" else 400
        if worker_kind in ("load", "read") and not IS_WANTED:
            wait_for(lambda: os.readlink(proc / "exe") == EXECUTABLE, "it is our own program")
            # In the middle of an exec a process has its program, and no arguments yet.
            name = proc / "cmdline"
            wait_for(lambda: name.read_bytes() == b"socketd-keeper\0", "it is called so")
        if worker_kind != "relay":  # which is itself what stays behind, with its pipes
            # What it goes on with comes by a pipe, which it has for a moment.
            wait_for(lambda: has_only_a_socket(proc), "it has nothing but the connection")
        wait_for(lambda: private_kib(proc) < most_kib, "it has little memory of its own")
        os.kill(int(proc.name), signal.SIGKILL)


def test_nobody_stays_behind_without_the_option(serve: Serve, worker_kind: str) -> None:
    """The process in the log is the program itself."""
    if worker_kind == "relay":
        return
    program = f"read -r x; exec sh -c '{OWN_PID}; echo $pid; read -r x'"
    server = serve("-W", "1", "-p", program, *TCP)
    with connect(server.place) as connection:
        connection.sendall(b"\n")

        assert int(connection.recv(100)) == server.wait_event("connection_accepted")["pid"]


@pytest.mark.ready
def test_program_that_cannot_be_run_is_told_of_all_the_same(serve: Serve, tmp_path: Path) -> None:
    """Step and reason reach the master past the parent."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    common = ("--linger", "2s", "--ready", "fork", "-W", "1", *TCP)
    server = serve("-p", str(program), *common, is_quiet=False)
    place = server.place
    program.unlink()

    assert exchange(place) == b""
    reason = server.wait_event("worker_failed")["reason"]
    assert "its program could not be run (exit status 127): exec: " in reason
