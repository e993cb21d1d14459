"""The environment of the user's program, with the names that all common super-servers use.

Owns the names of the variables. Must not know how a worker waits or what the pool wants. The
native worker sets the same names (native/environment.c); a test holds the two against each other.

UCSPI (tcpserver, s6): PROTO, TCP*, IPC*. CGI and systemd: REMOTE_ADDR, REMOTE_PORT, SERVER_ADDR,
SERVER_PORT. xinetd: REMOTE_HOST, which holds the address. There is no DNS look-up.
"""

import socket

from socketd.programs.peer import Peer, as_path, unmap

CONNECTION_VARIABLES = frozenset(
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


def base_environment(environment: dict[str, str]) -> dict[str, str]:
    """Return what a program inherits: all but the variables about a connection or about us."""
    hidden = CONNECTION_VARIABLES | _OURS
    return {name: value for name, value in environment.items() if name not in hidden}


def connection_variables(connection: socket.socket, peer: Peer) -> dict[str, str]:
    """Return the variables that tell a program about its connection."""
    if peer.family == socket.AF_UNIX:
        variables = {
            "PROTO": "IPC",
            "IPCREMOTEEUID": str(peer.uid),
            "IPCREMOTEEGID": str(peer.gid),
            "IPCREMOTEPID": str(peer.pid),
            "IPCLOCALPATH": as_path(connection.getsockname()),
            "IPCREMOTEPATH": peer.path,
        }
        return {name: value for name, value in variables.items() if value}
    local = unmap(connection.family, connection.getsockname())
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
