"""Where a program's standard error goes.

Owns the choices, and opening the system's log and /dev/null. Must not know workers.
"""

import contextlib
import enum
import os
import socket


class StderrTarget(enum.Enum):
    """Where a program's standard error goes."""

    SOCKET = "socket"
    INHERIT = "inherit"
    SYSLOG = "syslog"
    NULL = "null"


def open_stderr(target: StderrTarget) -> int:
    """Open a program's stderr for SYSLOG and NULL; see native/front/syslog.c.

    On the system's log each write is one message; without a system's log it is /dev/null. Raises
    OSError.
    """
    if target is StderrTarget.SYSLOG:
        with contextlib.suppress(OSError), contextlib.closing(_log_socket()) as log:
            log.connect("/dev/log")
            return log.detach()
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _log_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
