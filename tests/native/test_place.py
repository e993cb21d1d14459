"""Whether a client has a place, while the limits change: in C, and in a worker forked in Python."""

import ctypes
import mmap
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

import pytest

from socketd.admission.table import RuleSet, compile_table
from socketd.programs.peer import Peer
from socketd.settings.admission import Rate
from socketd.workers.arrival import Arrival
from socketd.workers.board import Board
from socketd.workers.gate import Limits
from socketd.workers.layout import SlotState
from socketd.workers.place import Place

from .shims import load

_HOUR_NS = 3600 * 10**9
_SHIM = """
#include "arrival.h"
static struct board board;
static struct arrival arrival;
static struct place place = {&board, 1, -1};
int come(void *, size_t, int, int);
int come(void *memory, size_t size, int connection, int listener)
{
    if (!board_attach(&board, memory, size))
        return -1;
    place.lock_fd = listener;
    arrival = (struct arrival){.client.address.family = AF_UNIX};
    return arrival_let_in(&arrival, &place, connection);
}
int may_queue(void);
int may_queue(void)
{
    struct queue_watch watch;
    const bool may = arrival_may_queue(&arrival, &board, &watch);

    if (may)
        queue_leave(&watch);
    return may;
}
int ask_again(int listener);
int ask_again(int listener)
{
    place.lock_fd = listener;
    return arrival_ask_again(&arrival, &place);
}
"""
_SOURCES = (
    "arrival.c",
    "place.c",
    "queue.c",
    "sources.c",
    "rates.c",
    "sensed.c",
    "admission.c",
    "identity.c",
    "environment.c",
    "address.c",
    "proxy.c",
    "proxy_intake.c",
    "doorbell.c",
)


class Side(Protocol):
    """A worker at the gate, on either side."""

    def come(self, connection: int, listener: int) -> bool:
        """Have somebody connect; tell whether he has come in."""
        ...

    def may_queue(self) -> bool:
        """Tell whether who has not come in may wait for a place."""
        ...

    def ask_again(self, listener: int) -> bool:
        """Decide again, with a listener or without; tell whether he has come in."""
        ...

    def close(self) -> None:
        """Give back what it has."""
        ...


class Native:
    """The code in C."""

    def __init__(self, library: ctypes.CDLL, board: Board) -> None:
        self._library = library
        memory = mmap.mmap(board.fd, 0)
        self._size = ctypes.c_size_t(len(memory))
        self._memory = (ctypes.c_char * len(memory)).from_buffer(memory)

    def come(self, connection: int, listener: int) -> bool:
        """Have somebody connect."""
        return int(self._library.come(self._memory, self._size, connection, listener)) == 1

    def may_queue(self) -> bool:
        """Ask."""
        return bool(self._library.may_queue())

    def ask_again(self, listener: int) -> bool:
        """Decide again."""
        return bool(self._library.ask_again(listener))

    def close(self) -> None:
        """Have nothing to give back."""


class Python:
    """The code of a worker that is forked in Python."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def come(self, connection: int, listener: int) -> bool:
        """Have somebody connect."""
        self._place = Place(self._board, 1, os.dup(listener))
        self._connection = socket.socket(fileno=os.dup(connection))
        self._arrival = Arrival(self._place, self._connection, "")
        return self._arrival.may_come_in

    def may_queue(self) -> bool:
        """Ask."""
        watch = self._arrival.queue()
        if watch is not None:
            watch.leave()
        return watch is not None

    def ask_again(self, listener: int) -> bool:
        """Decide again."""
        if listener < 0:
            self._place.leave_listener()
        self._arrival.ask_again()
        return self._arrival.may_come_in

    def close(self) -> None:
        """Give back what it has."""
        self._connection.close()
        self._place.leave_listener()


@pytest.fixture(scope="module")
def library(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the code in C."""
    return load(compiler, tmp_path_factory.mktemp("place"), _SHIM, *_SOURCES)


@pytest.fixture
def board() -> Iterator[Board]:
    """Return a board where one worker serves, this process, and another one is to."""
    with closing(Board(2)) as made:
        for number in range(2):
            made.claim(number, 1)
            made.set_pid(number, os.getpid())
        made.set_state(1, SlotState.IDLE)
        made.watch(2)
        made.gate.put_in_force(compile_table(RuleSet()))
        made.write_accepted(0, time.monotonic_ns(), Peer(), Peer())
        yield made


@pytest.fixture
def listener() -> Iterator[int]:
    """Return a listener, for its lock."""
    with socket.socket(socket.AF_UNIX) as made:
        yield made.fileno()


@pytest.fixture
def connection() -> Iterator[int]:
    """Return an end of a connection."""
    one, other = socket.socketpair()
    with one, other:
        yield one.fileno()


@pytest.fixture(params=["native", "python"])
def side(request: pytest.FixtureRequest, library: ctypes.CDLL, board: Board) -> Iterator[Side]:
    """Return a worker."""
    made: Side = Native(library, board) if request.param == "native" else Python(board)
    with closing(made):
        yield made


def test_who_may_wait_is_not_sent_away_because_the_limit_has_gone(
    side: Side, board: Board, connection: int, listener: int
) -> None:
    """No limits had that: the former ones had it wait, and by the new ones there is a place."""
    board.gate.limit(Limits(most=1, queue_ns=_HOUR_NS))
    assert not side.come(connection, listener)

    board.gate.limit(Limits())

    assert side.may_queue()
    assert side.ask_again(listener)


def test_who_waits_is_sent_away_once_nobody_may_wait(
    side: Side, board: Board, connection: int, listener: int
) -> None:
    """The limits in force are those of the last look."""
    board.gate.limit(Limits(most=1, queue_ns=_HOUR_NS))
    assert not side.come(connection, listener)
    assert side.may_queue()

    board.gate.limit(Limits(most=1))

    assert not side.ask_again(listener)
    assert not side.may_queue()


@pytest.mark.parametrize(
    "limits", [Limits(most=2), Limits(rate=Rate(1, 1)), Limits(source_rate=Rate(1, 1))]
)
def test_limit_that_comes_while_a_client_waits_is_for_those_behind_it(
    side: Side, board: Board, connection: int, listener: int, limits: Limits
) -> None:
    """Who came without any has given the listener back, by which clients are counted."""
    board.gate.limit(Limits())
    assert side.come(connection, listener)

    board.gate.limit(limits)

    assert side.ask_again(-1)
