"""The strategies with real processes, watched through the board.

The rules stand in socketd/pool/strategies.py; here the kernel, the signals and the clock join in.
Copies are asked for and let go in one way, at whatever level their template is held.
"""

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from harness.boards import BoardView
from harness.clients import Place, connect, exchange, read_all
from harness.servers import Server
from harness.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.ready("load", "relay")]

Serve = Callable[..., Server]

# Long enough for a test's steps before the pool shrinks, short enough to wait for it.
IDLE = "300ms"
NEVER = "1h"


def start(serve: Serve, strategy: str, least: int, most: int | None, idle: str) -> Server:
    """Start a server and wait until the pool has its first size."""
    limit = [] if most is None else ["--max-workers", str(most)]
    server = serve(
        "-p", "cat", "-B", "127.0.0.1", "-s", "0", "--strategy", strategy, "-W", str(least),
        *limit, "--idle-timeout", idle,
    )  # fmt: skip
    server.wait_settled(idle=least)
    return server


def wait_size(server: Server, board: BoardView, idle: int, busy: int) -> None:
    """Wait until so many workers wait, so many serve, and there are no others."""
    wanted = (idle, busy, idle + busy, idle + busy)

    def size() -> tuple[int, int, int, int]:
        return board.idle, board.busy, board.alive, len(server.workers())

    wait_for(lambda: size() == wanted, f"{idle} idle and {busy} busy workers")


@contextlib.contextmanager
def held(place: Place, server: Server, count: int) -> Iterator[None]:
    """Hold so many connections; all of them have been accepted."""
    before = len(server.events("connection_accepted"))
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(connect(place))
        wait_for(
            lambda: len(server.events("connection_accepted")) == before + count, f"{count} accepts"
        )
        yield


def targets(server: Server) -> list[int]:
    """Return the sizes that the pool has reported, in order."""
    return [line["target"] for line in server.events("pool_resized")]


def wait_targets(server: Server, sizes: list[int]) -> None:
    """Wait until the pool has reported exactly these sizes."""
    wait_for(lambda: targets(server) == sizes, f"the pool was {sizes}")


def test_fixed_pool_keeps_its_size(serve: Serve) -> None:
    """N workers stay N: accepting starts nobody, each completion starts one, none is let go."""
    server = start(serve, "fixed", 3, None, IDLE)
    board, place = server.board, server.place
    assert board.alive == 3

    with held(place, server, 2):
        wait_size(server, board, idle=1, busy=2)
        with held(place, server, 1):
            wait_size(server, board, idle=0, busy=3)

    wait_size(server, board, idle=3, busy=0)
    for _ in range(10):
        assert exchange(place, b"x") == b"x"
    wait_size(server, board, idle=3, busy=0)
    assert targets(server) == []


def test_fixed_pool_lets_the_next_client_wait(serve: Serve) -> None:
    """With all N busy a connection waits in the queue, and is served by the next worker."""
    server = start(serve, "fixed", 1, None, IDLE)
    board, place = server.board, server.place

    first = connect(place)
    server.wait_event("connection_accepted")
    with connect(place) as waiting:
        wait_size(server, board, idle=0, busy=1)
        first.close()
        waiting.sendall(b"in the end")
        waiting.shutdown(socket.SHUT_WR)
        assert read_all(waiting) == b"in the end"

    wait_size(server, board, idle=1, busy=0)


def test_eager_pool_replaces_each_worker_that_accepts(serve: Serve) -> None:
    """The minimum is idle again after each accept; what is too many goes after a quiet time."""
    server = start(serve, "eager", 2, 6, IDLE)
    board, place = server.board, server.place

    with contextlib.ExitStack() as stack:
        for busy in range(1, 5):
            stack.enter_context(held(place, server, 1))
            wait_size(server, board, idle=2, busy=busy)

    wait_size(server, board, idle=2, busy=0)
    wait_for(lambda: targets(server)[:4] == [3, 4, 5, 6], "it was six")


def test_eager_pool_ends_at_its_maximum(serve: Serve) -> None:
    """At the maximum fewer wait, then nobody; the minimum waits again when there is room."""
    server = start(serve, "eager", 2, 4, NEVER)
    board, place = server.board, server.place

    with held(place, server, 3):
        wait_size(server, board, idle=1, busy=3)
        with held(place, server, 1):
            wait_size(server, board, idle=0, busy=4)
        wait_for(lambda: board.idle >= 1, "a worker waits again")

    wait_size(server, board, idle=2, busy=0)
    wait_for(lambda: max(targets(server), default=0) == 4, "it was four, and no more")


def test_adaptive_pool_has_some_waiting_for_those_who_come_together(serve: Serve) -> None:
    """Idle workers grow with the connections, and go down to the minimum after a quiet time."""
    server = start(serve, "adaptive", 1, 256, IDLE)
    board, place = server.board, server.place

    with held(place, server, 3):
        pass

    wait_size(server, board, idle=1, busy=0)
    wait_for(lambda: targets(server)[:2] == [2, 4], "it was four")


def test_pool_that_is_not_told_a_size_is_adaptive(serve: Serve) -> None:
    """Without -W one worker waits, and under load more than one, but no more than are at work."""
    server = serve("-p", "cat", "-l", "-f", "-B", "127.0.0.1", "-s", "0", "--idle-timeout", NEVER)
    server.wait_settled(idle=1)

    with held(server.place, server, 3):
        # How many of the three came within one moment is chance.
        wait_for(lambda: targets(server)[:2] == [2, 4], "two wait beside two")
        wait_for(lambda: targets(server)[-1] in (5, 6), "two or three wait beside three")


def test_incremental_pool_starts_two_for_each_completion(serve: Serve) -> None:
    """Accepting starts nobody; a completion makes the pool one larger, up to the maximum."""
    server = start(serve, "incremental", 1, 4, NEVER)
    board, place = server.board, server.place

    for size in (1, 2, 3, 4, 4):
        with held(place, server, 1):
            wait_size(server, board, idle=size - 1, busy=1)
        wait_size(server, board, idle=min(size + 1, 4), busy=0)

    wait_targets(server, [2, 3, 4])


def test_incremental_pool_shrinks_by_halves(serve: Serve) -> None:
    """After each quiet time half of what is above the minimum leaves, at least one."""
    server = start(serve, "incremental", 1, 9, IDLE)
    board, place = server.board, server.place

    while max(targets(server), default=1) < 9:
        assert exchange(place, b"x") == b"x"
        wait_for(lambda: board.busy == 0 and board.idle > 0, "completed")
    wait_size(server, board, idle=1, busy=0)

    wait_for(lambda: targets(server)[-5:] == [9, 5, 3, 2, 1], "it shrank by halves")


def test_surge_goes_to_the_maximum_at_the_first_connection(serve: Serve) -> None:
    """One accept at the minimum starts all that may be; further ones start nobody."""
    server = start(serve, "surge", 1, 6, NEVER)
    board, place = server.board, server.place

    with held(place, server, 1):
        wait_size(server, board, idle=5, busy=1)
        with held(place, server, 2):
            wait_size(server, board, idle=3, busy=3)

    wait_size(server, board, idle=6, busy=0)
    wait_targets(server, [6])


def test_surge_shrinks_by_halves_and_surges_again(serve: Serve) -> None:
    """Quiet times take the pool down to the minimum, from where it may surge anew."""
    server = start(serve, "surge", 1, 6, IDLE)
    board, place = server.board, server.place

    for sizes in ([6, 4, 3, 2, 1], [6, 4, 3, 2, 1] * 2):
        assert exchange(place, b"x") == b"x"
        wait_targets(server, sizes)
        wait_size(server, board, idle=1, busy=0)


def test_connections_one_after_another_do_not_keep_a_pool_up(serve: Serve) -> None:
    """While one client comes after the other, all leave that one at a time does not need."""
    server = start(serve, "surge", 1, 6, IDLE)
    board, place = server.board, server.place

    sizes = [6]
    while sizes[-1] > 2:
        assert exchange(place, b"x") == b"x"
        wait_for(lambda: board.busy == 0, "the master has seen its end")
        sizes = targets(server) or sizes

    assert sizes[0] == 6
    wait_size(server, board, idle=1, busy=0)
