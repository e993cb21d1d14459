"""The transition table of a worker: what is in it, and that everything else is refused."""

import itertools

import pytest

from socketd.pool.policy import Pool
from socketd.pool.settings import PoolSettings
from socketd.pool.states import ImpossibleMoveError, Move, WorkerState, next_state

GONE = None
POSSIBLE = {
    (WorkerState.STARTING, Move.START): WorkerState.IDLE,
    (WorkerState.STARTING, Move.ACCEPT): WorkerState.BUSY,
    (WorkerState.STARTING, Move.RETIRE): WorkerState.RETIRING,
    (WorkerState.STARTING, Move.EXIT): GONE,
    (WorkerState.STARTING, Move.STILLBIRTH): GONE,
    (WorkerState.IDLE, Move.ACCEPT): WorkerState.BUSY,
    (WorkerState.IDLE, Move.RETIRE): WorkerState.RETIRING,
    (WorkerState.IDLE, Move.EXIT): GONE,
    (WorkerState.BUSY, Move.EXIT): GONE,
    (WorkerState.RETIRING, Move.START): WorkerState.RETIRING,
    (WorkerState.RETIRING, Move.ACCEPT): WorkerState.BUSY,
    (WorkerState.RETIRING, Move.EXIT): GONE,
    (WorkerState.RETIRING, Move.STILLBIRTH): GONE,
}
IMPOSSIBLE = [pair for pair in itertools.product(WorkerState, Move) if pair not in POSSIBLE]


@pytest.mark.parametrize(("state", "move"), POSSIBLE)
def test_possible_move_leads_to_the_state_of_the_diagram(state: WorkerState, move: Move) -> None:
    """Every arrow of the diagram leads where it points."""
    assert POSSIBLE[state, move] == next_state(3, state, move)


@pytest.mark.parametrize(("state", "move"), IMPOSSIBLE)
def test_move_without_an_arrow_names_worker_state_and_move(state: WorkerState, move: Move) -> None:
    """A pair that the diagram does not show raises, and says which worker, state and move."""
    with pytest.raises(ImpossibleMoveError) as caught:
        next_state(41, state, move)

    assert str(caught.value) == f"worker 41 cannot {move.name.lower()} while {state.name.lower()}"


@pytest.mark.parametrize("state", WorkerState)
def test_every_worker_can_die(state: WorkerState) -> None:
    """A process may end at any moment, so exit is possible in every state."""
    assert next_state(0, state, Move.EXIT) is GONE


def test_connection_wins_over_the_request_to_leave() -> None:
    """A retiring worker that has accepted is busy, because its connection must be served."""
    assert next_state(0, WorkerState.RETIRING, Move.ACCEPT) is WorkerState.BUSY


def test_busy_worker_leaves_only_by_its_exit() -> None:
    """Nothing but its exit ends a busy worker: no move takes a connection from it."""
    moves = [move for move in Move if (WorkerState.BUSY, move) not in IMPOSSIBLE]

    assert moves == [Move.EXIT]


def test_worker_that_was_seen_alive_is_not_stillborn() -> None:
    """Only a worker that has not been seen yet can turn out never to have been born."""
    with pytest.raises(ImpossibleMoveError):
        next_state(0, WorkerState.IDLE, Move.STILLBIRTH)


def test_chain_of_the_missing_pair_is_dropped() -> None:
    """The error stands alone: the missing key of the table behind it would only mislead."""
    with pytest.raises(ImpossibleMoveError) as caught:
        next_state(0, WorkerState.BUSY, Move.ACCEPT)

    assert caught.value.__suppress_context__


def test_unknown_state_of_a_number_is_none() -> None:
    """A number that no living worker has is in no state."""
    pool = Pool(PoolSettings(minimum=1, maximum=2))
    pool.start(0.0)

    assert [pool.state_of(0), pool.state_of(1)] == [WorkerState.STARTING, None]
