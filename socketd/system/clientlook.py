"""Whether the client of a process has gone, seen by another process.

Owns the look at a descriptor of somebody else. Must not know what the process is, nor what follows.

What is seen means the same as in native/front/departure.c; docs/design.md has the rule, under
"Fronts".

Source: poll(2), POLLRDHUP; sock_diag(7).
"""

import select
import socket
import struct

from socketd.system.borrowed import borrowed

_GONE = select.POLLHUP | select.POLLERR

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF
_HEAD = struct.Struct("=IHHII")  # struct nlmsghdr
_QUESTION = struct.Struct("=BBBxI")  # struct inet_diag_req_v2, up to the two ends
_END = struct.Struct(">HH16s16s")
_REST = struct.Struct("=III")
_INODE_AT = _HEAD.size + 4 + _END.size + _REST.size + 4 * 4  # in a struct inet_diag_msg
_INODE = struct.Struct("=I")


def has_client_gone(pid: int, fd: int) -> bool:
    """Tell whether the other side of a process's socket has closed it.

    False if the descriptor is no connected socket, or cannot be looked at. A TCP peer elsewhere
    that sends no more has gone: nothing tells it from one that has closed the connection.
    """
    try:
        with borrowed(pid, fd) as connection:
            return connection is not None and _has_gone(connection)
    except OSError:
        return False


def _has_gone(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, _GONE | select.POLLRDHUP)
    seen = sum(events for _, events in poll.poll(0))
    if seen & _GONE or not seen or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return bool(seen & _GONE)
    return not _is_peer_open_here(connection)


def _is_peer_open_here(connection: socket.socket) -> bool:
    """Tell whether the peer of a TCP connection is a socket of this machine that has a file."""
    own, peer = connection.getsockname(), connection.getpeername()
    hosts = [socket.inet_pton(connection.family, one[0].partition("%")[0]) for one in (peer, own)]
    question = _QUESTION.pack(connection.family, socket.IPPROTO_TCP, 0, _ALL_STATES)
    question += _END.pack(peer[1], own[1], *hosts) + _REST.pack(0, _NO_COOKIE, _NO_COOKIE)
    head = _HEAD.pack(_HEAD.size + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.send(head + question, socket.MSG_DONTWAIT)
            answer = kernel.recv(1024, socket.MSG_DONTWAIT)  # it is there at once
    except OSError:
        return False
    if (
        len(answer) < _INODE_AT + _INODE.size
        or _HEAD.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY
    ):
        return False
    return bool(_INODE.unpack_from(answer, _INODE_AT)[0])
