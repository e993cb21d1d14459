"""The descriptors of this process: which are open, and making them close-on-exec.

Owns the search for them. Must not know what any is for.
"""

import contextlib
import errno
import fcntl
import os
import resource

LAST_STANDARD_FD = 2
_MOST_FDS = 2**20  # the kernel's default for fs.nr_open
_FOLDER = "/proc/self/fd"


def copy_above(fd: int, lowest: int) -> int:
    """Return a copy of a descriptor, close-on-exec, with no lower number. Raises OSError.

    If the limit is too low for such a number, fcntl(2) fails with EINVAL.
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error


def close_on_exec() -> list[int]:
    """Make all descriptors but 0, 1 and 2 close-on-exec, including inherited ones; return them."""
    found = []
    for fd in _listed() or _probed():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed
            os.set_inheritable(fd, False)
            found.append(fd)
    return found


def _listed() -> list[int]:
    """Return the open descriptors above 2 that the kernel lists; none if there is no /proc."""
    try:
        return [fd for name in os.listdir(_FOLDER) if (fd := int(name)) > LAST_STANDARD_FD]
    except FileNotFoundError:
        return []


def _probed() -> range:
    """Return every descriptor that may be open above 2."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    beyond = _MOST_FDS if limit == resource.RLIM_INFINITY else min(limit, _MOST_FDS)
    return range(LAST_STANDARD_FD + 1, beyond)
