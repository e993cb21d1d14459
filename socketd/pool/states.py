"""The states of a worker and every transition between them.

Owns the transition table: all moves are in this file, and a pair that is not in the table is a bug.
Knows nothing of strategies, timers or the rest of the pool.

    STARTING ── start ──> IDLE ── accept ──> BUSY ── exit ──> (gone)
        └──────── accept ───────────────────^  ^
    STARTING, IDLE ── retire ──> RETIRING ─────┘ accept

A retiring worker may still become busy: the request to exit and a connection can arrive at the same
time, and then the connection wins. A starting worker may become busy without having been seen idle,
because workers do not notify the master of that once the service is up.
"""

import enum


class WorkerState(enum.IntEnum):
    """The state of a living worker, as far as the pool knows.

    An IntEnum, like Move, because the table below is read several times per connection, and the
    hash of an int is computed in C.
    """

    STARTING = 1
    IDLE = 2
    BUSY = 3
    RETIRING = 4


class Move(enum.IntEnum):
    """What can happen to a worker."""

    START = 1
    ACCEPT = 2
    RETIRE = 3
    EXIT = 4
    STILLBIRTH = 5


class ImpossibleMoveError(Exception):
    """A worker did what the table does not contain: a bug in socketd, not in the worker."""


_S = WorkerState
_TRANSITIONS: dict[tuple[WorkerState, Move], WorkerState | None] = {
    (_S.STARTING, Move.START): _S.IDLE,
    (_S.STARTING, Move.ACCEPT): _S.BUSY,
    (_S.STARTING, Move.RETIRE): _S.RETIRING,
    (_S.STARTING, Move.EXIT): None,
    (_S.STARTING, Move.STILLBIRTH): None,
    (_S.IDLE, Move.ACCEPT): _S.BUSY,
    (_S.IDLE, Move.RETIRE): _S.RETIRING,
    (_S.IDLE, Move.EXIT): None,
    (_S.BUSY, Move.EXIT): None,
    (_S.RETIRING, Move.START): _S.RETIRING,
    (_S.RETIRING, Move.ACCEPT): _S.BUSY,
    (_S.RETIRING, Move.EXIT): None,
    (_S.RETIRING, Move.STILLBIRTH): None,
}


def next_state(worker: int, state: WorkerState, move: Move) -> WorkerState | None:
    """Return the state after a move, None for a worker that is gone.

    Raises ImpossibleMoveError for a pair that is not in the table.
    """
    try:
        return _TRANSITIONS[state, move]
    except KeyError:
        raise ImpossibleMoveError(
            f"worker {worker} cannot {move.name.lower()} while {state.name.lower()}"
        ) from None
