"""The working directory: what a relative path is relative to.

Owns the way from a relative path to an absolute one. Must not know what a path is for.
"""

import os

from socketd.errors import SystemFailureError


def absolute(path: str) -> str:
    """Return a path made absolute, as text. Raises SystemFailureError without a directory."""
    return os.path.normpath(joined(path))


def joined(path: str) -> str:
    """Do the same but keep each "..": after a symbolic link it cannot be resolved as text.

    The directory may have been deleted; then getcwd(3) fails with ENOENT.
    """
    if os.path.isabs(path):
        return path
    try:
        return os.path.join(os.getcwd(), path)
    except OSError as error:
        raise SystemFailureError(
            f"cannot find {path!r}: it is relative, and the working directory does not exist "
            "any more; give an absolute path or start in another directory"
        ) from error
