"""How many clients wait in the queue of a listening socket, and how many can.

Owns what the kernel is asked, and what it answers. Must not know why somebody asks.

A listening TCP socket says so itself (TCP_INFO: in that state two of the fields mean the queue). Of
a UNIX socket the kernel tells over a socket of another kind (sock_diag(7)): of all that listen, in
one answer of several parts. To find one by its number it would walk through all UNIX sockets each
time. It answers within the call that asks, so nobody waits for anything.
"""

import contextlib
import functools
import os
import socket
import struct
from collections.abc import Iterator

_TCP_QUEUE = struct.Struct("=24xII")  # struct tcp_info: tcpi_unacked, tcpi_sacked
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 1, 0x300
_TCP_LISTEN = 10
_UDIAG_SHOW_RQLEN = 0x10
_UNIX_DIAG_RQLEN = 4
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_UNIX_REQUEST = struct.Struct("=BBHIIIII")  # struct unix_diag_req
# The sizes and kinds of struct nlmsghdr, udiag_ino of struct unix_diag_msg, and of the first
# attribute that comes its kind and what is in it.
_UNIX_ANSWER = "=IH14xI8x2xHII"
_MOST_ANSWER = 1 << 16
_MOST_ANSWERS = 1024

QueueLength = tuple[int, int]
"""How many wait, and how many can."""


def inode_of(listening: socket.socket) -> int:
    """Return by which number the kernel knows a socket; 0, which is nobody's, if it is closed."""
    try:
        return os.fstat(listening.fileno()).st_ino
    except OSError:
        return 0


class Queues:
    """What the kernel says of queues: how long they are, None where it does not say.

    Those of UNIX sockets are as they were at the first of them: it is made for each round of
    questions.
    """

    def __init__(self) -> None:
        self._unix: dict[int, QueueLength] | None = None

    def of_tcp(self, listening: socket.socket) -> QueueLength | None:
        """Return what it says of a TCP socket."""
        try:
            found = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_QUEUE.size)
            waiting, most = _TCP_QUEUE.unpack(found)
        except (OSError, struct.error):
            return None
        return waiting, most

    def of_unix(self, inode: int) -> QueueLength | None:
        """Return what it says of the UNIX socket with a number."""
        if self._unix is None:
            self._unix = {}
            with contextlib.suppress(OSError, struct.error):
                self._unix.update(_of_all_unix())
        return self._unix.get(inode)


def _of_all_unix() -> Iterator[tuple[int, QueueLength]]:
    """Yield the number and the queue of each UNIX socket that listens. Raises OSError."""
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as asking:
        request = _UNIX_REQUEST.pack(
            socket.AF_UNIX, 0, 0, 1 << _TCP_LISTEN, 0, _UDIAG_SHOW_RQLEN, 0, 0
        )
        flags = _NLM_F_REQUEST | _NLM_F_DUMP
        size = _HEADER.size + len(request)
        asking.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, flags, 0, 0) + request)
        for _ in range(_MOST_ANSWERS):
            answer, at = asking.recv(_MOST_ANSWER), 0
            while at < len(answer):
                size, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind != _SOCK_DIAG_BY_FAMILY:  # the end, or an error
                    return
                step = max(_HEADER.size, (size + 3) & ~3)
                # All that follow are like the first, in nearly every answer.
                alike = memoryview(answer)[at : len(answer) - (len(answer) - at) % step]
                if not alike:  # cut off
                    return
                parts = _parts_of(step).iter_unpack(alike)
                for its_size, kind, inode, told, waiting, most in parts:
                    if its_size != size or kind != _SOCK_DIAG_BY_FAMILY:
                        break
                    if told == _UNIX_DIAG_RQLEN:
                        yield inode, (waiting, most)
                    at += step


@functools.lru_cache(4)
def _parts_of(size: int) -> struct.Struct:
    """Return what takes an answer apart whose messages are of this size. Raises struct.error."""
    return struct.Struct(f"{_UNIX_ANSWER}{size - struct.calcsize(_UNIX_ANSWER)}x")
