"""How a program waits for its input, seen from outside.

Owns the system calls in which a program can wait for descriptor 0, and what their arguments mean.
Must not know what follows from that.

What stands behind a pointer is read by a separate process; see peek.py.
"""

import enum
import os
import select
import struct

from socketd.dataclass import dataclass
from socketd.system import procfs
from socketd.workers.peek import Lines, Spot

_POLL_ENTRY = struct.Struct("=ihh")
_MOST_POLLED = 64
_MOST_LINE_BYTES = 512
_LONGEST_POLL_MS = 2**31 - 1


class Wait(enum.Enum):
    """The way in which a call waits for descriptors; native/hold/place.c holds the first three."""

    READ = enum.auto()
    POLL = enum.auto()
    SELECT = enum.auto()
    EPOLL = enum.auto()
    RING = enum.auto()


@dataclass(frozen=True, slots=True)
class _Kind:
    """A system call; `limit_at` is the place of its time limit among the arguments."""

    wait: Wait
    limit_at: int = -1
    is_in_ms: bool = False  # otherwise it is a pointer, and NULL means no limit


_READ = _Kind(Wait.READ)
_POLL = _Kind(Wait.POLL, 2, is_in_ms=True)
_PPOLL = _Kind(Wait.POLL, 2)
_SELECT = _Kind(Wait.SELECT, 4)
_EPOLL = _Kind(Wait.EPOLL)
_RING = _Kind(Wait.RING)

_KINDS = {
    # read, readv, recvfrom, recvmsg; poll, ppoll; select, pselect6; epoll_wait, epoll_pwait,
    # epoll_pwait2; io_uring_enter
    "x86_64": dict.fromkeys((0, 19, 45, 47), _READ)
    | {7: _POLL, 271: _PPOLL, 23: _SELECT, 270: _SELECT}
    | {232: _EPOLL, 281: _EPOLL, 441: _EPOLL, 426: _RING},
    "aarch64": dict.fromkeys((63, 65, 207, 212), _READ)
    | {73: _PPOLL, 72: _SELECT, 22: _EPOLL, 441: _EPOLL, 426: _RING},
}.get(os.uname().machine)
ARE_KNOWN = _KINDS is not None


def wait_of(call: procfs.Call) -> Wait | None:
    """Return how a call waits for descriptors, None if it does not."""
    kind = _kind(call)
    return None if kind is None else kind.wait


def is_read_of_input(call: procfs.Call) -> bool:
    """Tell whether a call that is a Wait.READ reads descriptor 0."""
    return _low(call.arguments[0]) == 0


def has_limit(call: procfs.Call) -> bool:
    """Tell whether a call gives up after a time."""
    kind = _kind(call)
    if kind is None or kind.limit_at < 0:
        return False
    limit = call.arguments[kind.limit_at]
    return _low(limit) <= _LONGEST_POLL_MS if kind.is_in_ms else limit != 0


def spot_of(pid: int, call: procfs.Call, wait: Wait, inode: int) -> Spot | Lines | None:
    """Return where it stands what a thread waits for, None if it waits for nothing.

    `inode` is that of the socket which is the program's input.
    """
    first, second = call.arguments[:2]
    if wait is Wait.POLL:
        count = min(_low(second), _MOST_POLLED)
        return Spot(pid, first, count * _POLL_ENTRY.size) if count else None
    if wait is Wait.SELECT:
        # A set is read only as far as the highest descriptor that is asked for.
        return Spot(pid, second, 1) if second and 0 < _low(first) < 1 << 31 else None
    return Lines(pid, f"fdinfo/{_low(first)}", b"ino:%x " % inode, _MOST_LINE_BYTES)


def is_for_input(content: bytes, wait: Wait) -> bool:
    """Tell whether what was found at a spot says that input is waited for."""
    if wait is Wait.POLL:
        return is_polled(content)
    return is_in_set(content) if wait is Wait.SELECT else is_watched(content)


def is_in_set(content: bytes) -> bool:
    """Tell whether descriptor 0 is in the beginning of a set of select()."""
    return bool(content) and bool(content[0] & 1)


def is_polled(content: bytes) -> bool:
    """Tell whether descriptor 0 is among entries of poll(), of which the last may be cut short."""
    whole = content[: len(content) // _POLL_ENTRY.size * _POLL_ENTRY.size]
    return any(
        fd == 0 and bool(events & select.POLLIN) for fd, events, _ in _POLL_ENTRY.iter_unpack(whole)
    )


def is_watched(content: bytes) -> bool:
    """Tell whether one of these lines of an epoll descriptor waits for input.

    Source: proc_pid_fdinfo(5).
    """
    for line in content.decode(errors="replace").splitlines():
        words = line.split()
        events = words[3] if words[:1] == ["tfd:"] and len(words) > 3 else ""
        if (flags := procfs.hexadecimal(events)) is not None and flags & select.EPOLLIN:
            return True
    return False


def _kind(call: procfs.Call) -> _Kind | None:
    return None if _KINDS is None else _KINDS.get(call.number)


def _low(argument: int) -> int:
    """Return what the kernel sees of an argument that is an int."""
    return argument & 0xFFFFFFFF
