"""Going to the background: the command returns when the service is up, or says why it is not.

Owns the fork, the new session and the pipe between the two processes. Must not know services.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable

from socketd.cli import console

_READY = b"+"


def detach(*speakers: Callable[[int], None]) -> Callable[[], None]:
    """Continue in a child that is the leader of a new session, in the root directory.

    Returns, in the child, what it must call once it is up: that lets go of the terminal and makes
    the parent exit 0. Until then the child's own errors appear on the terminal, and nobody else's:
    what it starts has /dev/null already. Should it end first, the parent ends with the same status.
    Each of `speakers` is told to which descriptor its lines go. Does not return in the parent.
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
    terminal = fcntl.fcntl(console.STDERR_FD, fcntl.F_DUPFD_CLOEXEC, 0)
    for speak_to in speakers:
        speak_to(terminal)
    _leave_terminal()

    def announce() -> None:
        for speak_to in speakers:
            speak_to(console.STDERR_FD)
        os.close(terminal)
        with contextlib.suppress(BrokenPipeError):  # nobody waits; the service is up all the same
            os.write(writing, _READY)
        os.close(writing)

    return announce


def _leave_terminal() -> None:
    """Point stdin, stdout and stderr to /dev/null where they are a terminal."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (console.STDIN_FD, console.STDOUT_FD, console.STDERR_FD):
        if os.isatty(fd):
            os.dup2(null, fd)
    os.close(null)
