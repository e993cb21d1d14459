"""How many connections the source of a client has at this moment.

Owns what a source is, and the counting. Must not know what becomes of a client. native/sources.c
does the same (a test holds the two against each other).

Nothing is counted up and down, so nothing can be forgotten: a source has as many connections as the
board has workers that serve a client of it. Who wants to be one more holds a lock from the count
until its own client stands on the board. It is one of the kernel, on the listener, which every
worker of the board has, and nobody else: the kernel takes it back from whoever dies.

A worker may be over before the master has collected it, and its client may be back before that. So
where a source seems to have no room, each of its workers is looked at.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import sys
from collections.abc import Iterable, Iterator

from socketd.programs.peer import Peer
from socketd.workers.gate import SourceLimit
from socketd.workers.layout import read_peer, write_peer

_LIBC = ctypes.CDLL(None, use_errno=True)
_MOST_EXIT_MS = 100
# For who is kept out of all services, whatever a source is for their limits.
ONE_HOST = SourceLimit(ipv4_bits=32, ipv6_bits=64)
_IPV6_BITS = 128
_NAME_BYTES = 16
_IPV4_BITS = 32


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@contextlib.contextmanager
def locked(listener_fd: int) -> Iterator[None]:
    """Be the only worker that counts. Raises OSError or ValueError if that cannot be."""
    fcntl.lockf(listener_fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(listener_fd, fcntl.LOCK_UN)


def has_room(serving: Iterable[tuple[int, bytes]], limit: SourceLimit, client: Peer) -> bool:
    """Tell whether a source may have one more connection, beside those that workers serve."""
    own = _source_of(write_peer(client), limit)
    alike = [pid for pid, content in serving if _source_of(content, limit) == own]
    return len(alike) < limit.most or sum(not _is_over(pid) for pid in alike) < limit.most


def are_full(serving: Iterable[tuple[int, bytes]], most: int, queued: Iterable[int] = ()) -> bool:
    """Tell whether as many connections are served as there may be, of whatever sources.

    Those count, too, that have waited for a place before.
    """
    pids = [*(pid for pid, _ in serving), *queued]
    return len(pids) >= most and sum(not _is_over(pid) for pid in pids) >= most


def name_of(client: Peer, limit: SourceLimit) -> bytes:
    """Return what all clients of a source have in common: the family, and address or user."""
    content = bytearray(_NAME_BYTES)
    if client.family == socket.AF_UNIX:
        content[:4] = client.uid.to_bytes(4, sys.byteorder)
    elif client.family in (socket.AF_INET, socket.AF_INET6):
        is_ipv4 = client.family == socket.AF_INET
        size = 4 if is_ipv4 else _NAME_BYTES
        most, wanted = (_IPV4_BITS, limit.ipv4_bits) if is_ipv4 else (_IPV6_BITS, limit.ipv6_bits)
        rest = most - min(wanted, most)
        number = int.from_bytes(client.address[:size], "big") >> rest << rest
        content[:size] = number.to_bytes(size, "big")
    return client.family.to_bytes(2, sys.byteorder) + content


def _source_of(content: bytes, limit: SourceLimit) -> tuple[int, int] | None:
    """Return what all clients of a source have in common; all of whom nothing is known are one."""
    peer = read_peer(content)
    match peer:
        case Peer(family=socket.AF_INET, address=address):
            shift = _IPV4_BITS - min(limit.ipv4_bits, _IPV4_BITS)
            return socket.AF_INET, int.from_bytes(address[:4], "big") >> shift
        case Peer(family=socket.AF_INET6, address=address):
            shift = _IPV6_BITS - min(limit.ipv6_bits, _IPV6_BITS)
            return socket.AF_INET6, int.from_bytes(address, "big") >> shift
        case Peer(family=socket.AF_UNIX, uid=uid):
            return socket.AF_UNIX, uid
        case Peer():
            return socket.AF_UNSPEC, 0
        case _:
            return None


def _is_over(pid: int) -> bool:
    """Tell whether a process has ended, or is about to.

    The kernel closes its connection when it has taken its memory, and only then can its client
    know. It has ended when all its threads have.
    """
    if pid <= 0:
        return True
    byte = ctypes.create_string_buffer(1)
    own, nothing = _Part(ctypes.addressof(byte), 1), _Part(None, 1)
    got = _LIBC.process_vm_readv(
        pid, ctypes.byref(own), ctypes.c_ulong(1), ctypes.byref(nothing), ctypes.c_ulong(1), 0
    )
    if got >= 0 or ctypes.get_errno() != errno.ESRCH:
        return False
    try:
        fd = os.pidfd_open(pid)
    except OSError as error:
        return error.errno == errno.ESRCH
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(_MOST_EXIT_MS))
    finally:
        os.close(fd)
