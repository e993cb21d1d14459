"""Reporting an error: one line on stderr, and an exit code of docs/exit-codes.md.

Owns the outermost error handler of both commands. Must not know what they do. Client mode imports
it, and pays for every import.

A refusal by the system is no bug: a limit, a full disk, a missing file. Any other exception that
arrives here is a bug, and its traceback is printed.
"""

import errno

from socketd.cli import console
from socketd.errors import (
    ClassicUsageError,
    ConfigurationError,
    ExitCode,
    SocketdError,
    UsageError,
    describe_refusal,
)

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from collections.abc import Callable

# Errors that a wrong call of ours would not cause.
_REFUSALS = frozenset(
    {
        errno.EACCES,
        errno.EAGAIN,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENODEV,
        errno.ENOENT,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.ENOSYS,
        errno.ENXIO,
        errno.EPERM,
        errno.EROFS,
    }
)


def report(program: str, action: "Callable[[], int]") -> int:
    """Run it and return its exit code, or print its error and return the code of that."""
    try:
        return action()
    except UsageError as error:
        if error.usage:
            console.say(error.usage)
        if text := str(error):
            console.say(text if isinstance(error, ClassicUsageError) else f"{program}: {text}")
        return error.exit_code
    except ConfigurationError as error:
        for line in error.lines:
            console.say(f"{program}: {line}")
        return error.exit_code
    except SocketdError as error:
        console.say(f"{program}: {error}")
        return error.exit_code
    except MemoryError:
        console.say(f"{program}: the system refuses: {describe_refusal(errno.ENOMEM)}")
        return ExitCode.SYSTEM
    except Exception as error:  # noqa: BLE001  the last resort
        if isinstance(error, OSError) and error.errno in _REFUSALS:
            where = "" if error.filename is None else f" {error.filename!r}"
            console.say(f"{program}: the system refuses{where}: {describe_refusal(error.errno)}")
            return ExitCode.SYSTEM
        import traceback

        console.say(traceback.format_exc())
        console.say(f"{program}: this is a bug in socketd; please report it with the lines above")
        return ExitCode.BUG
