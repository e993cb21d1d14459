"""The pid file: the process id of the server while it runs.

Owns the file and its lock. The lock is a POSIX record lock: it belongs to the process, so workers
do not inherit it, and the kernel releases it however its owner ends. The file of a killed server is
taken over.

Any process that can open the file can lock it, if only for reading (fcntl(2)), and so prevent the
next start. So no other user can open it. If there is a read lock all the same, on a file that
others could read once, no server holds it: that file is replaced by a new one.
"""

import errno
import fcntl
import os
import re
import struct

from socketd.errors import SystemFailureError
from socketd.system.ownfile import inode_at, inode_of, open_own, remove

_OWNER_ONLY = 0o600
_MOST_BYTES = 32
_CONTENT = re.compile(rb"\s*([0-9]{1,10}\s*)?")
_LOCK = struct.Struct("@hhqqi4x")  # struct flock: type, whence, start, length, pid
_ATTEMPTS = 10


class PidFile:
    """A locked file with the pid of this process. Raises SystemFailureError if it cannot be."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._fd = self._open()
        except OSError as error:
            raise self._failure(error) from error
        self._inode = inode_of(os.fstat(self._fd))
        try:
            self._write()
        except OSError as error:
            self.remove()
            raise self._failure(error) from error

    def remove(self) -> None:
        """Remove the file, still locked, unless another process removed or replaced it."""
        remove(self._path, self._inode)
        os.close(self._fd)

    def _open(self) -> int:
        """Return a descriptor of the file, locked. Raises OSError."""
        for _ in range(_ATTEMPTS):
            fd = open_own(self._path, os.O_RDWR, _OWNER_ONLY, is_file=True)
            try:
                _check_content(fd)
                if self._is_locked(fd):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise OSError(errno.EBUSY, "another process keeps replacing it")

    def _is_locked(self, fd: int) -> bool:
        """Lock a file; tell whether it is the one at the path. Raises SystemFailureError."""
        inode = inode_of(os.fstat(fd))
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            if writer_of(fd) is not None:
                raise SystemFailureError(
                    f"pid file {self._path!r} belongs to a running server; stop it or choose "
                    "another path"
                ) from error
            remove(self._path, inode)
            return False
        # The former owner may have removed it in between.
        return inode_at(self._path) == inode

    def _write(self) -> None:
        content = f"{os.getpid()}\n".encode()
        os.fchmod(self._fd, _OWNER_ONLY)
        os.ftruncate(self._fd, 0)
        if os.pwrite(self._fd, content, 0) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _failure(self, error: OSError) -> SystemFailureError:
        return SystemFailureError(f"cannot write the pid file {self._path!r}: {error.strerror}")


def _check_content(fd: int) -> None:
    """Raise OSError if a file holds anything but a process id, or nothing."""
    content = os.pread(fd, _MOST_BYTES, 0)
    if len(content) == _MOST_BYTES or not _CONTENT.fullmatch(content):
        raise OSError(
            errno.EINVAL,
            "it holds something other than a process id; remove it or choose another path",
        )


def writer_of(fd: int) -> int | None:
    """Return the process that holds a write lock on a file, as a server does, None if none does."""
    question = _LOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    kind, *_, pid = _LOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, question))
    return None if kind == fcntl.F_UNLCK else int(pid)
