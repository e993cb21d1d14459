"""The request that a copy on trial is given: a file of the operator's.

Owns opening it, and the words for what is wrong with it. Must not know how a copy is tried.
"""

import os
import stat

from socketd.errors import SocketdError

MOST_REQUEST_BYTES = 16 << 20


class UnusableRequestError(SocketdError):
    """The file cannot be a request; the text says why, without its name."""


def open_request(path: str) -> int:
    """Return a descriptor of the file, for reading. Raises UnusableRequestError."""
    try:
        # It need not be a file, and a pipe has nobody who writes.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UnusableRequestError(f"cannot be read: {error.strerror}") from error
    reason = _why_not(os.fstat(fd))
    if reason is not None:
        os.close(fd)
        raise UnusableRequestError(reason)
    return fd


def check_request(path: str) -> None:
    """Raise UnusableRequestError if the file cannot be a request by now."""
    os.close(open_request(path))


def _why_not(found: os.stat_result) -> str | None:
    if stat.S_ISDIR(found.st_mode):
        return "is a directory"
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file, and it is read again for each template"
    if found.st_size > MOST_REQUEST_BYTES:
        return f"is larger than {MOST_REQUEST_BYTES >> 20} MiB"
    return None
