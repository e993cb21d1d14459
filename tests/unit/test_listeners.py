"""Listening sockets: made as asked, never wider; drained and given up without harm to others."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.waiting import wait_for
from socketd.errors import ListenError, UnknownHostError, UnknownServiceError
from socketd.loop.listeners import Listener, listen
from socketd.settings.address import Address, TcpAddress, UnixAddress

Open = Callable[..., Listener]

_TCP_INFO_STATE_LISTEN = 10
_HELD_SECONDS = 0.2


@pytest.fixture
def open_listener() -> Iterator[Open]:
    """Make listeners that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def start(address: Address, backlog: int = 16) -> Listener:
            listener = listen(address, backlog)
            stack.callback(listener.close)
            return listener

        yield start


def client_of(place: object, family: int = socket.AF_INET) -> socket.socket:
    """Connect, with a limit on the wait."""
    client = socket.socket(family)
    client.settimeout(10)
    client.connect(place)  # type: ignore[arg-type]  # an address of any family
    return client


def is_reachable(host: str, port: int | None) -> bool:
    """Tell whether a connection to an address can be made."""
    try:
        socket.create_connection((host, port or 0), 10).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "numeric", "text"),
    [
        ("127.0.0.1", "127.0.0.1", "tcp:127.0.0.1:{}"),
        ("localhost", "127.0.0.1", "tcp:127.0.0.1:{}"),
        ("::1", "::1", "tcp:[::1]:{}"),
    ],
)
def test_one_address_is_listened_on_and_no_other(
    open_listener: Open, host: str, numeric: str, text: str
) -> None:
    """-B means this address, IPv4 where a name has both."""
    listener = open_listener(TcpAddress(host, "0"))

    assert listener.host == numeric
    assert str(listener) == text.format(listener.port)
    assert is_reachable(numeric, listener.port)
    assert not any(
        is_reachable(other, listener.port)
        for other in ("127.0.0.1", "127.0.0.2", "::1")
        if other != numeric
    )


def test_ipv6_any_address_is_ipv6_alone(open_listener: Open) -> None:
    """`-B ::` is not the same as no -B."""
    listener = open_listener(TcpAddress("::", "0"))

    assert is_reachable("::1", listener.port)
    assert not is_reachable("127.0.0.1", listener.port)


def test_without_address_both_families_are_listened_on(open_listener: Open) -> None:
    """A server without -B is dual-stack."""
    listener = open_listener(TcpAddress(None, "0"))

    assert is_reachable("::1", listener.port)
    assert is_reachable("127.0.0.1", listener.port)
    assert str(listener) == f"tcp:[::]:{listener.port}"


def test_link_local_address_keeps_its_interface(open_listener: Open) -> None:
    """The part behind the percent sign is part of the address."""
    with open("/proc/net/if_inet6", encoding="ascii") as file:
        found = [line.split() for line in file if line.startswith("fe80")]
    if not found:
        pytest.skip("no interface has a link-local address")
    raw, *_, interface = found[0]
    host = f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(raw))}%{interface}"

    listener = open_listener(TcpAddress(host, "0"))

    assert is_reachable(host, listener.port)


def test_port_is_free_again_at_once(open_listener: Open) -> None:
    """A restart does not wait for old connections: SO_REUSEADDR."""
    first = open_listener(TcpAddress("127.0.0.1", "0"))
    client = client_of(("127.0.0.1", first.port))
    connection, _ = first.socket.accept()
    connection.close()  # the server's end goes first, so the port is what lingers
    assert client.recv(1) == b""
    client.close()
    first.close()

    second = open_listener(TcpAddress("127.0.0.1", str(first.port)))

    assert second.port == first.port
    assert second.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


@pytest.mark.parametrize("backlog", [1, 7])
def test_backlog_is_what_was_asked(open_listener: Open, backlog: int) -> None:
    """The kernel keeps so many connections for us."""
    listener = open_listener(TcpAddress("127.0.0.1", "0"), backlog)

    # tcp_info(7): for a listener tcpi_sacked is the limit of its queue.
    information = listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)

    assert information[0] == _TCP_INFO_STATE_LISTEN
    assert int.from_bytes(information[28:32], "little") == backlog


def test_descriptor_is_not_inherited(open_listener: Open, tmp_path: Path) -> None:
    """No program gets hold of the listening socket."""
    for address in (TcpAddress(None, "0"), UnixAddress(f"{tmp_path}/s")):
        assert not os.get_inheritable(open_listener(address).socket.fileno())


def test_service_name_stands_for_its_port() -> None:
    """A name of the services database is a port, and a port has its name."""
    try:
        port = socket.getservbyname("domain", "tcp")
    except OSError:
        pytest.skip("no services database")
    try:
        listener = listen(TcpAddress("127.0.0.1", "domain"), 1)
    except ListenError as error:
        pytest.skip(str(error))

    assert (listener.port, listener.port_name) == (port, "domain")
    listener.close()


def test_port_without_a_name_has_none(open_listener: Open, tmp_path: Path) -> None:
    """Neither a free port nor a path has a service name."""
    assert open_listener(UnixAddress(f"{tmp_path}/s")).port_name is None
    listener = open_listener(TcpAddress("127.0.0.1", "0"))
    if (listener.port or 0) >= 49152:  # the dynamic range, where nobody has a name
        assert listener.port_name is None


@pytest.mark.parametrize("host", ["no-such-host.invalid", "999.1.1.1", "", "a" * 300, "x..y"])
def test_unresolvable_address_is_never_taken_for_all(host: str) -> None:
    """An address that does not resolve is an error, exit 13; we listen nowhere."""
    with pytest.raises(UnknownHostError, match=f"^unknown host {host}: give an address") as caught:
        listen(TcpAddress(host, "0"), 1)

    assert int(caught.value.exit_code) == 13


def test_unknown_service_is_an_error() -> None:
    """A name that is no service ends in exit 5."""
    with pytest.raises(UnknownServiceError, match=r"^unknown service 'no-such-service'") as caught:
        listen(TcpAddress(None, "no-such-service"), 1)

    assert int(caught.value.exit_code) == 5


def test_port_in_use_is_an_error(open_listener: Open) -> None:
    """Somebody else's port is named, with what to do."""
    port = open_listener(TcpAddress("127.0.0.1", "0")).port

    with pytest.raises(ListenError) as caught:
        listen(TcpAddress("127.0.0.1", str(port)), 1)

    assert str(caught.value) == (
        f"server socket: Address already in use: 127.0.0.1 port {port}; "
        "stop the process that listens there or choose another"
    )
    assert int(caught.value.exit_code) == 1


def test_foreign_address_is_an_error() -> None:
    """An address of no interface is refused, in words that say so."""
    with pytest.raises(ListenError, match="no interface of this machine has that address"):
        listen(TcpAddress("203.0.113.1", "0"), 1)


def test_failed_attempt_leaves_no_descriptor(open_listener: Open) -> None:
    """Whatever was opened is closed again."""
    port = open_listener(TcpAddress("127.0.0.1", "0")).port
    before = os.listdir("/proc/self/fd")

    with pytest.raises(ListenError) as caught:
        listen(TcpAddress("127.0.0.1", str(port)), 1)

    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EADDRINUSE
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_refused_tcp_client_hears_nothing_and_the_queue_stays(open_listener: Open) -> None:
    """A drain keeps what is queued, new SYNs are dropped, and nobody is reset."""
    listener = open_listener(TcpAddress("127.0.0.1", "0"))
    place = ("127.0.0.1", listener.port)
    assert listener.is_queue_empty()
    queued = [client_of(place) for _ in range(3)]

    listener.refuse_new()

    late = socket.socket()
    late.settimeout(_HELD_SECONDS)
    with late, pytest.raises(TimeoutError):
        late.connect(place)
    for client in queued:
        assert not listener.is_queue_empty()
        connection, name = listener.socket.accept()
        assert name == client.getsockname()
        client.sendall(b"still here")
        assert connection.recv(16) == b"still here"
        connection.close()
        client.close()
    assert listener.is_queue_empty()


def test_established_connections_do_not_notice_the_drain(open_listener: Open) -> None:
    """The filter is the listener's: both directions of a connection go on, to its end."""
    listener = open_listener(TcpAddress("::1", "0"))
    client = client_of(("::1", listener.port), socket.AF_INET6)
    connection, _ = listener.socket.accept()

    listener.refuse_new()

    with client, connection:
        client.sendall(b"ping")
        assert connection.recv(16) == b"ping"
        client.shutdown(socket.SHUT_WR)
        assert connection.recv(16) == b""
        connection.sendall(b"pong")
        connection.shutdown(socket.SHUT_WR)
        assert client.recv(16) == b"pong"


def test_handshake_under_way_completes_during_the_drain(open_listener: Open) -> None:
    """A client whose SYN was answered before the drain is in the queue soon after."""
    listener = open_listener(TcpAddress("127.0.0.1", "0"))
    client = socket.socket()
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.connect(("127.0.0.1", listener.port))

    listener.refuse_new()

    wait_for(lambda: not listener.is_queue_empty(), "the client is queued")
    client.close()
