"""The user's side of the command: lines on stderr, descriptors 0 to 2, and Ctrl-C.

Owns the reaction to signals as in socket 1.1. Must not know what the command does. Nothing here may
fail, because the error could not be reported.

This module is on the path of client mode, which pays for every import: no contextlib, and of signal
only the part in C, which has no enumerations.
"""

import os

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    import signal
    from types import TracebackType
    from typing import NoReturn
else:
    import _signal as signal

STDIN_FD, STDOUT_FD, STDERR_FD = range(3)

SIGNAL_NAMES: dict[int, str] = {
    signal.SIGTERM: "Termination signal",
    signal.SIGINT: "Interrupt",
    signal.SIGHUP: "Hangup signal",
}


WIPE = "\r\x1b[K"  # to the beginning of the line, and erase it
_voice_fd = STDERR_FD


def write(text: str) -> None:
    """Print something on stderr that is no line, if possible."""
    try:
        os.write(_voice_fd, text.encode(errors="surrogateescape"))
    except OSError:
        pass  # there is nobody to tell


def say(line: str) -> None:
    """Print a line on stderr, if possible."""
    write(f"{line}\n")


def speak_to(fd: int) -> None:
    """Print lines to another descriptor from now on."""
    global _voice_fd
    _voice_fd = fd


def show(text: str, program: str) -> bool:
    """Print the requested text on stdout; tell whether it could be written."""
    rest = memoryview(f"{text}\n".encode(errors="surrogateescape"))
    try:
        while rest:
            rest = rest[os.write(STDOUT_FD, rest) :]
    except OSError as error:
        say(f"{program}: cannot write to stdout: {error.strerror}")
        return False
    return True


def open_standard_descriptors() -> None:
    """Open /dev/null on closed ones of 0, 1 and 2, or a connection could get that number."""
    for fd in (STDIN_FD, STDOUT_FD, STDERR_FD):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            os.set_inheritable(fd, True)


def answer_signals() -> None:
    """From now on end on SIGTERM, SIGINT and SIGHUP like socket 1.1.

    SystemExit unwinds the stack, so cleanup runs. A signal that is ignored on entry (nohup, a
    shell's background job) stays ignored. One that is blocked on entry is unblocked: the caller
    hardly intended us to ignore it. With SIGCHLD ignored we could not see how our children end.
    """
    for number in SIGNAL_NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def stay_running() -> None:
    """Let no terminal stop a server: it may log to a terminal with `stty tostop`.

    Other servers use SIGTTIN and SIGTTOU as commands; here they have no effect.
    """
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)


def answer_by_default() -> None:
    """In a child, restore the default actions for these signals; ignored ones stay ignored."""
    for number in SIGNAL_NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


class SignalsHeld:
    """A context within which signals are blocked; they are handled after it."""

    def __enter__(self) -> None:
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNAL_NAMES)

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: BaseException | None,
        traceback: "TracebackType | None",
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def end(code: int) -> "NoReturn":
    """End the process at once.

    What we print is written already, and taking all of Python down takes a client longer than to
    connect. Nor does a prompt start then: PYTHONINSPECT, -i.
    """
    os._exit(code)


def ignore_signals() -> None:
    """Ignore signals: the command is ending and must not be interrupted."""
    for number in SIGNAL_NAMES:
        signal.signal(number, signal.SIG_IGN)


def _leave(number: int, frame: object) -> None:  # noqa: ARG001  signal.signal's signature
    ignore_signals()
    say(f"\n{SIGNAL_NAMES[number]} occured, exiting")
    raise SystemExit(256 - number)
