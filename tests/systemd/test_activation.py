"""Sockets that a service manager passes: every mistake is named, none is served by accident."""

import fcntl
import os
import select
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from harness.clients import Place, connect, exchange, read_all
from harness.managers import passing
from harness.processes import count_descriptors
from harness.servers import Line, Server
from harness.waiting import wait_for
from socketd.errors import ListenError
from socketd.loop.listeners import Listener, adopt
from socketd.operations.systemd import take_passed_sockets
from socketd.settings.address import InheritedAddress

_PID = 4711


def passed(pid: str | None = str(_PID), fds: str | None = "1", names: str | None = None) -> None:
    """Read activation variables of such values."""
    given = {"LISTEN_PID": pid, "LISTEN_FDS": fds, "LISTEN_FDNAMES": names}
    take_passed_sockets({name: value for name, value in given.items() if value is not None}, _PID)


@pytest.mark.parametrize(
    "environment",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "1", "LISTEN_FDS": "x", "LISTEN_FDNAMES": "a:b"}],
    ids=["nothing", "no pid", "another process"],
)
def test_nothing_is_passed_without_our_own_pid(environment: dict[str, str]) -> None:
    """What is meant for another process is not looked at, and nobody after us sees it."""
    variables = environment | {"KEPT": "yes"}

    assert take_passed_sockets(variables, _PID) == []
    assert variables == {"KEPT": "yes"}


@pytest.mark.parametrize(
    ("pid", "fds", "names", "reason"),
    [
        ("me", "1", None, "LISTEN_PID: 'me' is not a whole number from 1 to 2147483647"),
        (str(_PID), None, None, "LISTEN_FDS is not set though LISTEN_PID is"),
        (str(_PID), "0", None, "LISTEN_FDS: '0' is not a whole number from 1 to 65536"),
        (str(_PID), "-1", None, "LISTEN_FDS: '-1' is not a whole number"),
        (str(_PID), " 1", None, "LISTEN_FDS: ' 1' is not a whole number"),
        (str(_PID), "1e3", None, "LISTEN_FDS: '1e3' is not a whole number"),
        (str(_PID), "9" * 30, None, "LISTEN_FDS: '999"),
        (str(_PID), "1", "a:b", "LISTEN_FDNAMES: 'a:b' has 2 names for 1 sockets"),
        (str(_PID), "2", "", "LISTEN_FDNAMES: '' has 1 names for 2 sockets"),
        (str(_PID), "1", "a\nb", "LISTEN_FDNAMES: 'a\\nb' is not up to 255 printable ASCII"),
        (str(_PID), "1", "x" * 256, "LISTEN_FDNAMES: 'xxx"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(
    pid: str, fds: str | None, names: str | None, reason: str
) -> None:
    """The error says which variable, what it holds and what it should."""
    with pytest.raises(ListenError) as caught:
        passed(pid, fds, names)

    assert str(caught.value).startswith(reason)


def start(*sockets: socket.socket, **environment: str) -> Server:
    """Start a server without a port that is passed the sockets."""
    given = {f"LISTEN_{name}": value for name, value in environment.items()}
    return Server(["-p", "cat", "-W", "1", "-s"], environment=given, **passing(*sockets))


def outcome_of(server: Server) -> tuple[int, list[str]]:
    """Return exit code and lines of a server that cannot start."""
    server.is_quiet = False
    status = server.wait()
    server.close()
    return status, server.noise


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("file", "is not a socket"),
        ("datagram", "is not a stream socket; use ListenStream= in its unit"),
        ("idle", "does not listen; use Accept=no in its unit"),
        ("connection", "does not listen; use Accept=no in its unit"),
        ("netlink", "is neither a TCP nor a UNIX socket"),
    ],
)
def test_a_descriptor_that_cannot_be_served_is_refused(kind: str, reason: str) -> None:
    """Before anything is served: one line, exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as good:
        other, more = _descriptor(kind)
        with other, more:
            server = start(good, other)

            assert outcome_of(server) == (1, [f"socket: passed descriptor 4 {reason}"])


def _descriptor(kind: str) -> tuple[socket.socket, socket.socket]:
    a, b = socket.socketpair()
    match kind:
        case "file":
            with open(os.devnull) as file:
                os.dup2(file.fileno(), a.fileno())
        case "datagram":
            a.close()
            a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        case "idle":
            a.close()
            a = socket.socket()
        case "netlink":
            a.close()
            a = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        case _:
            pass  # the pair itself is connected
    return a, b


@pytest.mark.slow
def test_a_closed_descriptor_is_refused() -> None:
    """A count that is too high is noticed."""
    with socket.create_server(("127.0.0.1", 0)) as good:
        server = start(good, FDS="2")

        assert outcome_of(server) == (1, ["socket: passed descriptor 4: Bad file descriptor"])


@pytest.mark.slow
def test_sockets_of_another_process_are_not_served() -> None:
    """Without a port the server then has nothing to do, and says why."""
    with socket.create_server(("127.0.0.1", 0)) as good:
        status, lines = outcome_of(start(good, PID="1"))

    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith(
        "socket: no port is given, and the sockets of LISTEN_FDS are for process 1, not for this"
    )


@pytest.fixture(params=["tcp", "tcp6", "unix", "abstract"])
def bound(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """Lend a listening socket of each kind."""
    match request.param:
        case "tcp":
            listening = socket.create_server(("127.0.0.1", 0))
        case "tcp6":
            listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
        case "unix":
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(tmp_path / "s"))
            listening.listen()
        case _:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(f"\0socketd-test-{os.getpid()}")
            listening.listen()
    with listening:
        yield listening


def place_of(listening: socket.socket) -> Place:
    """Return where to connect to."""
    name = listening.getsockname()
    if isinstance(name, bytes):
        return name.decode()
    return str(name) if isinstance(name, str) else (str(name[0]), int(name[1]))


@pytest.mark.slow
def test_without_a_port_what_was_passed_is_served(bound: socket.socket) -> None:
    """A stop leaves the socket, its path and its queue to their owner."""
    place = place_of(bound)
    server = start(bound)
    try:
        assert exchange(place, b"hello") == b"hello"
        assert server.stop() == 0

        with connect(place) as queued:  # no worker is left, but the socket still listens
            queued.sendall(b"kept")
            queued.shutdown(socket.SHUT_WR)
            successor = start(bound)
            try:
                assert read_all(queued) == b"kept"
            finally:
                successor.close()
    finally:
        server.close()


def _is_about(listener: str, line: Line) -> bool:
    return bool(line["listener"] == listener)


@pytest.mark.slow
def test_all_sockets_that_were_passed_are_served(tmp_path: Path) -> None:
    """Each has a pool of its own."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        server = start(tcp, unix, FDNAMES="web:local")
        try:
            assert exchange(place_of(tcp), b"a") == b"a"
            assert exchange(place_of(unix), b"b") == b"b"
            for listener in (f"tcp:127.0.0.1:{tcp.getsockname()[1]}", f"unix:{tmp_path}/s"):
                server.wait_event("service_ready", partial(_is_about, listener))
            assert server.stop() == 0
        finally:
            server.close()


@pytest.mark.slow
@pytest.mark.parametrize("worker", ["native", "python"])
def test_program_sees_nothing_of_the_activation(worker: str) -> None:
    """It has the three standard descriptors and none of the variables; the flags are untouched."""
    program = "env | grep -c -e LISTEN -e NOTIFY; ls /proc/self/fd | tr '\\n' ' '"
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        tcp.setblocking(False)
        arguments = ["-p", program, "--worker", worker, "-W", "1", "-s"]
        server = Server(arguments, environment={"LISTEN_FDNAMES": "x"}, **passing(tcp))
        try:
            assert exchange(place_of(tcp)) == b"0\n0 1 2 3 "  # 3 is ls at work
            assert fcntl.fcntl(tcp, fcntl.F_GETFL) & os.O_NONBLOCK
            assert count_descriptors(server.pid) > 3
        finally:
            server.close()


def test_name_and_descriptor_are_those_of_the_owner(bound: socket.socket) -> None:
    """An adopted listener shows the address in use and is never filtered, emptied or unlinked."""
    listener = adopt(os.dup(bound.fileno()), InheritedAddress("web"))
    place = place_of(bound)
    try:
        with connect(place):
            listener.refuse_new()
            wait_for(lambda: select.select([bound], [], [], 0)[0], "the client is in the queue")

            assert listener.is_queue_empty()
        connect(place).close()
        assert str(listener) == _text_of(listener, place)
    finally:
        listener.close()
    connect(place).close()
    assert not (isinstance(place, str) and place.startswith("/")) or Path(place).is_socket()


def _text_of(listener: Listener, place: Place) -> str:
    if isinstance(place, str):
        return "unix:" + place.replace("\0", "@")
    return f"tcp:{'[::1]' if ':' in place[0] else place[0]}:{listener.port}"


@pytest.mark.slow
def test_own_streams_serve_a_passed_socket() -> None:
    """A server without a program takes one passed socket as well as a port."""
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        server = Server(["-s"], **passing(tcp))
        server.is_quiet = False
        with connect(place_of(tcp)) as client:
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
        assert server.wait() == 0
        server.close()


def start_with_options(*options: str, to: socket.socket) -> Server:
    """Start a server that is passed a socket, with settings of a listener."""
    return Server(["-p", "cat", "-W", "1", *options, "-s"], **passing(to))


def test_passed_socket_can_have_options_of_tcp() -> None:
    """They are set on the socket of its owner, and connections have them."""
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        server = start_with_options("--nodelay", "--keepalive", "9s", to=tcp)
        try:
            assert exchange(place_of(tcp), b"x") == b"x"
            assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 9
        finally:
            server.close()


def test_passed_socket_is_bound_already() -> None:
    """What it should have been bound with cannot be had."""
    with socket.create_server(("127.0.0.1", 0)) as tcp:
        status, lines = outcome_of(start_with_options("--freebind", to=tcp))

    reason = "is decided when a socket is bound: set it where passed socket '' is"
    assert (status, lines[0]) == (15, f"socket: --freebind: {reason}")


def test_passed_unix_socket_has_no_options_of_tcp(tmp_path: Path) -> None:
    """Which only the socket itself tells."""
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"{tmp_path}/s")
        unix.listen()
        status, lines = outcome_of(start_with_options("--nodelay", to=unix))

    reason = "it is a UNIX socket, which has no options of TCP"
    assert (status, lines) == (1, [f"socket: server socket: passed socket '': {reason}"])
