"""The pool end to end: every byte comes back, and the pool is afterwards as it was before."""

import random
from collections.abc import Callable

import pytest

from harness.clients import connect, exchange, exchange_at_once, read_all
from harness.extent import by_extent
from harness.processes import count_descriptors
from harness.servers import Server
from harness.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.ready("load", "read", "stop", "relay")]

# Sizes are drawn from five, so each comes many times.
SEQUENCE = by_extent(200, 600)
# A fork of Python costs ten times as much as one of the template.
A_FORK_EACH = 200
ServeFixture = Callable[..., Server]


def test_command_of_the_readme_keeps_exactly_four_idle_workers(serve: ServeFixture) -> None:
    """`-W 4` has four workers waiting before the first connection, and no more."""
    server = serve("-p", "cat", "-l", "-f", "-W", "4", "-B", "localhost", "-s", "0")

    server.wait_settled(idle=4)

    assert server.wait_event("service_ready")["workers"] == 4


def test_connections_one_after_another_come_back_whole(
    serve: ServeFixture, worker_kind: str
) -> None:
    """Connections in sequence are echoed byte for byte and leave the pool as it was."""
    server = serve(
        "-p", "cat", "-l", "-f", "-W", "4", "-B", "localhost", "-s", "0", is_measured=False
    )
    place = server.place
    descriptors = server.count_at_rest(idle=4)
    source = random.Random(1)

    for number in range(SEQUENCE if worker_kind != "python" else A_FORK_EACH):
        payload = source.randbytes(source.choice((0, 1, 64, 4096, 100_000)) if number else 1 << 20)
        assert exchange(place, payload) == payload

    server.wait_settled(idle=4)
    assert count_descriptors(server.pid) == descriptors


def test_three_hundred_connections_at_once_come_back_whole(serve: ServeFixture) -> None:
    """A burst beyond the pool is echoed byte for byte and leaves the pool as it was."""
    server = serve(
        "-p", "cat", "-l", "-f", "-W", "4", "-B", "localhost", "-s", "0", is_measured=False
    )
    place = server.place
    descriptors = server.count_at_rest(idle=4)
    source = random.Random(2)
    payloads = [source.randbytes(source.randint(0, 1 << 20)) for _ in range(300)]

    assert exchange_at_once(place, payloads) == payloads

    server.wait_settled(idle=4)
    assert count_descriptors(server.pid) == descriptors


def test_two_hundred_accepts_in_one_burst_are_all_noticed(serve: ServeFixture) -> None:
    """SIGUSR1s merge, yet the master knows of every accept at once."""
    server = serve(
        "-p",
        "cat",
        "-W",
        "200",
        "--max-workers",
        "200",
        "-B",
        "localhost",
        "-s",
        "0",
        is_measured=False,
    )
    place = server.place
    server.wait_settled(idle=200)

    connections = [connect(place) for _ in range(200)]

    wait_for(lambda: len(server.events("connection_accepted")) == 200, "200 accepts in the log")
    assert (server.board.idle, server.board.busy) == (0, 200)
    assert len({line["pid"] for line in server.events("connection_accepted")}) == 200
    for connection in connections:
        with connection:
            connection.shutdown(1)
            assert read_all(connection) == b""
    server.wait_settled(idle=200)


def test_unix_path_is_served_and_removed(serve: ServeFixture, tmp_path: object) -> None:
    """A path with a slash is a UNIX socket; it is gone after the stop."""
    path = f"{tmp_path}/echo.sock"
    server = serve("-p", "cat", "-W", "2", "-s", path)

    assert exchange(server.place, b"over unix") == b"over unix"

    assert server.stop() == 0
    with pytest.raises(FileNotFoundError):
        connect(path)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_server_without_bind_address_listens_on_both_families(
    serve: ServeFixture, host: str
) -> None:
    """Without -B a port answers over IPv4 and IPv6."""
    server = serve("-p", "cat", "-W", "1", "-s", "0")

    port = server.wait_event("service_ready")["port"]

    assert exchange((host, port), b"dual") == b"dual"


def test_server_without_loop_ends_after_one_connection(serve: ServeFixture) -> None:
    """Without -l a single connection is served, then the command is done."""
    server = serve("-p", "cat", "-B", "localhost", "-s", "0")

    assert exchange(server.place, b"once") == b"once"

    assert server.wait() == 0


def test_server_without_fork_serves_one_connection_at_a_time(serve: ServeFixture) -> None:
    """Without -f the second connection waits in the queue until the first has ended."""
    server = serve("-p", "cat", "-l", "-B", "localhost", "-s", "0")
    place = server.place

    with connect(place) as first, connect(place) as second:
        server.wait_event("connection_accepted")
        second.sendall(b"patience")
        second.shutdown(1)
        assert (server.board.busy, server.board.alive) == (1, 1)
        first.shutdown(1)
        assert read_all(first) == b""
        assert read_all(second) == b"patience"
