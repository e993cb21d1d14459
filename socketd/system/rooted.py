"""Files as a process sees them that has another root directory.

Owns looking for a path below a directory, where symbolic links and ".." stay below it (openat2(2)
with RESOLVE_IN_ROOT). Must not know what a path is for.

What is found is a name that leads to the file as long as it is used, so that os.stat() and the like
see the same file as that process will.
"""

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterator

_SYS_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_HOW = struct.Struct("=QQQ")
_LIBC = ctypes.CDLL(None, use_errno=True)


def open_below(root: str, path: str) -> int:
    """Return a descriptor that stands for the file, without opening it. Raises OSError."""
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = _HOW.pack(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
        found = _LIBC.syscall(
            ctypes.c_long(_SYS_OPENAT2), root_fd, os.fsencode(path), how, ctypes.c_size_t(len(how))
        )
    finally:
        os.close(root_fd)
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(found)


@contextlib.contextmanager
def seen_below(root: str, path: str) -> Iterator[str]:
    """Lend a name of the file at `path` below a root directory.

    Raises OSError if it cannot be found.
    """
    fd = open_below(root, path)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def is_folder_below(root: str, path: str) -> bool:
    """Tell whether there is a directory."""
    try:
        with seen_below(root, path) as name:
            return os.path.isdir(name)
    except OSError:
        return False


def is_file_below(root: str, path: str) -> bool:
    """Tell whether there is an ordinary file."""
    try:
        with seen_below(root, path) as name:
            return os.path.isfile(name)
    except OSError:
        return False


def is_null_below(root: str) -> bool:
    """Tell whether there is a device at dev/null."""
    try:
        with seen_below(root, os.devnull) as name:
            return stat.S_ISCHR(os.stat(name).st_mode)
    except OSError:
        return False
