"""Back-off: the delays themselves, and what the pool does with them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.simulation import Simulation
from socketd.pool.backoff import BackOff
from socketd.pool.messages import (
    ArmTimer,
    Command,
    PoolTimer,
    QueueDrained,
    ReportBackOff,
    ReportFailure,
    ReportRecovery,
    ShortageEased,
    SpawnFailed,
    SpawnWorkers,
    StopRequested,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.policy import Pool
from socketd.pool.settings import PoolSettings, Strategy
from socketd.pool.strategies import Size

RETRY_DUE = TimerExpired(PoolTimer.RETRY)


def fixed_pool(workers: int) -> Pool:
    """Return a pool of so many workers that were just asked for."""
    pool = Pool(PoolSettings(workers, workers, Strategy.FIXED))
    pool.start(0.0)
    return pool


def steps(commands: list[Command]) -> list[int]:
    """Return the steps of back-off that the commands report."""
    return [c.step for c in commands if isinstance(c, ReportBackOff)]


@given(st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_delays_double_up_to_a_cap_with_a_quarter_of_jitter(seed: int) -> None:
    """The n-th delay is 0.1 s doubled n-1 times, at most 10 s, a quarter more or less."""
    back_off = BackOff(seed)
    for step in range(1, 50):
        expected = min(10.0, 0.1 * 2 ** (step - 1))

        assert 0.75 * expected <= back_off.fail(float(step)) <= 1.25 * expected
        assert back_off.step == step


def test_delays_of_two_pools_differ() -> None:
    """Jitter spreads the retries of pools that failed together."""
    assert BackOff(1).fail(0.0) != BackOff(2).fail(0.0)


def test_delays_repeat_for_the_same_seed() -> None:
    """Back-off draws its jitter from its own seed, so a run can be repeated."""
    one, other = BackOff(5), BackOff(5)

    assert [one.fail(0.0), one.fail(1.0)] == [other.fail(0.0), other.fail(1.0)]


def test_endless_failure_never_overflows() -> None:
    """A program that fails for years is still retried every ten seconds or so."""
    back_off = BackOff(0)
    delays = [back_off.fail(float(n)) for n in range(2000)]

    assert max(delays) <= 12.5


@pytest.mark.parametrize(("pause_seconds", "step"), [(60.0, 2), (60.5, 1)])
def test_more_than_a_minute_without_failure_is_forgiven(pause_seconds: float, step: int) -> None:
    """A failure that comes more than a minute after the last one is a first one."""
    back_off = BackOff(0)
    back_off.fail(100.0)
    back_off.fail(100.0 + pause_seconds)

    assert back_off.step == step


@pytest.mark.parametrize(("begun_seconds", "step"), [(99.0, 2), (100.0, 2), (100.5, 0)])
def test_success_counts_only_if_it_began_after_the_failure(begun_seconds: float, step: int) -> None:
    """A worker born before the last failure proves nothing about what has failed since."""
    back_off = BackOff(0)
    back_off.fail(90.0)
    back_off.fail(100.0)
    back_off.succeed(begun_seconds)

    assert back_off.step == step


def test_success_without_failure_changes_nothing() -> None:
    """A success is no news to a back-off that has seen no failure."""
    back_off = BackOff(0)
    back_off.succeed(5.0)

    assert back_off.step == 0


@pytest.mark.parametrize("is_started", [False, True])
@pytest.mark.parametrize(
    ("status", "how"),
    [
        (1, "exited with status 1"),
        (126, "exited with status 126"),
        (-11, "killed by signal 11"),
    ],
)
def test_exit_before_accept_backs_off(status: int, how: str, is_started: bool) -> None:
    """A worker that exits before it accepts has failed, and its place is filled after a delay."""
    pool = fixed_pool(2)
    if is_started:
        pool.handle(WorkerStarted(0), 0.0)
    delay = BackOff(0).fail(1.0)
    reason = f"{how} before it accepted a connection"

    assert pool.handle(WorkerExited(0, status), 1.0) == [
        ReportFailure(0, reason),
        ReportBackOff(delay, 1, reason),
        ArmTimer(PoolTimer.RETRY, 1.0 + delay),
    ]


@pytest.mark.parametrize("is_started", [False, True])
def test_worker_that_left_by_itself_is_replaced_at_once(is_started: bool) -> None:
    """A worker that exits with 0 before it accepts was asked to by somebody: no failure."""
    pool = fixed_pool(2)
    if is_started:
        pool.handle(WorkerStarted(0), 0.0)

    assert pool.handle(WorkerExited(0, 0), 1.0) == [SpawnWorkers((0,), 0)]


@pytest.mark.parametrize("status", [126, 127, 111])
def test_program_that_cannot_be_run_backs_off(status: int) -> None:
    """A worker that accepts and leaves word that it could not run its program has failed."""
    pool = fixed_pool(2)
    pool.handle(WorkerAccepted(0), 0.0)
    delay = BackOff(0).fail(1.0)
    reason = f"its program could not be run (exit status {status}): exec: not permitted"

    assert pool.handle(WorkerExited(0, status, "exec: not permitted"), 1.0) == [
        ReportFailure(0, reason),
        ReportBackOff(delay, 1, reason),
        ArmTimer(PoolTimer.RETRY, 1.0 + delay),
    ]


def test_detail_left_by_the_worker_follows_the_reason() -> None:
    """What a worker has written about its failure is told to the operator as well."""
    reason = "exited with status 1 before it accepted a connection: setuid: not permitted"
    commands = fixed_pool(2).handle(WorkerExited(0, 1, "setuid: not permitted"), 1.0)

    assert commands[0] == ReportFailure(0, reason)


def test_spawn_that_fails_backs_off() -> None:
    """A worker that could not be born has failed, for the reason that came with the news."""
    pool = fixed_pool(2)
    delay = BackOff(0).fail(1.0)

    assert pool.handle(SpawnFailed(1, "fork: no memory"), 1.0) == [
        ReportFailure(1, "fork: no memory"),
        ReportBackOff(delay, 1, "fork: no memory"),
        ArmTimer(PoolTimer.RETRY, 1.0 + delay),
    ]


@pytest.mark.parametrize("status", [0, 1, 65, 111, 125, 126, 127, 128, 255, -6, -9, -11, -15])
def test_no_end_of_a_program_that_was_run_is_a_failure(status: int) -> None:
    """It may end as it likes, and as a client likes: its worker is replaced at once."""
    pool = fixed_pool(1)
    for _ in range(100):
        pool.handle(WorkerAccepted(0), 0.0)

        assert pool.handle(WorkerExited(0, status), 0.0) == [SpawnWorkers((0,), 0)]


def test_word_of_a_failure_that_ended_well_is_none() -> None:
    """A worker that has failed says so by its status as well."""
    pool = fixed_pool(1)
    pool.handle(WorkerAccepted(0), 0.0)

    assert pool.handle(WorkerExited(0, 0, "exec: scribbled"), 0.0) == [SpawnWorkers((0,), 0)]


def test_one_back_off_is_one_step() -> None:
    """Workers that fail while a retry is pending are reported, but take no further step."""
    pool = fixed_pool(3)
    seen = [steps(pool.handle(WorkerExited(worker, 1), 0.0)) for worker in (0, 1, 2)]

    assert seen == [[1], [], []]


def test_nothing_is_started_while_a_retry_is_pending() -> None:
    """During a back-off neither an accept nor an end starts a worker."""
    pool = Pool(PoolSettings(2, 8, Strategy.EAGER))
    pool.start(0.0)
    pool.handle(WorkerExited(0, 1), 0.0)

    assert pool.handle(WorkerAccepted(1), 0.01) == []
    assert pool.handle(WorkerExited(1, 0), 0.02) == []
    assert pool.size == Size(idle=0, busy=0)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.EAGER, (0, 2)),
        (Strategy.ADAPTIVE, (0, 2)),
        (Strategy.INCREMENTAL, (0,)),
        (Strategy.SURGE, (0, 2, 3, 4, 5)),
    ],
)
def test_retry_fills_what_is_missing(strategy: Strategy, expected: tuple[int, ...]) -> None:
    """When the back-off has passed, all that the strategy lacks by then is started."""
    pool = Pool(PoolSettings(2, 6, strategy))
    pool.start(0.0)
    pool.handle(WorkerExited(0, 1), 0.0)
    pool.handle(WorkerAccepted(1), 0.01)

    assert pool.handle(RETRY_DUE, 0.2)[0] == SpawnWorkers(expected, 0)


def test_failing_retries_take_step_after_step() -> None:
    """Each retry that fails again backs off by one step more."""
    pool = fixed_pool(1)
    seen: list[int] = []
    for now in (0.0, 1.0, 2.0):
        seen += steps(pool.handle(WorkerExited(0, 1), now))
        pool.handle(RETRY_DUE, now + 0.5)

    assert seen == [1, 2, 3]


def test_success_of_a_younger_worker_resets_the_steps() -> None:
    """A connection served by a worker born after the failure starts the back-off over."""
    pool = fixed_pool(1)
    pool.handle(WorkerExited(0, 1), 0.0)
    pool.handle(RETRY_DUE, 1.0)
    pool.handle(WorkerAccepted(0), 2.0)
    pool.handle(WorkerExited(0, 0), 3.0)

    assert steps(pool.handle(WorkerExited(0, 1), 4.0)) == [1]


def test_success_of_an_older_worker_leaves_the_steps() -> None:
    """A connection served by a worker born before the failure does not start the back-off over."""
    pool = fixed_pool(2)
    pool.handle(WorkerAccepted(1), 0.0)
    pool.handle(WorkerExited(0, 1), 1.0)
    pool.handle(RETRY_DUE, 2.0)
    pool.handle(WorkerExited(1, 0), 3.0)

    assert steps(pool.handle(WorkerExited(0, 1), 4.0)) == [2]


def test_time_forgets_failures() -> None:
    """A pool whose last failure is more than a minute ago begins at the first step again."""
    pool = fixed_pool(1)
    pool.handle(WorkerExited(0, 1), 0.0)
    pool.handle(RETRY_DUE, 1.0)

    assert steps(pool.handle(WorkerExited(0, 1), 61.0)) == [1]


def test_worker_asked_to_leave_cannot_fail() -> None:
    """However a retiring worker exits, it is what it was asked to do."""
    pool = Pool(PoolSettings(1, 2, Strategy.SURGE, idle_seconds=30.0))
    pool.start(0.0)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(WorkerExited(0, 0), 0.0)
    pool.handle(TimerExpired(PoolTimer.SHRINK), 30.0)
    pool.handle(TimerExpired(PoolTimer.SHRINK), 60.0)

    assert pool.handle(WorkerExited(1, 1), 60.0) == []


def test_back_off_continues_while_the_queue_is_served() -> None:
    """A pool that stops still retries, because the kernel's queue must be served."""
    pool = fixed_pool(1)
    pool.handle(StopRequested(), 0.0)
    delay = BackOff(0).fail(1.0)

    assert ArmTimer(PoolTimer.RETRY, 1.0 + delay) in pool.handle(WorkerExited(0, 1), 1.0)
    assert pool.handle(RETRY_DUE, 1.0 + delay) == [SpawnWorkers((0,), 0)]


def test_failure_after_the_queue_is_empty_is_reported_only() -> None:
    """Once nothing will be started any more, a failure is told but no retry is armed."""
    pool = fixed_pool(2)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(StopRequested(), 0.0)
    pool.handle(QueueDrained(), 0.0)

    assert pool.handle(WorkerExited(0, 127, "exec: no"), 1.0) == [
        ReportFailure(0, "its program could not be run (exit status 127): exec: no")
    ]


def short_pool(missing: int) -> Pool:
    """Return an eager pool of one busy worker, in which the machine had no room for so many."""
    pool = Pool(PoolSettings(missing, missing + 1))
    pool.start(0.0)
    pool.handle(WorkerAccepted(0), 0.0)
    for worker in range(1, missing + 1):
        pool.handle(SpawnFailed(worker, "fork", is_shortage=True), 1.0)
    return pool


def test_end_of_a_worker_makes_room_for_one_in_a_shortage() -> None:
    """Each end is followed by one start at once, whoever it was; the rest waits for the retry."""
    pool = short_pool(3)
    pool.handle(WorkerExited(0, 0), 1.5)

    assert pool.is_short
    assert pool.handle(ShortageEased(), 1.5) == [SpawnWorkers((0,), 0)]
    assert pool.handle(ShortageEased(), 1.6) == [SpawnWorkers((1,), 0)]
    assert pool.handle(RETRY_DUE, 2.0) == [SpawnWorkers((2,), 0)]
    assert not pool.is_short


def test_room_that_was_none_takes_no_further_step() -> None:
    """A worker for whom there was no room either is told of, and the retry stays where it was."""
    pool = short_pool(1)
    pool.handle(WorkerExited(0, 0), 1.5)
    pool.handle(ShortageEased(), 1.5)

    assert pool.handle(SpawnFailed(0, "fork", is_shortage=True), 1.6) == [ReportFailure(0, "fork")]
    assert pool.handle(ShortageEased(), 1.7) == [SpawnWorkers((0,), 0)]


def test_room_is_of_no_use_to_what_fails_otherwise() -> None:
    """A back-off of any other failure is not ended, be it the first or one that comes meanwhile."""
    first, later = fixed_pool(2), fixed_pool(2)
    first.handle(WorkerExited(0, 111), 1.0)
    first.handle(SpawnFailed(1, "fork", is_shortage=True), 1.0)
    later.handle(SpawnFailed(0, "fork", is_shortage=True), 1.0)
    later.handle(WorkerExited(1, 111), 1.0)

    for pool in (first, later):
        assert not pool.is_short
        assert pool.handle(ShortageEased(), 1.0) == []


def test_worker_that_ends_for_want_of_room_is_in_a_shortage() -> None:
    """Memory may run out after the fork as well."""
    pool = fixed_pool(1)
    pool.handle(WorkerExited(0, 111, "prepare: no memory", is_shortage=True), 1.0)

    assert pool.handle(ShortageEased(), 1.1) == [SpawnWorkers((0,), 0)]


def test_room_means_nothing_to_a_pool_that_lacks_none() -> None:
    """Workers of others end all the time."""
    assert fixed_pool(1).handle(ShortageEased(), 1.0) == []


def test_client_that_comes_alone_after_a_shortage_does_not_wait() -> None:
    """Where there was room for eight, one is idle as soon as one has ended, however long ago."""
    pool = Simulation(PoolSettings(1, 64), most_processes=8)
    waits = []
    for storm in range(20):
        for _ in range(9 + storm):
            pool.connect(0.5)
        pool.run(pool.now + 3.0)
        assert pool.pool.size.busy == 0
        pool.waited_seconds = 0.0
        pool.connect(0.01)
        pool.run(pool.now + 20.0)
        waits.append(pool.waited_seconds)

    assert max(waits) == 0.0


@pytest.mark.parametrize("is_reloaded", [False, True])
def test_recovery_is_told_once_by_a_worker_of_after_the_failure(*, is_reloaded: bool) -> None:
    """One that was there before proves nothing; a reload in between is none."""
    pool = fixed_pool(2)
    pool.handle(WorkerAccepted(0), 1.0)
    pool.handle(WorkerAccepted(1), 1.0)
    pool.handle(WorkerExited(0, 127, "exec: no such file"), 2.0)
    reason = "its program could not be run (exit status 127): exec: no such file"

    before = pool.handle(WorkerExited(1, 0), 3.0)
    if is_reloaded:
        pool.reload(PoolSettings(2, 2, Strategy.FIXED), 4.0)
    else:
        pool.handle(RETRY_DUE, 4.0)
    told = []
    for worker in (0, 1):
        pool.handle(WorkerAccepted(worker), 5.0)
        told.append(pool.handle(WorkerExited(worker, 1), 6.0)[0])

    assert ReportRecovery(reason) not in before
    assert told[0] == ReportRecovery(reason)
    assert not isinstance(told[1], ReportRecovery)
