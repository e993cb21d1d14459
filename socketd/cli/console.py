"""The user's end of the command: lines on stderr, the descriptors 0 to 2, and Ctrl-C.

Owns the classic program's answer to signals. Must not know what the command does. Nothing here
may fail: there is nobody left to tell.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

STDIN_FD, STDOUT_FD, STDERR_FD = range(3)

SIGNAL_NAMES = {
    signal.SIGTERM: "Termination signal",
    signal.SIGINT: "Interrupt",
    signal.SIGHUP: "Hangup signal",
}


_voice_fd = STDERR_FD


def say(line: str) -> None:
    """Print a line on stderr, if anybody listens there."""
    with contextlib.suppress(OSError):
        os.write(_voice_fd, f"{line}\n".encode(errors="surrogateescape"))


def speak_to(fd: int) -> None:
    """Print lines to another descriptor from now on."""
    global _voice_fd
    _voice_fd = fd


def show(text: str, program: str) -> bool:
    """Print what was asked for on stdout; tell whether it could be written."""
    rest = memoryview(f"{text}\n".encode(errors="surrogateescape"))
    try:
        while rest:
            rest = rest[os.write(STDOUT_FD, rest) :]
    except OSError as error:
        say(f"{program}: cannot write to stdout: {error.strerror}")
        return False
    return True


def open_standard_descriptors() -> None:
    """Point those of 0, 1 and 2 that are closed to /dev/null, lest a connection gets there."""
    for fd in (STDIN_FD, STDOUT_FD, STDERR_FD):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            os.set_inheritable(fd, True)


def answer_signals() -> None:
    """From now on end on SIGTERM, SIGINT and SIGHUP as socket 1.1 does.

    SystemExit unwinds, so whatever must be undone is. A signal that is ignored on entry (nohup, a
    shell's background job) stays ignored. One that was blocked on entry comes through: whoever has
    started us did not mean to make us deaf. SIGCHLD, ignored, would hide how our children end.
    """
    for number in SIGNAL_NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def stay_running() -> None:
    """Let no terminal stop a server: its log may go to one whose background jobs may not write.

    Other servers take SIGTTIN and SIGTTOU for orders; here they mean nothing, and do no harm.
    """
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)


def answer_by_default() -> None:
    """In a child, die of what `answer_signals` answers; what is ignored stays ignored."""
    for number in SIGNAL_NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Answer signals that come in here afterwards."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNAL_NAMES)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end(code: int) -> None:
    """End the process, also where Python would wait for a person then: PYTHONINSPECT, -i."""
    if sys.flags.inspect:
        os._exit(code)
    raise SystemExit(code)


def ignore_signals() -> None:
    """Do not answer any more: the command is ending, and nothing may come in between."""
    for number in SIGNAL_NAMES:
        signal.signal(number, signal.SIG_IGN)


def _leave(number: int, frame: object) -> None:  # noqa: ARG001  signal.signal's signature
    ignore_signals()
    say(f"\n{SIGNAL_NAMES[signal.Signals(number)]} occured, exiting")
    raise SystemExit(256 - number)
