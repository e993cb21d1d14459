"""The environment of the user's program, with the names that all common super-servers use.

Owns the names of the variables. Must not know how a worker waits or what the pool wants. The
native worker sets the same names (native/environment.c); a test holds the two against each other.

UCSPI (tcpserver, s6): PROTO, TCP*, IPC*. CGI and systemd: REMOTE_ADDR, REMOTE_PORT, SERVER_ADDR,
SERVER_PORT. xinetd: REMOTE_HOST, which holds the address. There is no DNS look-up.
"""

import socket
import struct
from dataclasses import dataclass

_PER_CONNECTION = frozenset(
    {
        "PROTO",
        "REMOTE_ADDR",
        "REMOTE_HOST",
        "REMOTE_PORT",
        "SERVER_ADDR",
        "SERVER_PORT",
        "TCPLOCALHOST",
        "TCPLOCALIP",
        "TCPLOCALPORT",
        "TCPREMOTEHOST",
        "TCPREMOTEINFO",
        "TCPREMOTEIP",
        "TCPREMOTEPORT",
        "IPCLOCALPATH",
        "IPCREMOTEEGID",
        "IPCREMOTEEUID",
        "IPCREMOTEPATH",
        "IPCREMOTEPID",
    }
)
_OURS = frozenset(
    {
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "MAINPID",
        "NOTIFY_SOCKET",
        "SOCKETD_SNAPSHOT_FD",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    }
)
_CREDENTIALS = struct.Struct("=iII")
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


def base_environment(environment: dict[str, str]) -> dict[str, str]:
    """Return what a program inherits: all but the variables about a connection or about us."""
    hidden = _PER_CONNECTION | _OURS
    return {name: value for name, value in environment.items() if name not in hidden}


@dataclass(frozen=True, slots=True)
class Peer:
    """The peer of a connection; the address is packed, empty for a UNIX socket."""

    family: int
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
        """Return the numeric address, nothing for a UNIX peer."""
        if self.family == socket.AF_UNIX:
            return ""
        size = 4 if self.family == socket.AF_INET else 16
        return socket.inet_ntop(self.family, self.address[:size])


def peer_of(connection: socket.socket, name: object) -> Peer:
    """Describe the peer that accept() named; the connection may be reset already."""
    if connection.family == socket.AF_UNIX:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(raw)
        return Peer(socket.AF_UNIX, pid=pid, uid=uid, gid=gid, path=_as_path(name))
    assert isinstance(name, tuple)
    return _unmap(connection.family, name)


def connection_variables(connection: socket.socket, peer: Peer) -> dict[str, str]:
    """Return the variables that tell a program about its connection."""
    if peer.family == socket.AF_UNIX:
        variables = {
            "PROTO": "IPC",
            "IPCREMOTEEUID": str(peer.uid),
            "IPCREMOTEEGID": str(peer.gid),
            "IPCREMOTEPID": str(peer.pid),
            "IPCLOCALPATH": _as_path(connection.getsockname()),
            "IPCREMOTEPATH": peer.path,
        }
        return {name: value for name, value in variables.items() if value}
    local = _unmap(connection.family, connection.getsockname())
    local_host, local_port = local.host, str(local.port)
    remote_host, remote_port = peer.host, str(peer.port)
    return {
        "PROTO": "TCP",
        "TCPLOCALIP": local_host,
        "TCPLOCALPORT": local_port,
        "TCPREMOTEIP": remote_host,
        "TCPREMOTEPORT": remote_port,
        "REMOTE_ADDR": remote_host,
        "REMOTE_PORT": remote_port,
        "REMOTE_HOST": remote_host,
        "SERVER_ADDR": local_host,
        "SERVER_PORT": local_port,
    }


def _as_path(name: object) -> str:
    """Return a UNIX socket's path; not an abstract name, whose NUL cannot be in a variable."""
    return name if isinstance(name, str) else ""


def _unmap(family: int, name: tuple[str, int]) -> Peer:
    """Return an IPv4 address that is mapped into IPv6 as IPv4."""
    packed = socket.inet_pton(family, name[0].partition("%")[0])
    if family == socket.AF_INET6 and packed.startswith(_MAPPED_PREFIX):
        return Peer(socket.AF_INET, packed[len(_MAPPED_PREFIX) :], name[1])
    return Peer(family, packed, name[1])
