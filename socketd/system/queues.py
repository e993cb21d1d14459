"""How many clients wait in the queue of a listening socket, and how many can.

Owns what the kernel is asked, and what it answers. Must not know why somebody asks.

A listening TCP socket says so itself (TCP_INFO: in that state two of the fields mean the queue). Of
a UNIX socket the kernel tells by its number only, over a socket of another kind (sock_diag(7)). It
answers within the call that asks, so nobody waits for anything.
"""

import contextlib
import errno
import os
import socket
import struct
from types import TracebackType
from typing import NamedTuple, Self

_TCP_QUEUE = struct.Struct("=24xII")  # struct tcp_info: tcpi_unacked, tcpi_sacked
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_TCP_LISTEN = 10
_UDIAG_SHOW_RQLEN = 0x10
_UNIX_DIAG_RQLEN = 4
_NO_COOKIE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_UNIX_REQUEST = struct.Struct("=BBHIIIII")  # struct unix_diag_req
_UNIX_ANSWER_SIZE = 16  # struct unix_diag_msg
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr
_PAIR = struct.Struct("=II")
_MOST_ANSWER = 8192
_MOST_STALE = 16


class QueueLength(NamedTuple):
    """How many wait, and how many can."""

    length: int
    limit: int


class Queues:
    """What the kernel says of queues, as a context: one socket for all questions."""

    def __init__(self) -> None:
        self._asking: socket.socket | None = None
        self._number = 0

    def __enter__(self) -> Self:
        """Return the questioner."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket, if there was a question that needed it."""
        if self._asking is not None:
            self._asking.close()
            self._asking = None

    def of(self, listening: socket.socket) -> QueueLength | None:
        """Return how long the queue of a listening socket is; None if the kernel does not say."""
        with contextlib.suppress(OSError, struct.error):
            if listening.family != socket.AF_UNIX:
                size = _TCP_QUEUE.size
                found = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
                return QueueLength(*_TCP_QUEUE.unpack(found))
            return self._of_unix(os.fstat(listening.fileno()).st_ino)
        return None

    def _of_unix(self, inode: int) -> QueueLength | None:
        if self._asking is None:
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            self._asking = socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG)
        self._number += 1
        request = _UNIX_REQUEST.pack(
            socket.AF_UNIX, 0, 0, 1 << _TCP_LISTEN, inode, _UDIAG_SHOW_RQLEN, _NO_COOKIE, _NO_COOKIE
        )
        size = _HEADER.size + len(request)
        head = _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, self._number, 0)
        self._asking.send(head + request)
        for _ in range(_MOST_STALE):
            answer = self._asking.recv(_MOST_ANSWER)
            if _HEADER.unpack_from(answer)[3] == self._number:
                return _queue_in(answer)
        raise OSError(errno.ENOMSG, "the kernel answers something else")


def _queue_in(answer: bytes) -> QueueLength | None:
    size, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY:  # an error: the socket is of another network namespace, say
        return None
    at = _HEADER.size + _UNIX_ANSWER_SIZE
    while at + _ATTRIBUTE.size <= size:
        length, attribute = _ATTRIBUTE.unpack_from(answer, at)
        if attribute == _UNIX_DIAG_RQLEN:
            return QueueLength(*_PAIR.unpack_from(answer, at + _ATTRIBUTE.size))
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return None
