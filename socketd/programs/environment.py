"""The environment of the user's program, with the names that all common super-servers use.

Owns the names of the variables. Must not know how a worker waits or what the pool wants. The
native worker sets the same names (native/environment.c); a test holds the two against each other.

UCSPI (tcpserver, s6): PROTO, TCP*, IPC*, SSL_*. CGI and systemd: REMOTE_ADDR, REMOTE_PORT,
SERVER_ADDR, SERVER_PORT. xinetd: REMOTE_HOST, which holds the address. There is no DNS look-up.
"""

import socket

from socketd.programs.peer import NOBODY, Peer, as_path, unmap

CONNECTION_VARIABLES = frozenset(
    {
        "PROTO",
        "PROXYREMOTEIP",
        "PROXYREMOTEPORT",
        "REMOTE_ADDR",
        "REMOTE_HOST",
        "REMOTE_PORT",
        "SERVER_ADDR",
        "SERVER_PORT",
        "SSL_CIPHER",
        "SSL_PEER_CERT_CN",
        "SSL_PROTOCOL",
        "SSL_TLS_SNI_SERVERNAME",
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
        "UNIQUE_ID",
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


def connection_variables(
    connection: socket.socket, peer: Peer, proxy: Peer = NOBODY, behind: Peer | None = None
) -> dict[str, str]:
    """Return the variables that tell a program about its connection.

    `behind` is the end that the client has connected to, if that is the proxy's.
    """
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
    local = behind or unmap(connection.family, connection.getsockname())
    local_host, local_port = local.host, str(local.port)
    remote_host, remote_port = peer.host, str(peer.port)
    way = {"PROXYREMOTEIP": proxy.host, "PROXYREMOTEPORT": str(proxy.port)} if proxy.host else {}
    return way | {
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
