"""The other end of a connection, as the kernel tells it.

Owns the value and its text. Must not know what is done about it.
"""

import socket
import struct

from socketd.dataclass import dataclass

_CREDENTIALS = struct.Struct("=iII")
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Peer:
    """The peer of a connection.

    The address is packed, 4 or 16 bytes that zeros may follow, and empty for a UNIX socket, whose
    peer has the credentials of credentials(7). AF_UNSPEC: no peer, or an unknown one.
    """

    family: int = socket.AF_UNSPEC
    address: bytes = b""
    port: int = 0
    pid: int = 0
    uid: int = 0
    gid: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return `127.0.0.1:5000`, `[::1]:5000`, or the credentials of a UNIX peer."""
        if self.family == socket.AF_UNSPEC:
            return "unknown"
        if self.family == socket.AF_UNIX:
            return f"pid {self.pid} uid {self.uid}"
        host = self.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def host(self) -> str:
        """Return the numeric address, nothing for a UNIX peer or one that is not known."""
        if self.family not in (socket.AF_INET, socket.AF_INET6):
            return ""
        size = 4 if self.family == socket.AF_INET else 16
        return socket.inet_ntop(self.family, self.address[:size])


NOBODY = Peer()


@dataclass(frozen=True, slots=True)
class Route:
    """A client, and the proxy by which it has come, NOBODY if by itself."""

    client: Peer
    proxy: Peer = NOBODY

    def __str__(self) -> str:
        """Return the client's text, with the proxy behind it."""
        text = str(self.client)
        return text if self.proxy == NOBODY else f"{text} via {self.proxy}"

    @property
    def host(self) -> str:
        """Return the numeric address of the client, nothing if it has none."""
        return self.client.host


def identify(connection: socket.socket, name: object) -> Peer:
    """Return the peer that accept() named; the connection may be reset already."""
    if connection.family == socket.AF_UNIX:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(raw)
        return Peer(socket.AF_UNIX, pid=pid, uid=uid, gid=gid, path=as_path(name))
    assert isinstance(name, tuple)
    return unmap(connection.family, name)


def as_path(name: object) -> str:
    """Return a UNIX socket's path; not an abstract name, whose NUL cannot be in a variable."""
    return name if isinstance(name, str) else ""


def unmap(family: int, name: tuple[str, int]) -> Peer:
    """Return an IPv4 address that is mapped into IPv6 as IPv4."""
    return unmap_packed(family, socket.inet_pton(family, name[0].partition("%")[0]), name[1])


def unmap_packed(family: int, packed: bytes, port: int) -> Peer:
    """Return the end of that address, IPv4 if it is mapped into IPv6."""
    if family == socket.AF_INET6 and packed.startswith(_MAPPED_PREFIX):
        return Peer(socket.AF_INET, packed[len(_MAPPED_PREFIX) :], port)
    return Peer(family, packed, port)
