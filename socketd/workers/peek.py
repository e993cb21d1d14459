"""Reading the memory of processes that we do not trust, in a separate process.

Owns that process and its answer. Must not know what is looked for.

The same holds for what the kernel tells of some descriptors: it waits for a lock there, which the
process may hold for any time.

Reading the memory of another process blocks until its pages are there, and that process may control
where they come from: a file of a file system in user space, or userfaultfd(2). The master must not
block. So a child of it reads, and is killed if the answer is no longer needed. Nothing runs in the
other process.
"""

import contextlib
import ctypes
import gc
import os
import signal
import struct
from collections.abc import Sequence
from typing import NoReturn

from socketd.dataclass import dataclass

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_LENGTH = struct.Struct("=H")
_PIPE_FD = 3
_MOST_FDS = 2**31 - 1
# The whole answer has to fit into a pipe before it is read; the smallest pipe has one page.
_MOST_BYTES = 4096
_MOST_READ = 1 << 16


@dataclass(frozen=True, slots=True)
class Spot:
    """A range of memory to read."""

    pid: int
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of an entry of /proc/PID that contain some words, as far as `size` goes."""

    pid: int
    entry: str
    words: bytes
    size: int


class Peek:
    """Reads some ranges of memory, or lines. Raises OSError if it cannot be started."""

    def __init__(self, spots: Sequence[Spot | Lines]) -> None:
        self._told = b""
        self._reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._pidfd = -1
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _tell(spots, writing)
            # It is collected with all other children, not before we return.
            self._pidfd = os.pidfd_open(pid)
        except OSError:
            os.close(self._reading)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(writing)

    def result(self) -> list[bytes] | None:
        """Return the content of each range, empty where not known; None until it is finished."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self._reading, _MOST_BYTES):
                self._told += piece
            return _split(self._told)
        return None

    def close(self) -> None:
        """Kill it, whatever it waits for."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.close(self._pidfd)
        os.close(self._reading)


def _split(told: bytes) -> list[bytes]:
    found = []
    while len(told) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(told)
        found.append(told[_LENGTH.size : _LENGTH.size + length])
        told = told[_LENGTH.size + length :]
    return found


def _tell(spots: Sequence[Spot | Lines], writing: int) -> NoReturn:
    """Write the content of each range, and always end the process."""
    try:
        gc.disable()  # a collection would run finalizers of the master's objects
        signal.set_wakeup_fd(-1)
        _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        os.dup2(writing, _PIPE_FD, inheritable=False)
        os.closerange(_PIPE_FD + 1, _MOST_FDS)  # if it blocks, it must not keep descriptors open
        told = b""
        for spot in spots:
            content = _look(spot) if isinstance(spot, Spot) else _look_for(spot)
            told += _LENGTH.pack(len(content)) + content
        os.write(_PIPE_FD, told)
    finally:
        os._exit(0)


def _look(spot: Spot) -> bytes:
    with contextlib.suppress(OSError, OverflowError):
        fd = os.open(f"/proc/{spot.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, spot.size, spot.address)
        finally:
            os.close(fd)
    return b""


def _look_for(lines: Lines) -> bytes:
    with contextlib.suppress(OSError):
        fd = os.open(f"/proc/{lines.pid}/{lines.entry}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = b""
            while len(content) < _MOST_READ and (piece := os.read(fd, _MOST_READ)):
                content += piece
        finally:
            os.close(fd)
        found = [line for line in content.splitlines(keepends=True) if lines.words in line]
        return b"".join(found)[: lines.size]
    return b""
