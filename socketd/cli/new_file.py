"""A file that a command writes for its user, whole or not at all.

Owns that nothing is overwritten unless that is wanted. Must not know what is written.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator

from socketd.errors import SystemFailureError, UsageError, describe_errno


def write_new(
    path: str, text: str, *, may_replace: bool, prove: Callable[[str], object] | None = None
) -> None:
    """Write a file in one step. `prove` may refuse it: it gets the path of a file with this text.

    Raises UsageError if the file is there, SystemFailureError if it cannot be written, and what
    `prove` raises.
    """
    check_new(path, may_replace=may_replace)
    try:
        with _beside(path) as (beside, fd):
            with open(fd, "w") as file:
                file.write(text)
            if prove is not None:
                prove(beside)
            os.chmod(beside, 0o666 & ~_umask())
            if may_replace:
                os.rename(beside, path)
            else:
                os.link(beside, path)  # which does not replace one that has come meanwhile
    except FileExistsError:
        raise _is_there(path) from None
    except OSError as error:
        why = describe_errno(error.errno or 0)
        raise SystemFailureError(f"cannot write {path!r}: {why}") from error


def check_new(path: str, *, may_replace: bool) -> None:
    """Raise UsageError if a file is there that is not to be replaced."""
    if not may_replace and os.path.lexists(path):
        raise _is_there(path)


def _is_there(path: str) -> UsageError:
    return UsageError(f"{path!r} is there already: give --force to replace it, or another path")


@contextlib.contextmanager
def _beside(path: str) -> Iterator[tuple[str, int]]:
    """Give a new file in the same folder, which is gone at the end unless it was renamed."""
    fd, beside = tempfile.mkstemp(prefix=".socketd-", dir=os.path.dirname(path) or ".")
    try:
        yield beside, fd
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
