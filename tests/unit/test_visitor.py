"""A connection of explain's own: whatever the other side does, it is a visit."""

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.waiting import CAP_SECONDS
from socketd.explain.visitor import Errand, visit

Host = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def host(open_folder: Path) -> Iterator[Host]:
    """Return a function that serves one connection and returns where."""
    threads: list[threading.Thread] = []

    def serve(answer: Callable[[socket.socket], None]) -> str:
        path = str(open_folder / "socket")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen()

        def run() -> None:
            with listening:
                connection, _ = listening.accept()
            with connection:
                answer(connection)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return path

    yield serve
    for thread in threads:
        thread.join(CAP_SECONDS)


def _read_all(connection: socket.socket) -> bytes:
    content = b""
    while piece := connection.recv(65536):
        content += piece
    return content


def test_echo_has_both_times(host: Host) -> None:
    """What is sent arrives with its end, and the answer is known by its digest."""
    path = host(lambda one: one.sendall(_read_all(one)))

    found = visit(path, Errand(b"hello"), CAP_SECONDS)

    assert found.first_byte_seconds is not None
    assert found.end_seconds is not None
    assert 0 < found.first_byte_seconds <= found.end_seconds
    assert (found.answer_bytes, found.digest) == (5, hashlib.sha256(b"hello").digest())


def test_more_than_fits_into_the_socket_is_sent_while_it_is_read(host: Host) -> None:
    """Neither side waits for the other for ever."""

    def echo(connection: socket.socket) -> None:
        while piece := connection.recv(65536):
            connection.sendall(piece)

    assert visit(host(echo), Errand(bytes(4_000_000)), CAP_SECONDS).answer_bytes == 4_000_000


def test_answer_of_who_does_not_read_is_an_answer(host: Host) -> None:
    """A client whose input is not wanted reads what comes, up to a reset."""

    def refuse(connection: socket.socket) -> None:
        connection.sendall(b"go away")

    found = visit(host(refuse), Errand(bytes(4_000_000)), CAP_SECONDS)

    assert found.end_seconds is not None
    assert found.answer_bytes in (0, len(b"go away"))  # the rest of a reset may be lost


def test_silence_has_no_first_byte(host: Host) -> None:
    """An end without an answer is an end."""
    found = visit(host(lambda _: None), Errand(b""), CAP_SECONDS)

    assert (found.first_byte_seconds, found.answer_bytes) == (None, 0)
    assert found.end_seconds is not None


def test_who_does_not_end_is_given_up(host: Host) -> None:
    """The time limit holds for the whole connection, however often a byte comes."""
    is_over = threading.Event()

    def drip(connection: socket.socket) -> None:
        while not is_over.wait(0.01):
            try:
                connection.sendall(b".")
            except OSError:
                return

    begun = time.monotonic()
    found = visit(host(drip), Errand(b""), 0.2)
    is_over.set()

    assert found.first_byte_seconds is not None
    assert found.end_seconds is None
    assert time.monotonic() - begun < CAP_SECONDS
