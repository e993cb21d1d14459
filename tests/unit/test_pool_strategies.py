"""The strategies: every cell of the table of growth and shrinking, and when shrinking happens."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.pool.messages import (
    ArmTimer,
    Command,
    PoolTimer,
    ReportResize,
    RetireWorkers,
    SpawnWorkers,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.policy import Phase, Pool
from socketd.pool.settings import PoolSettings, Strategy
from socketd.pool.strategies import Size, rule_for

QUIET = 30.0
SHRINK_DUE = TimerExpired(PoolTimer.SHRINK)


def started_pool(strategy: Strategy, minimum: int, maximum: int) -> Pool:
    """Return a pool whose first workers all wait in accept()."""
    pool = Pool(PoolSettings(minimum, maximum, strategy, idle_seconds=QUIET))
    pool.start(0.0)
    for worker in range(minimum):
        pool.handle(WorkerStarted(worker), 0.0)
    return pool


def spawned(commands: list[Command]) -> tuple[int, ...]:
    """Return the numbers of all workers that the commands start."""
    return tuple(n for c in commands if isinstance(c, SpawnWorkers) for n in c.workers)


def retired(commands: list[Command]) -> tuple[int, ...]:
    """Return the numbers of all workers that the commands let go."""
    return tuple(n for c in commands if isinstance(c, RetireWorkers) for n in c.workers)


def armed(commands: list[Command]) -> list[ArmTimer]:
    """Return the timers that the commands arm."""
    return [c for c in commands if isinstance(c, ArmTimer)]


def serve_and_exit(pool: Pool, worker: int, now: float) -> list[Command]:
    """Let a worker take a connection and end it at once; return what follows the end."""
    pool.handle(WorkerAccepted(worker), now)
    return pool.handle(WorkerExited(worker, 0), now)


@pytest.mark.parametrize("strategy", Strategy)
def test_start_brings_up_the_minimum(strategy: Strategy) -> None:
    """Every strategy starts with the minimum, of the first generation."""
    pool = Pool(PoolSettings(3, 3 if strategy is Strategy.FIXED else 8, strategy))

    assert [SpawnWorkers((0, 1, 2), 0)] == pool.start(0.0)


@pytest.mark.parametrize(
    ("strategy", "minimum", "maximum", "expected"),
    [
        (Strategy.FIXED, 3, 3, ()),
        (Strategy.EAGER, 3, 8, (3,)),
        (Strategy.EAGER, 3, 3, ()),
        (Strategy.ADAPTIVE, 3, 8, (3,)),
        (Strategy.ADAPTIVE, 3, 3, ()),
        (Strategy.INCREMENTAL, 3, 8, ()),
        (Strategy.SURGE, 3, 8, (3, 4, 5, 6, 7)),
        (Strategy.SURGE, 1, 4, (1, 2, 3)),
        (Strategy.SURGE, 3, 3, ()),
    ],
)
def test_growth_when_a_worker_accepts(
    strategy: Strategy, minimum: int, maximum: int, expected: tuple[int, ...]
) -> None:
    """One replaces it with `eager` and `adaptive`, `surge` starts all, the others nothing."""
    pool = started_pool(strategy, minimum, maximum)

    assert expected == spawned(pool.handle(WorkerAccepted(0), 1.0))


@pytest.mark.parametrize(
    ("minimum", "size", "at_once", "expected"),
    [
        (1, Size(0, 1), 1, 1),
        (1, Size(0, 2), 2, 2),
        (1, Size(0, 40), 1, 2),
        (1, Size(1, 3), 3, 2),
        (1, Size(1, 90), 8, 8),
        (1, Size(0, 300), 200, 64),
        (1, Size(9, 2), 2, 0),
        (4, Size(3, 2), 1, 1),
        (4, Size(3, 6), 6, 3),
        (20, Size(19, 30), 3, 1),
    ],
)
def test_adaptive_has_one_more_waiting_than_come_at_once(
    minimum: int, size: Size, at_once: int, expected: int
) -> None:
    """At an accept, from the minimum up to as many as are at work, or 64."""
    rule = rule_for(Strategy.ADAPTIVE, minimum, 256)
    for _ in range(at_once):
        rule.accepted(5.0)

    assert rule.growth_on_accept(size, is_after_quiet=True) == expected


def test_adaptive_keeps_few_idle_beside_long_connections() -> None:
    """Forty that have come one after another need two who wait, not forty."""
    pool = started_pool(Strategy.ADAPTIVE, 1, 256)
    for worker in range(40):
        pool.handle(WorkerAccepted(worker), float(worker))

    assert pool.size == Size(idle=2, busy=40)


def test_adaptive_forgets_a_rush() -> None:
    """Eight at once are five after five seconds of other connections, and one in the end."""
    rule = rule_for(Strategy.ADAPTIVE, 1, 256)
    for _ in range(8):
        rule.accepted(1.0)
    ahead = []
    for now in (1.0, 6.0, 11.0, 60.0):
        rule.accepted(now)
        ahead.append(rule.growth_on_accept(Size(0, 99), is_after_quiet=False))

    assert ahead == [10, 7, 5, 2]


def test_spare_worker_leaves_what_is_learnt_to_the_rule() -> None:
    """It learns of accepts as it does without."""
    rule = rule_for(Strategy.ADAPTIVE, 1, 256, spares=1)
    for _ in range(5):
        rule.accepted(1.0)

    assert rule.growth_on_accept(Size(0, 99), is_after_quiet=False) == 6


@pytest.mark.parametrize("strategy", [Strategy.EAGER, Strategy.ADAPTIVE])
def test_accept_that_takes_nobody_from_those_who_stay_starts_nobody(strategy: Strategy) -> None:
    """An outdated worker accepts, or one that was to leave: as many wait as before."""
    pool = started_pool(strategy, 4, 256)
    pool.reload(PoolSettings(4, 256, strategy), 1.0)
    outdated = [spawned(pool.handle(WorkerAccepted(worker), 1.0)) for worker in range(4)]

    assert outdated == [(), (), (), ()]
    assert pool.size == Size(idle=4, busy=4)


def test_adaptive_pool_goes_up_with_connections_and_down_after_a_quiet_time() -> None:
    """Three at once bring it from one idle worker to three; when a window needs none, two go."""
    pool = started_pool(Strategy.ADAPTIVE, 1, 256)
    growth = [spawned(pool.handle(WorkerAccepted(worker), 1.0)) for worker in (0, 1, 2)]
    for worker in (0, 1, 2):
        pool.handle(WorkerExited(worker, 0), 2.0)

    assert growth == [(1,), (2, 3), (4, 5)]
    assert pool.size == Size(idle=3, busy=0)
    assert retired(pool.handle(SHRINK_DUE, 2.0 + QUIET)) == (5,)
    assert retired(pool.handle(SHRINK_DUE, 2.0 + 2 * QUIET)) == (4,)


@pytest.mark.parametrize(
    ("size", "is_after_quiet", "expected"),
    [
        (Size(2, 1), True, 6),
        (Size(2, 1), False, 0),
        (Size(1, 1), True, 7),
        (Size(3, 1), True, 0),
        (Size(1, 7), True, 0),
        (Size(0, 3), False, 6),
        (Size(0, 5), False, 4),
        (Size(0, 9), False, 0),
    ],
)
def test_surge_grows_after_a_quiet_time_or_when_nobody_is_idle(
    size: Size, is_after_quiet: bool, expected: int
) -> None:
    """At the minimum a first connection brings up all, and anywhere the last idle one taken."""
    rule = rule_for(Strategy.SURGE, 3, 9)

    assert rule.growth_on_accept(size, is_after_quiet=is_after_quiet) == expected


@pytest.mark.parametrize(
    ("strategy", "minimum", "maximum", "expected"),
    [
        (Strategy.FIXED, 3, 3, (0,)),
        (Strategy.EAGER, 3, 8, ()),
        (Strategy.EAGER, 3, 3, (0,)),
        (Strategy.ADAPTIVE, 3, 8, ()),
        (Strategy.ADAPTIVE, 3, 3, (0,)),
        (Strategy.INCREMENTAL, 3, 8, (0, 3)),
        (Strategy.INCREMENTAL, 3, 3, (0,)),
        (Strategy.SURGE, 3, 8, (0,)),
    ],
)
def test_growth_when_a_worker_completes(
    strategy: Strategy, minimum: int, maximum: int, expected: tuple[int, ...]
) -> None:
    """`fixed` replaces, `eager` and `adaptive` top up, `incremental` adds two, `surge` refills."""
    pool = started_pool(strategy, minimum, maximum)

    assert expected == spawned(serve_and_exit(pool, 0, 1.0))


def test_eager_tops_up_after_having_been_at_the_maximum() -> None:
    """An eager pool that was full has its idle minimum back as connections end."""
    pool = started_pool(Strategy.EAGER, 2, 3)
    growth = [spawned(pool.handle(WorkerAccepted(worker), 1.0)) for worker in (0, 1, 2)]
    refill = [spawned(pool.handle(WorkerExited(worker, 0), 2.0)) for worker in (0, 1, 2)]

    assert growth == [(2,), (), ()]
    assert refill == [(0,), (1,), ()]
    assert pool.size == Size(idle=2, busy=0)


@pytest.mark.parametrize(
    ("strategy", "maximum", "size", "needed", "expected"),
    [
        (Strategy.FIXED, 3, Size(3, 0), 0, 0),
        (Strategy.FIXED, 3, Size(0, 3), 3, 0),
        (Strategy.EAGER, 9, Size(5, 1), 1, 2),
        (Strategy.EAGER, 9, Size(5, 1), 9, 2),
        (Strategy.EAGER, 9, Size(3, 6), 6, 0),
        (Strategy.EAGER, 9, Size(1, 8), 8, 0),
        (Strategy.ADAPTIVE, 99, Size(9, 0), 0, 6),
        (Strategy.ADAPTIVE, 99, Size(9, 0), 5, 4),
        (Strategy.ADAPTIVE, 99, Size(9, 0), 70, 1),
        (Strategy.ADAPTIVE, 9, Size(1, 8), 8, 0),
        (Strategy.INCREMENTAL, 9, Size(9, 0), 0, 3),
        (Strategy.INCREMENTAL, 9, Size(9, 0), 3, 3),
        (Strategy.INCREMENTAL, 9, Size(9, 0), 5, 2),
        (Strategy.INCREMENTAL, 9, Size(9, 0), 9, 0),
        (Strategy.INCREMENTAL, 9, Size(4, 0), 0, 1),
        (Strategy.INCREMENTAL, 9, Size(3, 0), 0, 0),
        (Strategy.INCREMENTAL, 9, Size(2, 0), 0, 0),
        (Strategy.INCREMENTAL, 9, Size(1, 8), 8, 1),
        (Strategy.INCREMENTAL, 9, Size(0, 9), 9, 0),
        (Strategy.SURGE, 9, Size(9, 0), 0, 3),
        (Strategy.SURGE, 9, Size(9, 0), 2, 3),
        (Strategy.SURGE, 9, Size(9, 0), 4, 2),
        (Strategy.SURGE, 9, Size(9, 0), 8, 0),
        (Strategy.SURGE, 9, Size(4, 0), 0, 1),
        (Strategy.SURGE, 9, Size(3, 0), 0, 0),
    ],
)
def test_surplus_at_the_end_of_a_window(
    strategy: Strategy, maximum: int, size: Size, needed: int, expected: int
) -> None:
    """All idle above what `eager` and `adaptive` want for the window, of the others half of it."""
    rule = rule_for(strategy, 3, maximum)
    for _ in range(7):
        rule.accepted(1.0)

    assert expected == rule.surplus(size, needed)


@pytest.mark.parametrize(
    ("strategy", "maximum", "size", "expected"),
    [
        (Strategy.FIXED, 3, Size(1, 1), 1),
        (Strategy.EAGER, 9, Size(1, 4), 2),
        (Strategy.ADAPTIVE, 9, Size(1, 4), 2),
        (Strategy.INCREMENTAL, 9, Size(1, 1), 1),
        (Strategy.INCREMENTAL, 9, Size(0, 6), 0),
        (Strategy.SURGE, 9, Size(1, 1), 1),
        (Strategy.SURGE, 9, Size(0, 6), 0),
    ],
)
def test_shortage_when_nothing_has_just_happened(
    strategy: Strategy, maximum: int, size: Size, expected: int
) -> None:
    """Short of its measure, a pool of minimum three lacks workers; above it, it lacks none."""
    assert expected == rule_for(strategy, 3, maximum).shortage(size)


def test_surge_refills_to_the_level_it_has_shrunk_to() -> None:
    """The level a surge pool goes back to falls with each shrinking, never below the minimum."""
    rule = rule_for(Strategy.SURGE, 2, 8)
    rule.growth_on_accept(Size(1, 1), is_after_quiet=True)
    shortages = [rule.growth_on_completion(Size(1, 0))]
    for size in (Size(4, 0), Size(1, 0)):
        rule.shrunk(size)
        shortages.append(rule.growth_on_completion(Size(1, 0)))

    assert shortages == [7, 3, 1]


@pytest.mark.parametrize(
    ("strategy", "minimum", "maximum", "steps"),
    [
        (Strategy.SURGE, 2, 9, [(8, 7, 6), (5, 4), (3,), (2,)]),
        (Strategy.SURGE, 2, 3, [(2,)]),
    ],
)
def test_shrinking_repeats_every_quiet_time_until_the_minimum(
    strategy: Strategy, minimum: int, maximum: int, steps: list[tuple[int, ...]]
) -> None:
    """Every quiet time lets half of the surplus go, highest first, and the last arms nothing."""
    pool = started_pool(strategy, minimum, maximum)
    assert armed(pool.handle(WorkerAccepted(0), 0.0)) == [ArmTimer(PoolTimer.SHRINK, QUIET)]

    now, timers, seen = 0.0, [ArmTimer(PoolTimer.SHRINK, QUIET)], []
    while timers:
        assert timers == [ArmTimer(PoolTimer.SHRINK, now + QUIET)]
        now += QUIET
        commands = pool.handle(SHRINK_DUE, now)
        seen.append(retired(commands))
        timers = armed(commands)

    assert seen == steps
    assert pool.size.total == minimum


def test_incremental_shrinks_back_what_it_has_grown() -> None:
    """An incremental pool that has grown by one lets one go after a quiet time, with a report."""
    pool = started_pool(Strategy.INCREMENTAL, 2, 8)
    assert serve_and_exit(pool, 0, 5.0) == [
        SpawnWorkers((0, 2), 0),
        ReportResize(idle=3, busy=0, target=3),
        ArmTimer(PoolTimer.SHRINK, 5.0 + QUIET),
    ]

    assert pool.handle(SHRINK_DUE, 5.0 + QUIET) == [
        RetireWorkers((2,)),
        ReportResize(idle=2, busy=0, target=2),
    ]


def test_shrink_timer_is_not_armed_anew_for_each_connection() -> None:
    """While the shrink timer is armed, a connection leaves it alone."""
    pool = started_pool(Strategy.SURGE, 1, 4)
    pool.handle(WorkerAccepted(0), 0.0)

    assert pool.handle(WorkerAccepted(1), 10.0) == []


@pytest.mark.parametrize("strategy", [Strategy.INCREMENTAL, Strategy.SURGE])
def test_trickle_does_not_keep_workers_up(strategy: Strategy) -> None:
    """One connection within each window needs one worker: the others leave as in a quiet time."""
    pool = started_pool(strategy, 1, 9)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(WorkerExited(0, 0), 0.0)
    sizes = []
    for window in range(1, 6):
        serve_and_exit(pool, 0, window * QUIET - 1.0)
        pool.handle(SHRINK_DUE, window * QUIET)
        sizes.append(pool.size.total)

    assert max(sizes[-2:]) <= 2


def test_window_keeps_what_it_has_needed() -> None:
    """Three at once in a window keep three for it, and one beyond with `surge`."""
    pool = started_pool(Strategy.SURGE, 1, 9)
    for worker in range(3):
        pool.handle(WorkerAccepted(worker), 0.0)
    for worker in range(3):
        pool.handle(WorkerExited(worker, 0), 1.0)
    sizes = []
    for window in range(1, 6):
        for worker in range(3):
            pool.handle(WorkerAccepted(worker), window * QUIET - 1.0)
        for worker in range(3):
            pool.handle(WorkerExited(worker, 0), window * QUIET - 1.0)
        pool.handle(SHRINK_DUE, window * QUIET)
        sizes.append(pool.size.total)

    assert sizes == [7, 6, 5, 4, 4]


def test_shrink_timer_that_finds_nobody_to_let_go_is_not_armed_again() -> None:
    """When nobody is idle any more, a due shrink timer does nothing and stays off."""
    pool = started_pool(Strategy.INCREMENTAL, 1, 3)
    serve_and_exit(pool, 0, 0.0)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(WorkerAccepted(1), 1.0)

    assert pool.handle(SHRINK_DUE, QUIET) == []


def test_shrink_timer_is_armed_again_when_somebody_is_idle_again() -> None:
    """After it was off, the shrink timer counts from the moment that there is a surplus."""
    pool = started_pool(Strategy.SURGE, 1, 2)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(WorkerAccepted(1), 1.0)

    assert pool.handle(WorkerExited(0, 0), 50.0) == [SpawnWorkers((0,), 0)]
    assert pool.handle(WorkerExited(1, 0), 51.0) == [
        SpawnWorkers((1,), 0),
        ArmTimer(PoolTimer.SHRINK, 51.0 + QUIET),
    ]


@pytest.mark.parametrize(("strategy", "maximum"), [(Strategy.FIXED, 3), (Strategy.EAGER, 8)])
def test_no_timer_is_armed_while_there_is_nothing_to_let_go(
    strategy: Strategy, maximum: int
) -> None:
    """A pool without idle workers above its measure arms no timer, whatever it serves."""
    pool = started_pool(strategy, 3, maximum)
    commands = pool.handle(WorkerAccepted(0), 1.0) + pool.handle(WorkerAccepted(1), 2.0)
    commands += pool.handle(WorkerExited(1, 0), 3.0) + pool.handle(WorkerExited(0, 0), 4.0)

    assert armed(commands) == []


def test_worker_that_accepts_while_asked_to_leave_is_not_replaced_twice() -> None:
    """A retiring worker that wins a connection stays until it ends, then the pool shrinks on."""
    pool = started_pool(Strategy.INCREMENTAL, 1, 4)
    serve_and_exit(pool, 0, 0.0)
    assert retired(pool.handle(SHRINK_DUE, QUIET)) == (1,)

    assert pool.handle(WorkerAccepted(1), QUIET) == [ArmTimer(PoolTimer.SHRINK, 2 * QUIET)]
    assert pool.size == Size(idle=1, busy=1)


@given(
    st.sampled_from(Strategy),
    st.integers(1, 6),
    st.integers(0, 9),
    st.integers(0, 2),
    st.none() | st.integers(1, 9),
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.001, 0.5, 2 * QUIET]), st.integers(1, 6)), max_size=9
    ),
)
def test_accepts_that_are_told_together_start_whom_each_would(
    strategy: Strategy,
    minimum: int,
    more: int,
    spares: int,
    limit: int | None,
    runs: list[tuple[float, int]],
) -> None:
    """The same workers, whatever has come before; the time in between is that of a turn."""
    maximum = minimum + (0 if strategy is Strategy.FIXED else more)
    settings = PoolSettings(minimum, maximum, strategy, connection_limit=limit, spares=spares)
    alone, together = Pool(settings), Pool(settings)
    waiting = deque(spawned(alone.start(0.0)))
    together.start(0.0)
    now, busy = 0.0, deque[int]()
    for seconds, count in runs:
        now += seconds
        workers = tuple(waiting.popleft() for _ in range(min(count, len(waiting))))
        each = [one for worker in workers for one in alone.handle(WorkerAccepted(worker), now)]
        all_of_them = together.accept(workers, now) if workers else []
        is_over = alone.phase is Phase.LEAVING
        assert together.phase is alone.phase
        assert is_over or spawned(all_of_them) == spawned(each)
        assert is_over or together.size == alone.size
        if is_over:
            return
        waiting.extend(spawned(each))
        busy.extend(workers)
        for _ in range(len(busy) // 2):
            ended = WorkerExited(busy.popleft(), 0)
            each = alone.handle(ended, now)
            assert spawned(together.handle(ended, now)) == spawned(each)
            waiting.extend(spawned(each))


@pytest.mark.parametrize("strategy", Strategy)
def test_spare_worker_is_there_while_the_maximum_is_busy(strategy: Strategy) -> None:
    """With every strategy, and not before; otherwise each does what it does without."""
    plain, rule = rule_for(strategy, 2, 2), rule_for(strategy, 2, 2, spares=1)
    assert rule.growth_on_accept(Size(0, 2), is_after_quiet=False) >= 1
    assert rule.shortage(Size(0, 2)) >= 1
    pool = Pool(PoolSettings(2, 2, strategy, spares=1))
    pool.start(0.0)
    numbers = [
        one for worker in (0, 1) for one in spawned(pool.handle(WorkerAccepted(worker), 0.0))
    ]
    assert numbers == [2]
    assert spawned(pool.handle(WorkerAccepted(2), 0.0)) == ()

    for size in (Size(1, 2), Size(2, 0), Size(1, 1), Size(3, 0)):
        assert rule.surplus(size, size.busy) == plain.surplus(size, size.busy)
        assert rule.growth_on_completion(size) == plain.growth_on_completion(size)
        assert rule.shortage(size) == plain.shortage(size)
        rule.shrunk(size)
        plain.shrunk(size)
    assert rule.grows_on_completion == plain.grows_on_completion


def test_reload_with_a_spare_worker_makes_one_if_all_are_busy() -> None:
    """Not only the next client finds it there."""
    pool = Pool(PoolSettings(1, 1, Strategy.EAGER))
    pool.start(0.0)
    pool.handle(WorkerAccepted(0), 0.0)

    assert spawned(pool.adjust(PoolSettings(1, 1, Strategy.EAGER, spares=1), 1.0)) == (1,)
