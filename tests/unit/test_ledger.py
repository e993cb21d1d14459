"""What is believed of a slot, whatever stands on the board."""

from collections.abc import Iterator

import pytest

from socketd.workers.board import Board
from socketd.workers.children import Children
from socketd.workers.layout import SlotState, Step
from socketd.workers.ledger import Ledger, Slot

CAPACITY = 8


class Clock:
    """A clock that goes on by one with each look."""

    def __init__(self) -> None:
        self.now_ns = 100

    def __call__(self) -> int:
        """Return the time."""
        self.now_ns += 1
        return self.now_ns


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """Lend a ledger with nothing claimed."""
    board = Board(CAPACITY)
    yield Ledger(board, Children().add_family(), Clock())
    board.close()


def claim(ledger: Ledger, number: int, pid: int = 4711) -> None:
    """Claim a slot and say who is there."""
    ledger.claim(number, 1)
    ledger.name(number, pid)


def test_slot_that_nobody_has_claimed_has_no_news(ledger: Ledger) -> None:
    """Whatever it says."""
    for state in SlotState:
        ledger.board.set_state(2, state)

        assert not ledger.start(2)
        assert not ledger.accept(2)
        assert not ledger.can_have_failed_to_fork(2)
    assert ledger.pid(2) == 0
    assert ledger.find(2) is None


def test_worker_waits_and_accepts_once(ledger: Ledger) -> None:
    """A second time is not believed, nor that it waits with a connection."""
    claim(ledger, 2)

    assert ledger.start(2)
    assert ledger.is_seen_idle(2)
    assert ledger.accept(2)
    assert not ledger.accept(2)
    assert not ledger.start(2)
    assert not ledger.is_seen_idle(2)
    assert ledger.is_busy(2)


def test_worker_may_accept_without_having_been_seen_waiting(ledger: Ledger) -> None:
    """Nobody tells us of those who wait once the service is up."""
    claim(ledger, 2)

    assert ledger.accept(2)


def test_only_who_is_not_there_may_be_stillborn(ledger: Ledger) -> None:
    """Neither who is known, nor who has a connection."""
    ledger.claim(1, 1)
    claim(ledger, 2)

    assert ledger.can_have_failed_to_fork(1)
    assert not ledger.can_have_failed_to_fork(2)
    assert not ledger.can_have_failed_to_fork(3)


def test_of_a_doubted_slot_nothing_is_believed(ledger: Ledger) -> None:
    """Until it is released; and it is doubted for the first time once."""
    claim(ledger, 2)

    assert ledger.doubt(2)
    assert not ledger.doubt(2)
    assert not ledger.start(2)
    assert not ledger.accept(2)
    ledger.release(2)
    claim(ledger, 2, 4712)
    assert ledger.accept(2)


def test_who_is_known_is_not_asked_for_again(ledger: Ledger) -> None:
    """What stands on the board then is of no interest."""
    claim(ledger, 2)
    ledger.board.set_pid(2, 1)

    assert ledger.pid(2) == 4711
    assert ledger.nameless == set()


def test_nobody_is_believed_who_is_not_ours(ledger: Ledger) -> None:
    """The slot stays without a name."""
    ledger.claim(2, 1)
    ledger.board.set_pid(2, 1)
    ledger.name_all()

    assert ledger.pid(2) == 0
    assert ledger.nameless == {2}


def test_unborn_are_those_without_a_process(ledger: Ledger) -> None:
    """Of the generations that are asked for, whatever generation the board names."""
    ledger.claim(1, 1)
    claim(ledger, 2)
    ledger.claim(3, 2)
    ledger.board.claim(3, 1)

    assert ledger.unborn(lambda generation: generation == 1) == [1]
    assert ledger.waiting(1) == [1, 2]


def test_abandoned_are_told_once(ledger: Ledger) -> None:
    """And stand on the board, for whoever looks there."""
    ledger.claim(1, 1)
    ledger.abandon((1,))

    assert ledger.has_abandoned
    assert ledger.board.state(1) == SlotState.STILLBORN
    assert ledger.board.record(1).step is Step.FORK
    assert ledger.take_abandoned() == {1: 125}
    assert ledger.take_abandoned() == {}


def test_released_slot_is_abandoned_no_more(ledger: Ledger) -> None:
    """It may be claimed anew before anybody has been told."""
    ledger.claim(1, 1)
    ledger.abandon((1,))
    ledger.release(1)

    assert not ledger.has_abandoned


@pytest.mark.parametrize(
    ("claimed_ns", "expected"), [(0, 102), (101, 101), (102, 102), (2**64 - 1, 102)]
)
def test_time_of_a_connection_lies_between_claim_and_notice(
    ledger: Ledger, claimed_ns: int, expected: int
) -> None:
    """Any other is not believed: then it was when we took note of it."""
    claim(ledger, 2)  # at 101
    ledger.accept(2)  # at 102

    assert ledger.accepted_ns(2, claimed_ns) == expected


def test_seen_waiting_are_counted_until_they_are_released(ledger: Ledger) -> None:
    """Whatever they do meanwhile."""
    for number in (1, 2):
        claim(ledger, number, 4711 + number)
        ledger.start(number)
    ledger.accept(1)
    assert ledger.seen_idle == 2

    ledger.release(1)
    assert ledger.seen_idle == 1


def test_ledger_is_restored_as_it_was(ledger: Ledger) -> None:
    """What a re-exec passes on."""
    claim(ledger, 1)
    ledger.start(1)
    ledger.claim(2, 1)
    again = Ledger(ledger.board, ledger.family)

    again.restore(ledger.state())

    assert again.find(1) == Slot(1, 101, is_seen_idle=True)
    assert again.seen_idle == 1
    assert again.nameless == {2}
