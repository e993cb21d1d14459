"""What a TCP connection of another process has carried.

Owns finding the connection among its descriptors, and the kernel's numbers about it. Must not know
what the process is, nor what follows.

A program has its connection on 0, 1 and 2 as a rule; one that has put something else there, and a
process that relays, has it elsewhere. What tells it from other sockets is the port on our side.

Source: tcp(7), TCP_INFO; linux/tcp.h, struct tcp_info, bytes_acked and bytes_received since 4.1.
"""

import socket
import struct

from socketd.dataclass import dataclass
from socketd.system import procfs
from socketd.system.borrowed import borrowed

_STANDARD_FDS = (0, 1, 2)
_MOST_DESCRIPTORS = 64
_INFO_SIZE = 136
_LAST_SENT_RECEIVED = struct.Struct("=44xI4xI")
_ACKNOWLEDGED_RECEIVED = struct.Struct("=120xQQ")
_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Carried:
    """Numbers of bytes, and the seconds since a byte was sent or received."""

    received: int
    acknowledged: int
    silent_seconds: float


def carried(pid: int, port: int) -> Carried | None:
    """Return what the connection of a process at one of our ports has carried.

    None if it has none. Raises PermissionError if it cannot be looked at.
    """
    for fd in _STANDARD_FDS:
        found = _carried_by(pid, fd, port)
        if found is not None:
            return found
    for fd in _others(pid):
        found = _carried_by(pid, fd, port)
        if found is not None:
            return found
    return None


def _others(pid: int) -> list[int]:
    """Return the other descriptors of a process that are sockets, as far as that can be seen."""
    files = procfs.open_files(pid) or []
    sockets = [one.fd for one in files if one.target.startswith("socket:")]
    return sorted(fd for fd in sockets if fd not in _STANDARD_FDS)[:_MOST_DESCRIPTORS]


def _carried_by(pid: int, fd: int, port: int) -> Carried | None:
    with borrowed(pid, fd) as connection:
        if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        try:
            if connection.type != socket.SOCK_STREAM or connection.getsockname()[1] != port:
                return None
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
        except OSError:
            return None
    if len(info) < _INFO_SIZE:
        return None
    sent_ms, received_ms = _LAST_SENT_RECEIVED.unpack_from(info)
    acknowledged, received = _ACKNOWLEDGED_RECEIVED.unpack_from(info)
    return Carried(received, acknowledged, min(sent_ms, received_ms) / _MILLISECONDS)
