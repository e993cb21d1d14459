"""A connection of our own: what is sent, what comes back, how long it takes.

Owns the client's side. Must not know who answers.
"""

import hashlib
import select
import socket
import time
from collections.abc import Callable

from socketd.dataclass import dataclass

_PIECE_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Visit:
    """A connection: times from before connect(2), None for what has not come in time."""

    first_byte_seconds: float | None
    end_seconds: float | None
    answer_bytes: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Errand:
    """What is said in a connection, and how the answer is taken.

    `new_reader` makes what is given each piece that comes, and returns what of it is the answer.
    """

    content: bytes = b""
    is_half_closed: bool = True
    new_reader: Callable[[], Callable[[bytes], bytes]] = lambda: bytes


def visit(path: str, errand: Errand, limit_seconds: float) -> Visit:
    """Connect to a UNIX socket, say what is to be said, and read to the end.

    Raises OSError if the connection fails. A reset is an end like any other: the program has ended
    before it had read everything.
    """
    begun = time.monotonic()
    answer, read = hashlib.sha256(), errand.new_reader()
    first, end, size = None, None, 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        connection.setblocking(False)
        rest = _send(connection, memoryview(errand.content), errand)
        while end is None and _wait(connection, begun + limit_seconds, is_sending=rest is not None):
            if rest is not None:
                rest = _send(connection, rest, errand)
            piece = _receive(connection)
            if piece is None:
                continue
            now = time.monotonic() - begun
            if not piece:
                end = now
                continue
            content = read(piece)
            if content and first is None:
                first = now
            size += len(content)
            answer.update(content)
    return Visit(first, end, size, answer.digest())


def _send(connection: socket.socket, rest: memoryview, errand: Errand) -> memoryview | None:
    """Send what there is room for; return what is left, None if there is nothing more to send."""
    try:
        while rest:
            rest = rest[connection.send(rest) :]
        if errand.is_half_closed:
            connection.shutdown(socket.SHUT_WR)
    except BlockingIOError:
        return rest
    except OSError:  # nobody reads it any more; the answer may still come
        pass
    return None


def _receive(connection: socket.socket) -> bytes | None:
    """Return what has come, nothing at the end, None if there is nothing yet."""
    try:
        return connection.recv(_PIECE_BYTES)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def _wait(connection: socket.socket, until_seconds: float, *, is_sending: bool) -> bool:
    """Wait until something can be done; tell whether it can before the time is over."""
    left = until_seconds - time.monotonic()
    poll = select.poll()
    poll.register(connection, select.POLLIN | (select.POLLOUT if is_sending else 0))
    return left > 0 and bool(poll.poll(left * 1000))
