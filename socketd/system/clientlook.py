"""Whether the client of a process has gone, seen by another process.

Owns the look at a descriptor of somebody else. Must not know what the process is, nor what follows.

The descriptor is copied for a moment, asked, and closed. It needs the right to trace the process
(ptrace(2)), which a parent of the same user has, and a superuser. A program that took more rights
than we have cannot be looked at.

Source: pidfd_getfd(2), since Linux 5.6; poll(2), POLLRDHUP.
"""

import ctypes
import os
import select
import socket

_SYS_PIDFD_GETFD = 438  # the same on every architecture
_LIBC = ctypes.CDLL(None, use_errno=True)
_GONE = select.POLLHUP | select.POLLERR


def has_client_gone(pid: int, fd: int) -> bool:
    """Tell whether the other side of a process's socket has closed it.

    False if the descriptor is no connected socket, or cannot be looked at. TCP does not tell a peer
    that has closed the connection from one that only sends no more: both have gone.
    """
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        number = _LIBC.syscall(_SYS_PIDFD_GETFD, process, fd, 0)
    finally:
        os.close(process)
    if number < 0:
        return False
    try:
        with socket.socket(fileno=number) as connection:
            return _has_gone(connection)
    except OSError:  # it is no socket
        os.close(number)
        return False


def _has_gone(connection: socket.socket) -> bool:
    gone = _GONE if connection.family == socket.AF_UNIX else _GONE | select.POLLRDHUP
    poll = select.poll()
    poll.register(connection, gone)
    return bool(poll.poll(0))
