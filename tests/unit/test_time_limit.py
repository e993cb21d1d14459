"""The time that a connection may take."""

import pytest

from socketd.pool.messages import (
    ArmTimer,
    Command,
    DisarmTimer,
    KillWorkers,
    PoolTimer,
    TerminateWorkers,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.settings import PoolSettings
from socketd.pool.timelimit import EndReason, TimeLimit

EXPIRED = TimerExpired(PoolTimer.LIMIT)


def limit_of(seconds: float | None, kill_seconds: float = 5.0) -> TimeLimit:
    """Return a limit for a pool of any size."""
    return TimeLimit(PoolSettings(1, 8, limit_seconds=seconds, kill_seconds=kill_seconds))


def arm(due_seconds: float) -> list[Command]:
    """Return the command that arms the timer."""
    return [ArmTimer(PoolTimer.LIMIT, due_seconds)]


def test_without_a_limit_nothing_is_watched() -> None:
    """A connection may take as long as it likes."""
    limit = limit_of(None)

    assert limit.handle(WorkerAccepted(0), 1.0) == []
    assert limit.handle(WorkerExited(0, 0), 2.0) == []
    assert limit.state() == ()


def test_connection_that_ends_in_time_leaves_no_timer() -> None:
    """A master with nobody at work sleeps without a deadline."""
    limit = limit_of(10.0)

    assert limit.handle(WorkerStarted(0), 0.0) == []
    assert limit.handle(WorkerAccepted(0), 1.0) == arm(11.0)
    assert limit.handle(WorkerExited(0, 0), 2.0) == [DisarmTimer(PoolTimer.LIMIT)]


def test_connection_that_takes_longer_is_ended_and_then_killed() -> None:
    """SIGTERM comes first; whoever is there after the time for that is killed, once."""
    limit = limit_of(10.0)
    limit.handle(WorkerAccepted(3), 1.0)

    assert limit.handle(EXPIRED, 11.0) == [TerminateWorkers((3,)), *arm(16.0)]
    assert limit.handle(EXPIRED, 16.0) == [KillWorkers((3,))]
    assert limit.handle(WorkerExited(3, -9), 16.1) == []


def test_worker_that_heeds_the_first_signal_is_not_killed() -> None:
    """Nor is whoever gets its number."""
    limit = limit_of(10.0)
    limit.handle(WorkerAccepted(3), 1.0)
    limit.handle(EXPIRED, 11.0)

    assert limit.handle(WorkerExited(3, -15), 11.5) == [DisarmTimer(PoolTimer.LIMIT)]
    assert limit.handle(WorkerAccepted(3), 12.0) == arm(22.0)
    assert limit.handle(EXPIRED, 22.0) == [TerminateWorkers((3,)), *arm(27.0)]


def test_one_timer_is_that_of_the_first_who_is_due() -> None:
    """It is armed anew only when the first one changes."""
    limit = limit_of(10.0)

    assert limit.handle(WorkerAccepted(0), 1.0) == arm(11.0)
    assert limit.handle(WorkerAccepted(1), 2.0) == []
    assert limit.handle(WorkerAccepted(2), 2.0) == []
    assert limit.handle(WorkerExited(1, 0), 3.0) == []
    assert limit.handle(WorkerExited(0, 0), 4.0) == arm(12.0)
    assert limit.handle(EXPIRED, 12.0) == [TerminateWorkers((2,)), *arm(17.0)]


def test_those_who_are_due_together_are_told_together() -> None:
    """One command ends all whose time is over."""
    limit = limit_of(10.0)
    limit.handle(WorkerAccepted(0), 1.0)
    limit.handle(WorkerAccepted(1), 1.5)

    assert limit.handle(EXPIRED, 11.6) == [TerminateWorkers((0, 1)), *arm(16.6)]


def test_timer_that_is_late_finds_its_worker_gone() -> None:
    """An expiry that was on its way when the worker ended does nothing."""
    limit = limit_of(10.0)
    limit.handle(WorkerAccepted(0), 1.0)
    limit.handle(WorkerExited(0, 0), 11.0)

    assert limit.handle(EXPIRED, 11.0) == []


@pytest.mark.parametrize("seconds", [2.0, 100.0, None])
def test_limit_that_a_reload_changes_is_for_those_who_come(seconds: float | None) -> None:
    """Who is at work keeps the deadline of its beginning, also if a later one is due earlier."""
    limit = limit_of(10.0)
    limit.handle(WorkerAccepted(0), 1.0)
    limit.reload(PoolSettings(1, 8, limit_seconds=seconds))

    expected = arm(4.0) if seconds == 2.0 else []
    assert limit.handle(WorkerAccepted(1), 2.0) == expected
    if seconds == 2.0:
        assert limit.handle(WorkerExited(1, 0), 3.0) == arm(11.0)
    assert limit.handle(EXPIRED, 11.0)[0] == TerminateWorkers((0,))


def test_another_goes_on_with_the_same_deadlines() -> None:
    """What is passed on is what there was, and its timer is armed already."""
    first, second = limit_of(10.0), limit_of(10.0)
    first.handle(WorkerAccepted(0), 1.0)
    first.handle(WorkerAccepted(1), 2.0)
    first.handle(EXPIRED, 11.0)

    second.restore(first.state())

    assert second.state() == first.state()
    assert second.handle(EXPIRED, 12.0) == [TerminateWorkers((1,)), *arm(16.0)]
    assert second.handle(EXPIRED, 16.0) == [KillWorkers((0,)), *arm(17.0)]


def test_reason_of_an_end_is_known_until_the_worker_is_gone() -> None:
    """For the log, which tells of the end."""
    limit = limit_of(10.0)
    limit.handle(WorkerAccepted(0), 1.0)
    assert limit.reason_of(0) is None

    limit.handle(EXPIRED, 11.0)
    assert limit.reason_of(0) is EndReason.TIME
