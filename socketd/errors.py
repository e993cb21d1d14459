"""The errors a user can cause, each with the exit code it ends in.

Owns the exit codes (docs/exit-codes.md). Knows nothing else of the package. Client mode imports
this module and pays for every import: no enum.
"""

import errno
import os


class ExitCode:
    """The exit codes of both commands, as docs/exit-codes.md lists them."""

    DONE = 0
    CANNOT_LISTEN = 1
    UNKNOWN_SERVICE = 5
    UNKNOWN_HOST = 13
    USAGE = 15
    BUG = 70
    SYSTEM = 71
    CONFIGURATION = 78
    CANNOT_EXECUTE = 126
    NOT_FOUND = 127


WORKER_FAILED_STATUS = 111  # of a worker, never of a command; docs/exit-codes.md


def in_one_line(text: str) -> str:
    """Escape what does not print: names and paths are whatever somebody has made them."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


class SocketdError(Exception):
    """Base of every error that is reported in one line and ends the command."""

    exit_code: int = ExitCode.SYSTEM

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


class UsageError(SocketdError):
    """The command line makes no sense; `usage` is what is said before, if anything is."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, usage: str = "") -> None:
        super().__init__(message)
        self.usage = usage


class ClassicUsageError(UsageError):
    """The same, with a message that socket 1.1 prints without its own name in front."""


class UnknownServiceError(SocketdError):
    """A service name is not in the services database."""

    exit_code = ExitCode.UNKNOWN_SERVICE


class UnknownHostError(SocketdError):
    """A host name or address does not resolve."""

    exit_code = ExitCode.UNKNOWN_HOST


class ListenError(SocketdError):
    """A listening socket cannot be made."""

    exit_code = ExitCode.CANNOT_LISTEN


class ConnectError(SocketdError):
    """A client cannot connect: the exit code is the errno."""

    def __init__(self, number: int, place: str, advice: str = "") -> None:
        text = f"client socket: {describe_errno(number)}: {place}"
        super().__init__(f"{text}; {advice}" if advice else text)
        self.number = number
        self.exit_code = number


class RelayError(SocketdError):
    """A connection, or the other end of its relay, failed: the exit code is the errno."""

    def __init__(self, attempt: str, number: int, *, is_of_connection: bool) -> None:
        super().__init__(f"{attempt}: {describe_errno(number)}")
        self.is_of_connection = is_of_connection
        self.number = number
        self.exit_code = number


class ProgramError(SocketdError):
    """The program cannot be run: not found (127) or not executable (126)."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConfigurationError(SocketdError):
    """A configuration file has mistakes; `mistakes` has all of them.

    Without a path each mistake names its file itself.
    """

    exit_code = ExitCode.CONFIGURATION

    def __init__(self, path: str, mistakes: list[str]) -> None:
        place = f"{path}: " if path else ""
        super().__init__(place + "; ".join(mistakes))
        self.lines = [in_one_line(place + mistake) for mistake in mistakes]


class SystemFailureError(SocketdError):
    """The system refused something that normally works."""

    exit_code = ExitCode.SYSTEM


class BugError(SocketdError):
    """An unforeseen error; the log has the traceback."""

    exit_code = ExitCode.BUG


_SHORTAGES = frozenset({errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.ENOBUFS})


def is_shortage(error_number: int) -> bool:
    """Tell whether the system lacks processes, memory or (in total) open files.

    The end of any process may free some. The limit of open files (EMFILE) is per process, so the
    end of another process does not help.
    """
    return error_number in _SHORTAGES


def describe_errno(error_number: int) -> str:
    """Return the system's text for an errno value, as socket 1.1 prints it."""
    return os.strerror(error_number)


_WAYS_OUT = {
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files (fs.file-max)",
    errno.EAGAIN: "raise the limit of processes (ulimit -u)",
    errno.ENOMEM: "raise the limit of memory (ulimit -v), or have more of it",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.ENOSPC: "make room on that file system",
}


def describe_refusal(error_number: int) -> str:
    """Return the same text, and for limits and full resources what to do about it."""
    way_out = _WAYS_OUT.get(error_number)
    return describe_errno(error_number) + (f"; {way_out}" if way_out else "")
