"""Somebody who has been accepted while as many are served as may be, and waits for a place.

Owns the time that this may take, from when the client came into the listener's queue, and the wait
for the end of somebody who is served. Must not know who gets a place, nor what becomes of who gets
none. native/queue.c does the same, with the reasons.
"""

import contextlib
import itertools
import os
import select
import socket
import struct
import time

from socketd.workers.board import Board

_LAST_DATA_SENT = struct.Struct("=44xI")  # of struct tcp_info
_NS_PER_MS = 1_000_000
_MOMENT_MS = 20
_LONGEST_MS = 1000
# Their numbers stay below that of the listener, which a signal closes whatever it leads to then.
_MOST_WATCHED = 16


def queue_begin(connection: socket.socket) -> int:
    """Return since when a connection has waited, in monotonic nanoseconds, as the kernel says.

    Where it says nothing, as of a UNIX socket, it has just come.
    """
    waited_ns = 0
    with contextlib.suppress(OSError):
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_SENT.size)
        waited_ns = _LAST_DATA_SENT.unpack(info)[0] * _NS_PER_MS
    return max(time.monotonic_ns() - waited_ns, 0)


class Watch:
    """A wait for somebody who is served; made and left with signals blocked."""

    def __init__(self, board: Board) -> None:
        self._poll = select.poll()
        self._fds: list[int] = []
        serving = list(itertools.islice(board.serving(), _MOST_WATCHED + 1))
        for pid, _ in serving[:_MOST_WATCHED]:
            with contextlib.suppress(OSError):
                fd = os.pidfd_open(pid)
                self._fds.append(fd)
                self._poll.register(fd, select.POLLIN)
        # Even where all are watched: how many there may be can change.
        self._most_ms = _LONGEST_MS if len(self._fds) == len(serving) else _MOMENT_MS

    def wait(self, end_ns: int) -> None:
        """Wait until somebody has ended, the time is up, or a moment has gone."""
        left_ms = max(end_ns - time.monotonic_ns(), 0) / _NS_PER_MS
        self._poll.poll(min(left_ms, self._most_ms))

    def leave(self) -> None:
        """Give back what the wait had."""
        while self._fds:
            os.close(self._fds.pop())
