"""How a client is sent away.

Owns what it hears, and the words for why. Must not know when that is so.
"""

import contextlib
import socket

DENIED = "denied"
CROWDED = "too many from its source"
UNCOUNTED = "not to be counted"
NO_PROXY = "no proxy"
NO_HEADER = "no header"
LATE_HEADER = "late header"
HASTY = "too often from its source"
OVER_RATE = "too often"
FULL = "all busy"
SENSED = "sensed"
REASONS = (  # as in native/gate.h
    DENIED, CROWDED, UNCOUNTED, NO_PROXY, NO_HEADER, LATE_HEADER, HASTY, OVER_RATE, FULL, SENSED,
)  # fmt: skip
_MOST_UNREAD = 64 * 1024
_PART = 4096


def send_away(connection: socket.socket, text: bytes) -> None:
    """Close a connection, after as much of a text as has room: it takes no time."""
    with connection, contextlib.suppress(OSError):
        if text:
            connection.setblocking(False)
            _read_what_is_there(connection)
            connection.send(text, socket.MSG_NOSIGNAL)


def _read_what_is_there(connection: socket.socket) -> None:
    """Read: a socket that is closed with something unread is reset, and the text may be lost."""
    taken = 0
    with contextlib.suppress(BlockingIOError):
        while taken < _MOST_UNREAD and (part := connection.recv(_PART)):
            taken += len(part)
