"""Who has been left behind, and is told to end: what an open connection may own is never."""

from dataclasses import replace

import pytest

from socketd.pool.leftovers import Household, Known, Leftovers, Orphan, Signals

# Of a service with a template 10, whose session it is; a connection began at 5.
ORPHAN = Orphan(pid=50, group=40, session=10, household=0, uid=1000, started_seconds=7.0)
LONER = replace(ORPHAN, group=50, session=50, household=None)
QUIET = Household(0, frozenset({1000}), ends_children=True, since=())
BUSY = replace(QUIET, since=(5.0,))
KNOWN = Known(frozenset({10, 20}), frozenset({20}))


def judged(orphan: Orphan, *households: Household, ended: int = 0) -> Signals:
    """Return what happens to one orphan at the time 9."""
    leftovers = Leftovers()
    if ended:
        leftovers.note_end(ended)
    return leftovers.judge([orphan], households, KNOWN, 5.0, 9.0)


@pytest.mark.parametrize("orphan", [ORPHAN, LONER])
def test_orphan_of_nobody_is_told_to_end(orphan: Orphan) -> None:
    """When no connection is open that may have started it, whether it has left its session."""
    assert judged(orphan, QUIET) == Signals(terminate=(50,))


@pytest.mark.parametrize("orphan", [ORPHAN, LONER])
def test_orphan_that_a_connection_may_own_is_left_alone(orphan: Orphan) -> None:
    """All that was started since the connection is open."""
    assert judged(orphan, BUSY) == Signals()
    assert judged(replace(orphan, started_seconds=4.0), BUSY) == Signals(terminate=(50,))
    assert judged(replace(orphan, started_seconds=None), BUSY) == Signals()


def test_orphan_in_the_group_of_a_worker_is_a_part_of_it() -> None:
    """Or in its session, which a worker may lead; that of a template says nothing."""
    assert judged(replace(ORPHAN, group=20), QUIET) == Signals()
    assert judged(replace(ORPHAN, session=20), QUIET) == Signals()
    assert judged(replace(ORPHAN, group=10), QUIET) == Signals()


def test_orphan_in_the_group_of_a_program_that_has_ended_is_its_own() -> None:
    """Whatever else is open; its group has had its SIGTERM, so what is left is SIGKILL."""
    leftovers = Leftovers()
    leftovers.note_end(40)

    assert leftovers.judge([ORPHAN], [BUSY], KNOWN, 5.0, 9.0) == Signals()
    assert leftovers.next_seconds == 14.0
    assert leftovers.judge([ORPHAN], [BUSY], KNOWN, 5.0, 14.0) == Signals(kill=(50,))
    assert judged(replace(ORPHAN, session=40, group=50), BUSY, ended=40) == Signals((50,))


def test_orphan_of_a_service_that_keeps_them_is_kept() -> None:
    """And one that may be of such a service."""
    keeping = replace(QUIET, number=1, ends_children=False)

    assert judged(replace(ORPHAN, household=1), QUIET, keeping) == Signals()
    assert judged(LONER, QUIET, keeping) == Signals()
    assert judged(LONER, QUIET, replace(keeping, uids=frozenset({0}))) == Signals((50,))
    assert judged(replace(LONER, uid=0), QUIET) == Signals()


def test_what_a_held_program_has_started_is_its_own() -> None:
    """It was started while the program was, ahead of every connection."""
    ahead = replace(QUIET, ahead=((6.0, 8.0),))

    assert judged(LONER, ahead) == Signals()
    assert judged(replace(LONER, started_seconds=8.5), ahead) == Signals((50,))


def test_orphan_is_told_once_and_then_killed() -> None:
    """And if it is still there, which it cannot be, again after a while."""
    leftovers = Leftovers()

    assert leftovers.judge([LONER], [QUIET], KNOWN, 0.3, 9.0) == Signals(terminate=(50,))
    assert leftovers.judge([LONER], [QUIET], KNOWN, 0.3, 9.1) == Signals()
    assert leftovers.judge([LONER], [QUIET], KNOWN, 0.3, 9.3) == Signals(kill=(50,))
    assert leftovers.next_seconds == 10.3
    assert not leftovers.is_gone
    assert leftovers.forget(50)
    assert not leftovers.forget(50)
    assert leftovers.next_seconds is None


def test_who_is_not_there_any_more_is_forgotten() -> None:
    """Nobody is waited for whose end was seen by another."""
    leftovers = Leftovers()
    leftovers.judge([LONER], [QUIET], KNOWN, 5.0, 9.0)

    assert leftovers.judge([], [QUIET], KNOWN, 5.0, 10.0) == Signals()
    assert leftovers.is_gone


def test_who_cannot_be_signalled_is_left_alone() -> None:
    """A server does not wait at its end for a program that is another user's by now."""
    leftovers = Leftovers()
    leftovers.judge([LONER], [QUIET], KNOWN, 0.3, 9.0)
    leftovers.give_up(50)

    assert leftovers.is_gone
    assert leftovers.judge([LONER], [QUIET], KNOWN, 0.3, 10.0) == Signals()
    assert not leftovers.forget(50)
    assert leftovers.judge([LONER], [QUIET], KNOWN, 0.3, 11.0) == Signals(terminate=(50,))


def test_group_without_a_process_is_forgotten() -> None:
    """Its number may be that of another group by then."""
    leftovers = Leftovers()
    leftovers.note_end(40)
    leftovers.forget_groups([])
    leftovers.forget_groups([LONER])

    assert leftovers.judge([ORPHAN], [BUSY], KNOWN, 5.0, 9.0) == Signals()
    assert leftovers.is_gone
