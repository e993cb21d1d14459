"""The pid file: says which process serves, as long as it serves.

Owns the file and its lock. The lock is a POSIX record lock: it belongs to the process, so workers
do not inherit it and it is gone with its owner, however that ended; what a killed server has left
behind is taken over.
"""

import contextlib
import fcntl
import os

from socketd.errors import SystemFailureError, describe_errno


class PidFile:
    """A locked file with the pid of this process. Raises SystemFailureError if it cannot be."""

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._failure(error) from error
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())
        except (BlockingIOError, PermissionError) as error:
            os.close(self._fd)
            raise SystemFailureError(
                f"pid file {path!r} belongs to a running server; stop it or choose another path"
            ) from error
        except OSError as error:
            os.close(self._fd)
            raise self._failure(error) from error

    def remove(self) -> None:
        """Remove the file, still locked, unless somebody else has done so or replaced it."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                os.unlink(self._path)
        os.close(self._fd)

    def _failure(self, error: OSError) -> SystemFailureError:
        why = describe_errno(error.errno or 0)
        return SystemFailureError(f"cannot write the pid file {self._path!r}: {why}")
