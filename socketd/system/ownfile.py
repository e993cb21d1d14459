"""Our files in directories where other users may write: opening, recognizing, removing them.

Owns the rules by which a path leads to our file and to no other. Must not know what the files are
for.

In such a directory another user may put a symbolic link, a hard link or a file of his own at the
path, before or at any moment after we use it. So a path is never used because of an earlier check:
we write to a descriptor that was checked, and remove a name in an opened directory whose inode is
the known one. A user who moves another file to that name in the last instant could have removed
that file himself. Directories on the way may be links (/var/run is one); the operator has to choose
a path through trusted directories.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

Inode = tuple[int, int]

# Without O_NONBLOCK, opening a FIFO without a reader would block.
_OPEN_FLAGS = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_own(path: str, flags: int, mode: int, *, is_file: bool) -> int:
    """Open a file to write to it, and make it if there is none. Raises OSError, which says why not.

    It is no link, nor has it a second name. With `is_file` it is a regular file of this user or of
    root; without, other kinds of file may be that user's or root's, and a regular file anybody's,
    since who rotates a log file may give it away.
    """
    try:
        fd = os.open(path, flags | _OPEN_FLAGS, mode)
    except OSError as error:
        if error.errno == errno.ELOOP and os.path.islink(path):
            raise OSError(errno.ELOOP, "it is a symbolic link; name the file itself") from None
        raise
    try:
        _check(os.fstat(fd), is_file=is_file)
    except OSError:
        os.close(fd)
        raise
    return fd


def _check(found: os.stat_result, *, is_file: bool) -> None:
    is_regular = stat.S_ISREG(found.st_mode)
    if is_file and not is_regular:
        raise OSError(errno.EINVAL, "it is not a regular file")
    if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EMLINK, "it is a hard link: the file has another name")
    if (is_file or not is_regular) and found.st_uid not in (0, os.geteuid()):
        raise OSError(errno.EPERM, f"it belongs to another user, {found.st_uid}")


def inode_of(found: os.stat_result) -> Inode:
    """Return which file it is, among those that there are."""
    return found.st_dev, found.st_ino


def inode_at(path: str) -> Inode | None:
    """Return the inode of the file at a path, without following a link; None if there is none."""
    try:
        return inode_of(os.lstat(path))
    except OSError:
        return None


def remove(path: str, inode: Inode) -> None:
    """Remove a file from its path, if it is still there and can be removed."""
    with contextlib.suppress(OSError), opened_folder(path) as (folder, name):
        unlink(folder, name, inode)


def unlink(folder: int, name: str, inode: Inode) -> None:
    """Remove a file from an opened directory, if it is still the one of that name."""
    with contextlib.suppress(FileNotFoundError):
        if inode_of(os.stat(name, dir_fd=folder, follow_symlinks=False)) == inode:
            os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def opened_folder(path: str) -> Iterator[tuple[int, str]]:
    """Open the directory of a path for a while; yield it and the name in it. Raises OSError."""
    folder, name = os.path.split(path)
    with closing(os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        yield fd, name


@contextlib.contextmanager
def closing(fd: int) -> Iterator[int]:
    """Yield a descriptor, and close it."""
    try:
        yield fd
    finally:
        os.close(fd)
