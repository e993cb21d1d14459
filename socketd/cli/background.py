"""Going to the background: the command returns when the service is up, or prints why it is not.

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

    In the child, returns a function to call once the service is up: it closes the terminal and
    makes the parent exit with 0. Until then the child's own errors appear on the terminal; programs
    that it starts already have /dev/null. If the child ends first, the parent ends with the same
    status. Each of `speakers` is called with the descriptor for its lines. Does not return in the
    parent.

    The caller may wait for the end of a pipe or a socket (ssh, make, a shell that collects our
    output), so these are replaced like a terminal, and other inherited descriptors (`given`) are
    closed. A server that `relays` its stdin and stdout keeps those.
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
        with contextlib.suppress(OSError):  # it has been closed meanwhile
            os.close(fd)
    _let_go(relays=relays)

    def announce() -> None:
        for speak_to in speakers:
            speak_to(console.STDERR_FD)
        os.close(terminal)
        with contextlib.suppress(BrokenPipeError):  # no reader; the service is up all the same
            os.write(writing, _READY)
        os.close(writing)

    return announce


def _let_go(*, relays: bool) -> None:
    """Point stdin, stdout and stderr to /dev/null, except files, which may hold a log."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (console.STDIN_FD, console.STDOUT_FD, console.STDERR_FD):
        is_data = relays and fd != console.STDERR_FD
        if os.isatty(fd) or (not is_data and _has_another_end(fd)):
            os.dup2(null, fd)
    os.close(null)


def _has_another_end(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
