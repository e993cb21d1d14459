"""What exec leaves to its caller: scripts without a "#!" line, and the status of a failure.

Owns these rules, which are the shell's and execvp(3)'s. Must not know how a process is made.
native/front/executable.c and native/zygote/program.c have them, too, and tests hold both together.
"""

import errno
from collections.abc import Callable
from typing import TypeVar

from socketd.errors import ExitCode
from socketd.programs.command import SHELL, Program

_Started = TypeVar("_Started")
_NOT_FOUND = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_NOT_EXECUTABLE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOEXEC, errno.ELIBBAD, errno.ETXTBSY}
)


def start_by(program: Program, start: Callable[[Program], _Started]) -> _Started:
    """Have a program started, by the shell if it is a script without a "#!" line.

    Raises the OSError of `start`.
    """
    try:
        return start(program)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    return start(Program(SHELL, ("sh", program.path, *program.arguments[1:])))


def is_about_program(error_number: int | None) -> bool:
    """Tell whether an errno of exec is about the program, and not about the system's limits."""
    return error_number in _NOT_FOUND or error_number in _NOT_EXECUTABLE


def status_of(error_number: int | None) -> int:
    """Return the exit code for a program that exec has refused with an errno."""
    return ExitCode.NOT_FOUND if error_number in _NOT_FOUND else ExitCode.CANNOT_EXECUTE
