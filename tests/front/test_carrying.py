"""What a CGI program has for input and output by SCGI, and what its client's leaving does."""

import contextlib
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from harness import scgi
from harness.clients import connect, read_all
from harness.servers import Server
from harness.waiting import wait_for
from socketd.system.products import is_built

from .conftest import Script

pytestmark = pytest.mark.slow

Serve = Callable[..., Server]

HEAD = r"printf 'Content-Type: text/plain\r\n\r\n'"
LEVELS = ("fork", "load")
FOLDERS: dict[str, str] = {}  # of the programs of each server
LARGE = 300_000  # more than a pipe has room for

levels = pytest.mark.parametrize("level", LEVELS)
families = pytest.mark.parametrize("family", ["tcp", "unix"])


@pytest.fixture
def serve(script: Script, tmp_path: Path) -> Iterator[Serve]:
    """Return a function that serves the text of a program; nothing of any is left."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    with contextlib.ExitStack() as stack:

        def begin(text: str, level: str, family: str = "tcp", *more: str) -> Server:
            where = [f"{tmp_path}/s"] if family == "unix" else ["-B", "127.0.0.1", "0"]
            ready = level if level == "fork" else f"{level}!"
            program = script(f"#!/bin/sh\n{text}\n")
            options = ["--front", "scgi", "-W", "2", "--ready", ready, *more, "-p", program]
            server = Server([*options, "-s", *where], is_measured=False)
            stack.callback(server.close)
            FOLDERS[server.mark] = os.path.dirname(program)
            return server

        yield begin


def programs(server: Server) -> list[int]:
    """Return the processes at work for requests: not who waits, nor who stays behind.

    Each runs in the folder of its program.
    """
    ours = {"socketd-worker", "socketd-held", "socketd-zygote", "socketd-keeper"}
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            called = Path(f"/proc/{name}/comm").read_text().strip()
            if called not in ours and os.readlink(f"/proc/{name}/cwd") == FOLDERS[server.mark]:
                found.append(int(name))
    return found


@contextlib.contextmanager
def asking(server: Server, length: int = 0, body: bytes = b"") -> Iterator[socket.socket]:
    """Begin a request, whose body may be longer than what is sent of it."""
    with connect(server.place) as connection:
        connection.sendall(scgi.head({"CONTENT_LENGTH": str(length), "SCGI": "1"}) + body)
        yield connection


def leave(connection: socket.socket, how: str) -> None:
    """Go, in order or with a reset."""
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@levels
def test_input_without_a_body_is_empty(serve: Serve, level: str) -> None:
    """A program that reads to the end gets it, though its client sends no more and waits."""
    server = serve(f"{HEAD}; wc -c", level)
    with asking(server) as connection:
        assert read_all(connection).endswith(b"\n0\n")


@levels
def test_a_child_that_has_the_input_does_not_hold_the_answer(serve: Serve, level: str) -> None:
    """What goes on in the background with another output is not waited for."""
    server = serve(f"{HEAD}; sleep 1000 > /dev/null 2>&1 & echo done", level)
    for length in (0, 4, LARGE):
        with asking(server, length, bytes(length)) as connection:
            assert read_all(connection).endswith(b"done\n")
    for pid in programs(server):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@levels
@families
@pytest.mark.parametrize("size", [1, 65_536, 65_537, LARGE])
def test_a_body_ends_where_it_says(serve: Serve, level: str, family: str, size: int) -> None:
    """It is all there, in how many pieces it comes, and then the input ends."""
    body = os.urandom(size)
    server = serve(f"{HEAD}; exec sha256sum", level, family)
    expected = hash_of(body)
    with asking(server, size, body) as connection:
        assert read_all(connection).split()[-2] == expected
    with asking(server, size, body[:1]) as connection:
        if size > 1:
            connection.sendall(body[1:])
        assert read_all(connection).split()[-2] == expected


@levels
def test_a_body_that_just_fits_a_pipe_comes_in_any_two_pieces(serve: Serve, level: str) -> None:
    """A pipe has room for so many pages: what ends within one leaves less for the next piece."""
    body = os.urandom(65_536)
    server = serve(f"{HEAD}; exec sha256sum", level, "unix")
    for _ in range(60):
        with asking(server, len(body), body[:1]) as connection:
            connection.sendall(body[1:])
            assert read_all(connection).split()[-2] == hash_of(body)


def hash_of(body: bytes) -> bytes:
    """Return what sha256sum says."""
    return sha256(body).hexdigest().encode()


@levels
def test_an_answer_waits_for_the_end_of_the_body(serve: Serve, tmp_path: Path, level: str) -> None:
    """A web server may send no more once it begins, but a program may write its head first."""
    begun = tmp_path / "begun"
    server = serve(f"{HEAD}; : > {begun}; wc -c", level)
    with asking(server, LARGE, bytes(100_000)) as connection:
        wait_for(begun.exists, "the program has begun to answer")
        ready, _, _ = select.select([connection], [], [], 0)
        connection.sendall(bytes(LARGE - 100_000))

        assert ready == []
        assert read_all(connection).endswith(b"\n%d\n" % LARGE)


@levels
@pytest.mark.parametrize(
    "text",
    [
        "head -c 1000000 /dev/zero; exec sleep 1000",  # more than anybody keeps
        "exec < /dev/null; echo; exec sleep 1000",  # who reads no more
        "exec > /dev/null 2>&1; exec sleep 1000",  # who says no more
        "exit 0",
    ],
)
def test_an_answer_does_not_wait_in_vain(serve: Serve, level: str, text: str) -> None:
    """It begins before the body has ended if nothing is gained by waiting."""
    server = serve(f"{HEAD}; {text}", level)
    with asking(server, 10 * LARGE, bytes(LARGE)) as connection:
        assert connection.recv(100).startswith(b"Content-Type")
    wait_for(lambda: not programs(server), "the program has ended")


@levels
@families
def test_an_answer_to_a_body_that_nobody_reads_is_whole(
    serve: Serve, level: str, family: str
) -> None:
    """It arrives, and no reset, while the client still sends."""
    server = serve(f"{HEAD}; exec head -c 200000 /dev/zero", level, family)
    with asking(server, LARGE) as connection:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.sendall(bytes(LARGE))
        connection.setblocking(True)

        assert len(read_all(connection)) > 200_000


@levels
@families
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sent", [100_000, LARGE])
def test_a_silent_program_ends_with_its_client(
    serve: Serve, level: str, family: str, how: str, sent: int
) -> None:
    """All of its group does, whether or not its body has come whole."""
    server = serve("sleep 1000 & exec sleep 1000", level, family)
    with asking(server, LARGE, bytes(sent)) as connection:
        wait_for(lambda: len(programs(server)) == 2, "the program is at work")
        leave(connection, how)
    wait_for(lambda: not programs(server), "every process of the program has ended")


def test_who_does_not_heed_is_killed(serve: Serve) -> None:
    """After the time that is set for that."""
    server = serve("trap '' TERM; while :; do sleep 1; done", "fork", "tcp", "--kill-timeout", "1s")
    with asking(server, LARGE, bytes(LARGE)):
        wait_for(lambda: len(programs(server)) == 2, "the program is at work")
    wait_for(lambda: not programs(server), "every process of the program has ended")


@levels
@families
def test_a_client_may_end_its_sending_and_read_on(
    serve: Serve, tmp_path: Path, level: str, family: str
) -> None:
    """That is no departure, and the program goes on."""
    go = tmp_path / "go"
    os.mkfifo(go)
    server = serve(f"cat > /dev/null; read _ < {go}; {HEAD}; echo here", level, family)
    with asking(server, LARGE, bytes(LARGE)) as connection:
        connection.shutdown(socket.SHUT_WR)
        wait_for(lambda: programs(server), "the program is at work")
        go.write_text("\n")

        assert read_all(connection).endswith(b"here\n")


@levels
@families
@pytest.mark.parametrize("length", [0, 4, LARGE])
def test_a_program_may_finish_though_its_client_has_gone(
    serve: Serve, tmp_path: Path, level: str, family: str, length: int
) -> None:
    """Asked so, it has all that has come of its body, and what it writes is dropped."""
    go, left = tmp_path / "go", tmp_path / "left"
    os.mkfifo(go)
    text = f"{HEAD}; read _ < {go}; head -c 1000000 /dev/zero; wc -c > {left}.part"
    server = serve(f"{text}; mv {left}.part {left}", level, family, "--client-gone", "finish")
    with asking(server, length, bytes(length)):
        wait_for(lambda: programs(server), "the program is at work")
    go.write_text("\n")
    wait_for(left.exists, "the program has finished")

    assert left.read_text() == f"{length}\n"


@levels
@pytest.mark.parametrize("length", [0, 4, LARGE])
def test_who_closes_all_ends_the_answer_and_works_on(
    serve: Serve, tmp_path: Path, level: str, length: int
) -> None:
    """The client has its answer at once, and its leaving does not end the work."""
    go, left = tmp_path / "go", tmp_path / "left"
    os.mkfifo(go)
    text = f"{HEAD}; echo fine; exec < /dev/null > /dev/null 2>&1; read _ < {go}; : > {left}"
    server = serve(text, level)
    with asking(server, length, bytes(length)) as connection:
        assert read_all(connection).endswith(b"fine\n")
    go.write_text("\n")

    wait_for(left.exists, "the work is done")
