"""The settings of a listener: what the connections that come by it have, and what it refuses."""

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import abstract_name, connect, exchange, read_all
from harness.options import TELL
from harness.servers import SOCKET, Server, run_socket
from harness.supervisors import run_socketd
from harness.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.ready("load")]

Serve = Callable[..., Server]

TCP = ("-W", "1", "-B", "127.0.0.1", "-s", "0")


@pytest.fixture
def tell(open_folder: Path) -> str:
    """Return a command that prints the options of its connection."""
    script = open_folder / "tell.py"
    script.write_text(TELL)
    return f"python3 {script}"


def test_connection_has_the_options_of_its_listener(serve: Serve, tell: str) -> None:
    """They are set once, by the master: no worker has to."""
    options = ("--keepalive", "60s,7,3", "--user-timeout", "1500ms", "--nodelay")
    server = serve(*options, "-p", tell, *TCP)

    assert exchange(server.place) == b"1 60 7 3 1500 1\n"


def test_connection_has_the_options_of_the_system_otherwise(serve: Serve, tell: str) -> None:
    """Nothing is set that nobody has asked for."""
    with socket.socket() as fresh:
        tcp = socket.IPPROTO_TCP
        usual = [fresh.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)] + [
            fresh.getsockopt(tcp, option)
            for option in (
                socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT, socket.TCP_NODELAY,
            )
        ]  # fmt: skip
    server = serve("-p", tell, *TCP)

    assert exchange(server.place) == (" ".join(map(str, usual)) + "\n").encode()


def test_silent_client_reaches_no_worker(serve: Serve) -> None:
    """With --defer-accept the kernel keeps it until it says something."""
    server = serve("--defer-accept", "1h", "-p", "cat", *TCP)
    with connect(server.place) as silent, connect(server.place) as other:
        other.sendall(b"x")
        assert other.recv(1) == b"x"

        server.wait_event("connection_accepted")
        assert len(server.events("connection_accepted")) == 1
        silent.sendall(b"y")
        assert silent.recv(1) == b"y"


def test_address_that_is_not_there_yet_can_be_bound(serve: Serve) -> None:
    """For a machine that takes an address over when another one fails."""
    server = serve("--freebind", "-p", "cat", "-W", "1", "-B", "203.0.113.1", "-s", "0")

    assert server.wait_event("service_ready")["address"] == "203.0.113.1"


def test_two_servers_share_a_port_that_both_allow(serve: Serve) -> None:
    """And one that does not allow it gets none."""
    first = serve("--reuseport", "-p", "echo first", *TCP)
    assert isinstance(first.place, tuple)
    port = str(first.place[1])
    second = serve("--reuseport", "-p", "echo second", *TCP[:-1], port)
    second.wait_event("service_ready")

    heard: set[bytes] = set()

    def are_both_heard() -> bool:
        heard.add(exchange(first.place))
        return len(heard) == 2

    wait_for(are_both_heard, "both are heard")
    refused = run_socket("-p", "cat", *TCP[:-1], port)
    assert (refused.status, "Address already in use" in refused.stderr) == (1, True)


def test_interface_is_the_only_one(serve: Serve) -> None:
    """Who comes by another one, as from the machine itself to an outer address, finds nobody."""
    server = serve("--interface", "lo", "-p", "echo here", "-W", "1", "-s", "0")

    assert exchange(server.place) == b"here\n"
    bound = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=False).stdout
    assert isinstance(server.place, tuple)
    assert f"%lo:{server.place[1]} " in bound


def test_abstract_name_is_served(serve: Serve) -> None:
    """Server and client write it with an @; no file is made."""
    name = abstract_name()
    server = serve("-p", "cat", "-W", "1", "-s", name)
    assert server.wait_event("service_ready")["address"] == name

    done = subprocess.run(
        [SOCKET, "-N", name], input=b"hello", capture_output=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"hello", b"", 0)
    again = run_socket("-p", "cat", "-s", name)
    assert again.status == 1
    assert again.stderr.startswith(f"socket: server socket: Address already in use: {name}; ")


def test_queue_of_an_abstract_name_is_served_by_a_stop(serve: Serve) -> None:
    """Who waits when a stop begins is served, as with any other address."""
    name = abstract_name()
    options = ("--workers", "1", "--max-workers", "1")
    server = serve(*options, "-p", "read x; echo $x", "-s", name)
    server.wait_event("service_ready")
    with connect(name) as busy, connect(name) as waiting:
        server.wait_event("connection_accepted")
        server.process.terminate()
        server.wait_event("stopping")
        busy.sendall(b"one\n")
        waiting.sendall(b"two\n")
        assert (read_all(busy), read_all(waiting)) == (b"one\n", b"two\n")
    assert server.wait() == 0


FORBIDDEN = {
    "mode of a port": (
        ["--mode", "0600", "-s", "0"],
        "socket: --mode: is for the path of a UNIX socket, which port 0 is not",
    ),
    "owner of an abstract name": (
        ["--owner", "root", "-s", "@x"],
        "socket: --owner: is for the path of a UNIX socket; the abstract name @x has no owner",
    ),
    "delay of a path": (
        ["--nodelay", "-s", "./x"], "socket: --nodelay: is for TCP, and ./x is a UNIX socket",
    ),
    "interface of an abstract name": (
        ["--interface", "lo", "-s", "@x"], "socket: --interface: is for TCP, and @x is a UNIX sock",
    ),
    "local address of an abstract name": (
        ["-B", "localhost", "-s", "@x"],
        "socket: -B 'localhost' does not apply to the abstract name '@x'",
    ),
    "no name": (["-s", "@"], "socket: the abstract name '@' is empty"),
}  # fmt: skip


@pytest.mark.parametrize("program", [["-p", "cat"], []])
@pytest.mark.parametrize("mistake", FORBIDDEN)
def test_setting_has_to_fit_the_address(mistake: str, program: list[str]) -> None:
    """With a program and without one: exit 15, and the line says what it is for."""
    arguments, line = FORBIDDEN[mistake]

    done = run_socket(*program, *arguments)

    assert (done.status, done.stderr[: len(line)]) == (15, line)


def test_interface_that_is_not_there_is_told() -> None:
    """With what there is to do."""
    done = run_socket("-p", "cat", "--interface", "nowhere0", "-s", "0")

    assert done.status == 1
    assert done.stderr == (
        "socket: server socket: port 0: interface 'nowhere0': No such device; `ip link` lists "
        "those that are there\n"
    )


def test_name_that_is_too_long_is_told() -> None:
    """It has a limit of its own kind."""
    done = run_socket("-p", "cat", "-s", "@" + "x" * 108)

    assert (done.status, "108 bytes, a UNIX name at most 107" in done.stderr) == (1, True)


def test_setting_of_cgi_has_to_fit_one_of_its_addresses() -> None:
    """It is for those that it fits; an error is what fits none."""
    done = run_socketd("cgi", "--mode", "0600", "--scgi", "127.0.0.1:0", "--fcgi", "@x", "cat")

    assert done.status == 15
    assert "--mode: is for the path of a UNIX socket" in done.stderr
