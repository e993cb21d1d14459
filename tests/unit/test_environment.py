"""The variables of a connection, and those that a program does not inherit."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from socketd.programs.environment import base_environment, connection_variables
from socketd.programs.peer import Peer, identify

_HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
Pair = tuple[socket.socket, socket.socket, object]


def accept(listener: socket.socket, client: socket.socket, place: object) -> Iterator[Pair]:
    """Lend a client, its connection, and the name that it came with."""
    with listener, client:
        client.connect(place)  # type: ignore[arg-type]  # an address of either family
        connection, name = listener.accept()
        with connection:
            yield client, connection, name


@pytest.fixture(params=["ipv4", "ipv6", "mapped"])
def tcp(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Lend a TCP connection of each kind; a mapped one is IPv4 at a dual-stack listener."""
    family = socket.AF_INET6 if request.param == "ipv6" else socket.AF_INET
    if request.param == "mapped":
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        listener = socket.create_server((_HOSTS[family], 0), family=family)
    place = (_HOSTS[family], listener.getsockname()[1])
    yield from accept(listener, socket.socket(family), place)


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[Pair]:
    """Lend a UNIX connection whose client has no name."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{tmp_path}/s")
    listener.listen()
    yield from accept(listener, socket.socket(socket.AF_UNIX), f"{tmp_path}/s")


def test_base_environment_hides_connections_and_systemd() -> None:
    """Names that tell of a connection or of the server's own life go, all others stay."""
    hidden = [
        "PROTO", "REMOTE_ADDR", "REMOTE_HOST", "REMOTE_PORT", "SERVER_ADDR", "SERVER_PORT",
        "TCPLOCALHOST", "TCPLOCALIP", "TCPLOCALPORT", "TCPREMOTEHOST", "TCPREMOTEINFO",
        "TCPREMOTEIP", "TCPREMOTEPORT", "IPCLOCALPATH", "IPCREMOTEEGID", "IPCREMOTEEUID",
        "IPCREMOTEPATH", "IPCREMOTEPID", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "MAINPID",
        "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
    ]  # fmt: skip
    kept = {"PATH": "/bin", "HOME": "/", "REMOTE_USER": "x", "SERVER_NAME": "y", "": "z"}

    assert base_environment(kept | dict.fromkeys(hidden, "stale")) == kept


def test_every_variable_of_a_connection_is_hidden(tcp: Pair, unix: Pair) -> None:
    """What we set ourselves never comes from our own environment."""
    for _, connection, name in (tcp, unix):
        variables = connection_variables(connection, identify(connection, name))

        assert base_environment(variables) == {}


def test_tcp_connection_is_told_in_every_dialect(tcp: Pair) -> None:
    """UCSPI, CGI, systemd and xinetd names agree, and a mapped IPv4 address is IPv4."""
    client, connection, name = tcp
    host, port = client.getsockname()[:2]
    local_host, local_port = client.getpeername()[:2]

    variables = connection_variables(connection, identify(connection, name))

    assert variables == {
        "PROTO": "TCP",
        "TCPLOCALIP": local_host,
        "TCPLOCALPORT": str(local_port),
        "TCPREMOTEIP": host,
        "TCPREMOTEPORT": str(port),
        "REMOTE_ADDR": host,
        "REMOTE_PORT": str(port),
        "REMOTE_HOST": host,
        "SERVER_ADDR": local_host,
        "SERVER_PORT": str(local_port),
    }


def test_tcp_peer_survives_its_reset(tcp: Pair) -> None:
    """What accept() said is enough: getpeername() would fail by now."""
    client, connection, name = tcp
    port = client.getsockname()[1]
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    with pytest.raises(ConnectionResetError):
        connection.recv(1)

    assert connection_variables(connection, identify(connection, name))["REMOTE_PORT"] == str(port)


def test_unix_connection_is_told_by_credentials(unix: Pair, tmp_path: Path) -> None:
    """Uid, gid and pid of the client, and our path; a path of the client only if it has one."""
    _, connection, name = unix

    variables = connection_variables(connection, identify(connection, name))

    assert variables == {
        "PROTO": "IPC",
        "IPCREMOTEEUID": str(os.geteuid()),
        "IPCREMOTEEGID": str(os.getegid()),
        "IPCREMOTEPID": str(os.getpid()),
        "IPCLOCALPATH": f"{tmp_path}/s",
    }


def test_named_unix_client_is_told_by_its_path(tmp_path: Path) -> None:
    """A client that has bound a path is known by it."""
    listener, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    listener.bind(f"{tmp_path}/s")
    listener.listen()
    client.bind(f"{tmp_path}/c")

    for _, connection, name in accept(listener, client, f"{tmp_path}/s"):
        variables = connection_variables(connection, identify(connection, name))

    assert variables["IPCREMOTEPATH"] == f"{tmp_path}/c"


def test_abstract_names_appear_in_no_variable() -> None:
    """An abstract name begins with NUL, which no variable can hold."""
    listener, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    place = f"\0socketd-test-{os.getpid()}"
    listener.bind(place)
    listener.listen()
    client.bind(f"{place}-client")

    for _, connection, name in accept(listener, client, place):
        variables = connection_variables(connection, identify(connection, name))

    assert "IPCREMOTEPATH" not in variables
    assert "IPCLOCALPATH" not in variables


@pytest.mark.parametrize(
    ("peer", "text"),
    [
        (Peer(socket.AF_INET, bytes([127, 0, 0, 1]), 80), "127.0.0.1:80"),
        (Peer(socket.AF_INET, bytes([10, 1, 2, 3]) + bytes(12), 9), "10.1.2.3:9"),
        (Peer(socket.AF_INET6, bytes(15) + b"\1", 80), "[::1]:80"),
        (Peer(socket.AF_UNIX, pid=7, uid=1000), "pid 7 uid 1000"),
        (Peer(socket.AF_UNSPEC, bytes(16), 80), "unknown"),
    ],
)
def test_peer_reads_as_in_a_log_line(peer: Peer, text: str) -> None:
    """A numeric address with its port, brackets for IPv6, credentials for a UNIX socket."""
    assert str(peer) == text


def test_unix_peer_has_no_host() -> None:
    """A UNIX peer has credentials instead."""
    assert Peer(socket.AF_UNIX, pid=7).host == ""
    assert Peer().host == ""
