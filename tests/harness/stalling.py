"""A file whose content never comes: of a file system in user space that answers no read.

Source: fuse(4), and <linux/fuse.h> for the messages.
"""

import contextlib
import ctypes
import errno
import os
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

_HEADER = struct.Struct("=IIQQIIII")
_ANSWER = struct.Struct("=IiQ")
_GETATTR, _OPEN, _READ, _INIT = 3, 14, 15, 26
_UNANSWERED = frozenset({2, 36, 42})  # FORGET, INTERRUPT, BATCH_FORGET
_ATTRIBUTES = struct.pack(
    "=QII6Q10I",
    *(60, 0, 0),  # how long they hold
    *(1, 4096, 8, 0, 0, 0),  # inode, size, blocks, times
    *(0, 0, 0, stat.S_IFREG | 0o644, 1, 0, 0, 0, 4096, 0),
)
_ANSWERS = {
    _GETATTR: _ATTRIBUTES,
    _OPEN: struct.pack("=QII", 0, 0, 0),
    _INIT: struct.pack("=IIIIHHIIHH8I", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, *[0] * 8),
}
_MNT_FORCE, _MNT_DETACH = 1, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def stalled(path: Path) -> Iterator[Path]:
    """Have a file there whose content nobody ever gets. Raises OSError where that cannot be."""
    path.touch()
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={fd},rootmode=100644,user_id=0,group_id=0,allow_other".encode()
        if _LIBC.mount(b"stalled", os.fsencode(path), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        server = threading.Thread(target=_serve, args=(fd,))
        server.start()
        try:
            path.stat()  # the kernel takes a file for empty before it has asked
            yield path
        finally:
            # Who still waits for an answer gets an error, and the server the end of its requests.
            _abort(path)
            server.join()
    finally:
        os.close(fd)


def _abort(path: Path) -> None:
    """End what is under way: a forced unmount does, whether it can unmount or not."""
    _LIBC.umount2(os.fsencode(path), _MNT_FORCE)
    _LIBC.umount2(os.fsencode(path), _MNT_DETACH)


def _serve(fd: int) -> None:
    while True:
        try:
            message = os.read(fd, 1 << 17)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            return  # ENODEV: it is no longer mounted
        _, operation, unique, *_ = _HEADER.unpack_from(message)
        if operation == _READ or operation in _UNANSWERED:
            continue
        content = _ANSWERS.get(operation)
        size = _ANSWER.size + len(content or b"")
        failure = 0 if content is not None else -errno.ENOSYS
        with contextlib.suppress(OSError):  # the one that asked has been killed
            os.write(fd, _ANSWER.pack(size, failure, unique) + (content or b""))
