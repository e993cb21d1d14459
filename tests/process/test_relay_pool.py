"""A pool whose workers relay (-c, -r, -w): the contract of the pool, with bytes in our hands."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clients import connect, exchange, exchange_at_once, read_all
from harness.processes import count_descriptors, marked
from harness.servers import Server
from harness.waiting import wait_for

pytestmark = pytest.mark.slow

Serve = Callable[..., Server]


@pytest.fixture
def relay() -> Iterator[Serve]:
    """Start pools, with whatever worker their options ask for, that must leave nothing behind."""
    servers: list[Server] = []

    def start(*arguments: str, **options: object) -> Server:
        server = Server([*arguments, "-B", "localhost", "-s", "0"], **options)  # type: ignore[arg-type]  # options of Server
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


def test_lines_are_translated_both_ways_in_the_pool(relay: Serve) -> None:
    """With -c the program reads LF and writes LF, and the client sees CRLF."""
    server = relay("-p", "od -An -c | tr -d ' '", "-W", "2", "-c")

    assert exchange(server.place, b"a\r\nb\rc") == b"a\\nb\\rc\r\n"


def test_burst_comes_back_whole_and_the_pool_is_as_before(relay: Serve) -> None:
    """A hundred connections at once are relayed byte for byte, and leave nothing behind."""
    server = relay("-p", "cat", "-W", "4", "-c")
    place = server.place
    descriptors = server.count_at_rest(idle=4)
    payloads = [os.urandom(10_000).replace(b"\n", b"").replace(b"\r", b"") for _ in range(100)]

    assert exchange_at_once(place, payloads) == payloads

    server.wait_settled(idle=4)
    assert count_descriptors(server.pid) == descriptors


def test_read_only_pool_sends_nothing_and_the_program_gets_all(
    relay: Serve, tmp_path: Path
) -> None:
    """With -r the program reads the connection, and its output goes nowhere."""
    server = relay("-p", f"cat > {tmp_path}/got; echo unsent", "-W", "1", "-r")

    assert exchange(server.place, b"kept") == b""

    server.wait_settled(idle=1)
    assert (tmp_path / "got").read_bytes() == b"kept"


def test_write_only_pool_reads_nothing_and_the_program_sees_an_empty_stdin(relay: Serve) -> None:
    """With -w the program's stdin is at its end, and its output is delivered."""
    server = relay("-p", "cat; echo spoken", "-W", "1", "-w")

    assert exchange(server.place, b"unheard") == b"spoken\n"


@pytest.mark.parametrize("options", [["-c"], ["-c", "-q"], ["-w"]])
def test_connection_ends_when_the_program_does(relay: Serve, options: list[str]) -> None:
    """A client that only listens sees the end as soon as the program has ended."""
    server = relay("-p", "echo done", "-W", "1", *options)
    with connect(server.place) as connection:
        assert read_all(connection).rstrip() == b"done"


@pytest.mark.parametrize(
    ("program", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM)]
)
def test_relay_ends_as_the_program_does(relay: Serve, program: str, status: int) -> None:
    """The log shows the program's own status, signals included."""
    server = relay("-p", program, "-W", "1", "-c")

    exchange(server.place)

    assert server.wait_event("connection_closed")["status"] == status


@pytest.mark.parametrize(
    ("target", "on_socket"), [("socket", b"err\r\n"), ("inherit", b""), ("null", b"")]
)
def test_stderr_goes_where_it_was_told(relay: Serve, target: str, on_socket: bytes) -> None:
    """--stderr means the same with a relay as without."""
    server = relay("-p", "echo err >&2", "-W", "1", "-c", "--stderr", target, is_quiet=False)

    assert exchange(server.place) == on_socket

    server.wait_event("connection_closed")
    server.stop()
    assert server.noise == (["err"] if target == "inherit" else [])


def test_program_knows_its_peer_and_gets_three_descriptors(relay: Serve) -> None:
    """The environment tells of the connection, and no descriptor of ours leaks."""
    server = relay("-p", "echo $TCPREMOTEIP; exec cat", "-W", "1", "-c")
    with connect(server.place) as connection:
        assert connection.recv(100) == b"127.0.0.1\r\n"
        wait_for(lambda: _named(server, "cat"), "the program runs")

        assert sorted(os.listdir(f"/proc/{_named(server, 'cat')[0]}/fd")) == ["0", "1", "2"]


def _named(server: Server, name: str) -> list[int]:
    return [one.pid for one in marked(server.mark) if one.name == name]


def test_relay_holds_nothing_but_its_connection_and_pipes(relay: Serve) -> None:
    """A busy relay has closed the listener and the board: 0 to 2, the connection, two pipes."""
    server = relay("-p", "cat", "-W", "1", "-c")
    with connect(server.place) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        pid = server.wait_event("connection_accepted")["pid"]

        wait_for(lambda: count_descriptors(pid) == 6, "six descriptors")
        names = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
        assert len([name for name in names if name.startswith("socket:")]) == 1
        assert len([name for name in names if name.startswith("pipe:")]) >= 2


def test_stop_terminates_relay_and_program_together(relay: Serve) -> None:
    """After the drain time SIGTERM goes to the group: program and relay both end."""
    server = relay("-p", "sleep 1000", "-W", "1", "-c", "--drain-timeout", "100ms")
    with connect(server.place):
        server.wait_event("connection_accepted")
        wait_for(lambda: any(one.name == "sleep" for one in marked(server.mark)), "it sleeps")

        assert server.stop() == 0

    assert server.wait_statuses(1) == [-signal.SIGTERM]
    assert marked(server.mark) == []


def test_client_that_resets_costs_only_its_own_connection(relay: Serve) -> None:
    """A reset ends its relay and program without a word, and the pool serves on."""
    server = relay("-p", "yes", "-W", "2", "-c")
    for _ in range(10):
        with connect(server.place) as connection:
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    assert server.wait_statuses(10) == [-signal.SIGPIPE] * 10
    server.wait_settled(idle=2)


def test_client_that_does_not_read_blocks_only_itself(relay: Serve) -> None:
    """A flood that nobody reads stops in its own relay; others are served."""
    server = relay("-p", "yes", "-W", "2", "-c")
    with connect(server.place), connect(server.place) as reading:
        assert reading.recv(3) == b"y\r\n"


def test_program_that_does_not_read_still_answers(relay: Serve) -> None:
    """What the client sends to a program that never reads it does not hold up the answer."""
    server = relay("-p", "echo answer", "-W", "1", "-c")

    with connect(server.place) as connection:
        connection.sendall(b"x" * 1000)
        assert read_all(connection) == b"answer\r\n"


def test_program_that_cannot_be_run_backs_off(relay: Serve, tmp_path: Path) -> None:
    """A program that disappears is exit 127 at a connection, as without a relay."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    server = relay("-p", str(program), "-W", "1", "-c", is_quiet=False)
    server.wait_settled(idle=1)
    program.unlink()

    assert exchange(server.place) == b""

    failed = server.wait_event("worker_failed")
    assert "No such file or directory" in failed["reason"]


def test_script_without_a_shebang_is_run_by_the_shell(relay: Serve, tmp_path: Path) -> None:
    """An executable text without "#!" works with a relay as it does without."""
    path = tmp_path / "plain"
    path.write_text('echo "$1"\n')
    path.chmod(0o755)
    server = relay("-p", f"{path} argument", "-W", "1", "-c")

    assert exchange(server.place) == b"argument\r\n"


def test_classic_bundle_with_a_program_serves_without_a_pool(relay: Serve) -> None:
    """`-wslqvp "echo hi"`, the example of the old manual, says hi to one after another."""
    server = relay("-wlqvp", "echo hi")

    assert [exchange(server.place) for _ in range(3)] == [b"hi\n"] * 3
