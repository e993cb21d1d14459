"""Going to the background: the command returns when the service is up, or says why it is not.

Owns the fork, the new session and the pipe between the two processes. Must not know services.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterable

from socketd.cli import console

_READY = b"+"


def detach(
    *speakers: Callable[[int], None], given: Iterable[int] = (), relays: bool = False
) -> Callable[[], None]:
    """Continue in a child that is the leader of a new session, in the root directory.

    Returns, in the child, what it must call once it is up: that lets go of the user's end and makes
    the parent exit 0. Until then the child's own errors appear there, and nobody else's: what it
    starts has /dev/null already. Should it end first, the parent ends with the same status.
    Each of `speakers` is told to which descriptor its lines go. Does not return in the parent.

    Who has started us may wait for the end of a pipe or of a socket (ssh, make, a shell that
    collects our output), so these are let go of as a terminal is, and `given`, other descriptors
    that we were started with, are closed. A server that `relays` its stdin and stdout keeps those.
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
    for fd in given:
        with contextlib.suppress(OSError):  # it was closed since
            os.close(fd)
    _let_go(relays=relays)

    def announce() -> None:
        for speak_to in speakers:
            speak_to(console.STDERR_FD)
        os.close(terminal)
        with contextlib.suppress(BrokenPipeError):  # nobody waits; the service is up all the same
            os.write(writing, _READY)
        os.close(writing)

    return announce


def _let_go(*, relays: bool) -> None:
    """Point stdin, stdout and stderr to /dev/null, but files: a log in one is meant to be kept."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (console.STDIN_FD, console.STDOUT_FD, console.STDERR_FD):
        is_data = relays and fd != console.STDERR_FD
        if os.isatty(fd) or (not is_data and _has_another_end(fd)):
            os.dup2(null, fd)
    os.close(null)


def _has_another_end(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
