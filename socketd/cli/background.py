"""Going to the background: the command returns when the service is up, or says why it is not.

Owns the fork, the new session and the pipe between the two processes. Must not know services.
"""

import contextlib
import os
from collections.abc import Callable

_READY = b"+"


def detach() -> Callable[[], None]:
    """Continue in a child that is the leader of a new session, in the root directory.

    Returns, in the child, what it must call once it is up: that lets go of the terminal and makes
    the parent exit 0. Until then the child's errors appear on the terminal; should it end first,
    the parent ends with the same status. Does not return in the parent.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid:
        os.close(writing)
        if os.read(reading, 1) == _READY:
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        os._exit(max(os.waitstatus_to_exitcode(status), 1))
    os.close(reading)
    os.setsid()
    os.chdir("/")

    def announce() -> None:
        _leave_terminal()
        with contextlib.suppress(BrokenPipeError):  # nobody waits; the service is up all the same
            os.write(writing, _READY)
        os.close(writing)

    return announce


def _leave_terminal() -> None:
    """Point stdin, stdout and stderr to /dev/null where they are a terminal."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1, 2):
        if os.isatty(fd):
            os.dup2(null, fd)
    os.close(null)
