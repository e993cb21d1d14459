"""A socket of another process, copied for a moment.

Owns the copying. Must not know what is asked of the socket, nor whose it is.

It needs the right to trace the process (ptrace(2)), which a parent of the same user has, and a
superuser. A program that took more rights than we have cannot be looked at.

Source: pidfd_getfd(2), since Linux 5.6.
"""

import contextlib
import ctypes
import errno
import os
import socket
from collections.abc import Iterator

_SYS_PIDFD_GETFD = 438  # the same on every architecture
_REFUSALS = frozenset({errno.EPERM, errno.ENOSYS})
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def borrowed(pid: int, fd: int) -> Iterator[socket.socket | None]:
    """Lend the socket that a process has open, None if it is none; the copy is closed at the end.

    Raises PermissionError for a process that we may not look at.
    """
    number = _copy(pid, fd)
    if number < 0:
        yield None
        return
    try:
        connection = socket.socket(fileno=number)
    except OSError:  # it is no socket
        os.close(number)
        yield None
        return
    with connection:
        yield connection


def _copy(pid: int, fd: int) -> int:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    try:
        number: int = _LIBC.syscall(_SYS_PIDFD_GETFD, process, fd, 0)
        error = ctypes.get_errno()
    finally:
        os.close(process)
    if number < 0 and error in _REFUSALS:
        raise PermissionError(error, os.strerror(error))
    return number
