"""A reload: the new generation comes up before the old one leaves, within the maximum."""

from socketd.pool.messages import (
    ArmTimer,
    AskToFinish,
    Command,
    DisarmTimer,
    PoolTimer,
    RetireWorkers,
    SpawnWorkers,
    StopRequested,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.policy import Phase, Pool
from socketd.pool.settings import PoolSettings, Strategy
from socketd.pool.states import WorkerState
from socketd.pool.strategies import Size

FORGET: list[Command] = [DisarmTimer(PoolTimer.RETRY), DisarmTimer(PoolTimer.SHRINK)]


def pool_of(settings: PoolSettings) -> Pool:
    """Return a pool whose first workers all wait."""
    pool = Pool(settings)
    pool.start(0.0)
    for worker in range(settings.minimum):
        pool.handle(WorkerStarted(worker), 0.0)
    return pool


def test_new_generation_starts_while_the_old_one_waits() -> None:
    """A reload starts the minimum anew and asks nobody to leave yet."""
    settings = PoolSettings(2, 8)
    pool = pool_of(settings)

    assert pool.reload(settings, 1.0) == [*FORGET, SpawnWorkers((2, 3), 1)]
    assert pool.is_renewing


def test_old_generation_leaves_when_the_new_one_waits() -> None:
    """The outdated are asked to leave when every new worker has been seen."""
    settings = PoolSettings(2, 8)
    pool = pool_of(settings)
    pool.reload(settings, 1.0)

    assert pool.handle(WorkerStarted(2), 1.0) == []
    assert pool.handle(WorkerStarted(3), 1.0) == [RetireWorkers((1, 0))]
    assert not pool.is_renewing


def test_connection_is_as_good_a_sign_as_waiting() -> None:
    """A new worker that has accepted before it was seen proves its generation."""
    settings = PoolSettings(1, 8, Strategy.SURGE)
    pool = pool_of(settings)
    pool.reload(settings, 1.0)

    assert pool.handle(WorkerAccepted(1), 1.0)[-1] != RetireWorkers((0,))
    for worker in range(2, 8):
        commands = pool.handle(WorkerStarted(worker), 1.0)
    assert commands == [RetireWorkers((0,))]


def test_full_pool_sends_one_worker_ahead() -> None:
    """Without room one outdated worker leaves, and the others once its successor waits."""
    settings = PoolSettings(3, 3, Strategy.FIXED)
    pool = pool_of(settings)

    assert pool.reload(settings, 1.0) == [*FORGET, RetireWorkers((2,))]
    assert pool.handle(WorkerExited(2, 0), 1.0) == [SpawnWorkers((2,), 1)]
    assert pool.handle(WorkerStarted(2), 1.0) == [RetireWorkers((1, 0))]
    assert pool.handle(WorkerExited(1, 0), 1.0) == [SpawnWorkers((1,), 1)]


def test_generation_that_fails_leaves_the_old_one_in_place() -> None:
    """While the new workers die at birth, the outdated go on taking connections."""
    settings = PoolSettings(1, 8)
    pool = pool_of(settings)
    pool.reload(settings, 1.0)
    commands = pool.handle(WorkerExited(1, 111), 1.0)

    assert any(isinstance(c, ArmTimer) and c.timer is PoolTimer.RETRY for c in commands)
    assert not any(isinstance(c, RetireWorkers) for c in commands)
    assert pool.state_of(0) is WorkerState.IDLE


def test_busy_workers_are_left_alone() -> None:
    """A connection of the old generation goes on, and counts."""
    settings = PoolSettings(1, 8)
    pool = pool_of(settings)
    pool.handle(WorkerAccepted(0), 0.5)
    pool.handle(WorkerStarted(1), 0.5)
    pool.reload(settings, 1.0)
    pool.handle(WorkerStarted(2), 1.0)

    assert pool.state_of(0) is WorkerState.BUSY
    assert pool.size == Size(idle=1, busy=1)


def test_pool_takes_the_new_numbers() -> None:
    """Minimum and maximum of the reload hold at once, also beyond the old maximum."""
    pool = pool_of(PoolSettings(1, 2))

    assert pool.reload(PoolSettings(4, 8), 1.0)[-1] == SpawnWorkers((1, 2, 3, 4), 1)


def test_reload_of_a_pool_that_stops_changes_nothing() -> None:
    """A service on its way to its end begins no new generation."""
    settings = PoolSettings(1, 2)
    pool = pool_of(settings)
    pool.handle(StopRequested(), 1.0)

    assert pool.reload(settings, 2.0) == []
    assert pool.generation == 0


def test_pool_goes_on_where_another_has_stopped() -> None:
    """A restored pool knows workers, phase and counts, and gives free numbers only."""
    settings = PoolSettings(2, 8)
    first = pool_of(settings)
    first.handle(WorkerAccepted(0), 1.0)
    second = Pool(settings)
    second.restore(first.state())

    assert second.state() == first.state()
    assert (second.size, second.phase) == (Size(idle=2, busy=1), Phase.RUNNING)
    assert second.handle(WorkerAccepted(1), 2.0)[0] == SpawnWorkers((3,), 0)


def test_pool_that_stops_goes_on_stopping() -> None:
    """A restored pool in its drain still serves the queue, with workers of its own making."""
    settings = PoolSettings(1, 4)
    first = pool_of(settings)
    first.handle(StopRequested(), 1.0)
    second = Pool(settings)
    second.restore(first.state())

    assert (second.phase, second.generation) == (Phase.DRAINING, 1)
    assert second.handle(WorkerAccepted(0), 2.0)[0] == SpawnWorkers((1,), 1)


def test_reload_is_no_quiet_time() -> None:
    """Nobody is let go while a new generation has not been seen waiting, however long that is."""
    pool = pool_of(PoolSettings(2, 2, Strategy.FIXED))
    pool.handle(WorkerAccepted(0), 0.0)
    pool.reload(PoolSettings(1, 4, Strategy.INCREMENTAL), 0.0)

    commands = pool.handle(TimerExpired(PoolTimer.SHRINK), 31.0)

    assert commands == [ArmTimer(PoolTimer.SHRINK, 61.0)]


def test_who_is_at_work_is_asked_to_finish() -> None:
    """A connection that serves request after request should not keep the old program for ever."""
    settings = PoolSettings(2, 8)
    pool = pool_of(settings)
    pool.handle(WorkerAccepted(1), 0.5)

    assert AskToFinish((1,)) in pool.reload(settings, 1.0)


def test_settings_are_in_force_before_their_generation_begins() -> None:
    """Its program may take long to start: missing workers are of the present one till then."""
    pool = pool_of(PoolSettings(2, 8))

    assert pool.adjust(PoolSettings(3, 8), 1.0) == [*FORGET, SpawnWorkers((2,), 0)]
    assert not pool.is_renewing


def test_no_more_wait_than_the_new_maximum_allows() -> None:
    """Those above it leave at once; who has a connection stays."""
    pool = pool_of(PoolSettings(4, 8))
    pool.handle(WorkerAccepted(3), 0.5)

    assert pool.adjust(PoolSettings(1, 2), 1.0)[:3] == [*FORGET, RetireWorkers((4, 2, 1))]


def test_settings_do_not_change_a_pool_that_stops() -> None:
    """It goes on with what it was told before."""
    pool = pool_of(PoolSettings(2, 8))
    pool.handle(StopRequested(), 1.0)

    assert pool.adjust(PoolSettings(8, 8), 2.0) == []
