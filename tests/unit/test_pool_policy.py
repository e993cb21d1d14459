"""The pool's register of workers, its reports, and the phases of its life."""

import pytest

from socketd.pool.batching import NO_PATIENCE
from socketd.pool.messages import (
    ArmTimer,
    AskToFinish,
    CloseListener,
    Command,
    DisarmTimer,
    Event,
    Finish,
    KillWorkers,
    PoolTimer,
    QueueDrained,
    RefuseConnections,
    ReportResize,
    RetireWorkers,
    SpawnFailed,
    SpawnWorkers,
    StopRequested,
    TerminateWorkers,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.policy import Phase, Pool
from socketd.pool.settings import KILL_SECONDS, PoolSettings, Strategy
from socketd.pool.states import ImpossibleMoveError, WorkerState
from socketd.pool.strategies import Size

DRAIN_DUE = TimerExpired(PoolTimer.DRAIN)
KILL_DUE = TimerExpired(PoolTimer.KILL)
RETRY_DUE = TimerExpired(PoolTimer.RETRY)
SHRINK_DUE = TimerExpired(PoolTimer.SHRINK)
LEAVE: list[Command] = [CloseListener(), *map(DisarmTimer, (PoolTimer.SHRINK, PoolTimer.RETRY))]
FINISH: list[Command] = [DisarmTimer(PoolTimer.DRAIN), DisarmTimer(PoolTimer.KILL), Finish()]


def pool_of(minimum: int, maximum: int, strategy: Strategy, limit: int | None = None) -> Pool:
    """Return a pool that has been started, with a drain time of twenty seconds."""
    settings = PoolSettings(
        minimum, maximum, strategy, idle_seconds=30.0, drain_seconds=20.0, connection_limit=limit
    )
    pool = Pool(settings)
    pool.start(0.0)
    return pool


def terminating_pool() -> Pool:
    """Return a pool in which worker 0 is busy, worker 1 leaves, and patience has ended."""
    pool = pool_of(2, 2, Strategy.FIXED)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(StopRequested(), 1.0)
    pool.handle(DRAIN_DUE, 21.0)
    assert pool.phase is Phase.TERMINATING
    return pool


# The register


def test_states_follow_the_events() -> None:
    """A worker is starting, idle, busy and gone as the pool is told."""
    pool = pool_of(2, 2, Strategy.FIXED)
    seen = [pool.state_of(0)]
    for event in (WorkerStarted(0), WorkerAccepted(0)):
        pool.handle(event, 0.0)
        seen.append(pool.state_of(0))

    assert seen == [WorkerState.STARTING, WorkerState.IDLE, WorkerState.BUSY]
    assert pool.size == Size(idle=1, busy=1)


def test_starting_worker_counts_as_idle() -> None:
    """Workers that were asked for but not seen yet count, or growth would run away."""
    assert pool_of(3, 3, Strategy.FIXED).size == Size(idle=3, busy=0)


def test_retiring_worker_counts_no_more_but_keeps_its_number() -> None:
    """A retiring worker is out of the size, yet lives: its number is not given again."""
    pool = pool_of(1, 3, Strategy.SURGE)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(SHRINK_DUE, 30.0)

    assert pool.size == Size(idle=1, busy=1)
    assert pool.state_of(2) is WorkerState.RETIRING
    assert pool.handle(WorkerExited(0, 0), 31.0)[0] == SpawnWorkers((0,), 0)


def test_lowest_free_number_is_given_first() -> None:
    """Numbers of workers that are gone are given again, lowest first."""
    pool = pool_of(3, 3, Strategy.FIXED)
    pool.handle(SpawnFailed(2, "no memory"), 0.0)
    pool.handle(SpawnFailed(0, "no memory"), 0.0)

    assert pool.handle(RETRY_DUE, 1.0) == [SpawnWorkers((0, 2), 0)]


def test_retiring_workers_leave_no_room_above_the_maximum() -> None:
    """While retiring workers live, growth is cut so that all together stay within the maximum."""
    pool = pool_of(1, 3, Strategy.SURGE)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(WorkerExited(0, 0), 1.0)
    pool.handle(SHRINK_DUE, 30.0)
    pool.handle(SHRINK_DUE, 60.0)
    assert pool.size == Size(idle=1, busy=0)

    grown = pool.handle(WorkerAccepted(0), 62.0)

    assert [c for c in grown if isinstance(c, SpawnWorkers)] == []


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (WorkerAccepted(7), "there is no worker 7 to accept"),
        (WorkerStarted(7), "there is no worker 7 to start"),
        (WorkerExited(7, 0), "there is no worker 7 to exit"),
        (SpawnFailed(7, "x"), "there is no worker 7 to stillbirth"),
        (WorkerAccepted(0), "worker 0 cannot accept while busy"),
        (WorkerStarted(0), "worker 0 cannot start while busy"),
        (SpawnFailed(0, "x"), "worker 0 cannot stillbirth while busy"),
        (WorkerStarted(1), "worker 1 cannot start while idle"),
    ],
)
def test_impossible_event_names_worker_state_and_move(event: Event, message: str) -> None:
    """What cannot happen to a worker raises, says to whom and what, and changes nothing."""
    pool = pool_of(2, 2, Strategy.FIXED)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(WorkerStarted(1), 0.0)

    with pytest.raises(ImpossibleMoveError) as caught:
        pool.handle(event, 1.0)

    assert str(caught.value) == message
    assert pool.size == Size(idle=1, busy=1)


# Reports


def test_growth_is_reported_at_each_new_peak_only() -> None:
    """The operator hears of a size that was not reached before, not of each replacement."""
    pool = pool_of(1, 9, Strategy.EAGER)
    events: list[Event] = [
        WorkerAccepted(0),
        WorkerExited(0, 0),
        WorkerAccepted(1),
        WorkerAccepted(0),
    ]
    reports = [
        [c for c in pool.handle(event, 0.0) if isinstance(c, ReportResize)] for event in events
    ]

    assert reports == [
        [ReportResize(idle=1, busy=1, target=2)],
        [],
        [],
        [ReportResize(idle=1, busy=2, target=3)],
    ]


def test_peak_begins_anew_after_shrinking() -> None:
    """A pool that has shrunk reports its next growth, even to a size it had before."""
    pool = pool_of(1, 4, Strategy.INCREMENTAL)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(WorkerExited(0, 0), 0.0)
    pool.handle(SHRINK_DUE, 30.0)
    pool.handle(WorkerAccepted(0), 40.0)

    assert ReportResize(idle=2, busy=0, target=2) in pool.handle(WorkerExited(0, 0), 41.0)


def test_replacement_beside_a_retiring_worker_is_no_growth() -> None:
    """Workers about to leave do not count in the peak: a mere replacement is not reported."""
    pool = pool_of(1, 4, Strategy.SURGE)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(SHRINK_DUE, 30.0)

    assert pool.handle(WorkerExited(0, 0), 31.0) == [SpawnWorkers((0,), 0)]


# The limit of connections


def test_connection_limit_ends_the_service_after_the_last_one() -> None:
    """At the limit the listener closes and idle workers leave; the end of the last is the end."""
    pool = pool_of(3, 3, Strategy.FIXED, limit=2)
    assert pool.handle(WorkerAccepted(1), 0.0) == []

    assert pool.handle(WorkerAccepted(0), 1.0) == [*LEAVE, RetireWorkers((2,))]
    assert pool.handle(WorkerExited(1, 0), 2.0) == []
    assert pool.handle(WorkerExited(2, 0), 2.0) == []
    assert pool.handle(WorkerExited(0, 0), 3.0) == FINISH
    assert pool.phase is Phase.FINISHED


def test_connection_beyond_the_limit_is_served() -> None:
    """A worker that accepts while the limit is being reached keeps its connection."""
    pool = pool_of(2, 2, Strategy.FIXED, limit=1)
    pool.handle(WorkerAccepted(0), 0.0)

    assert pool.handle(WorkerAccepted(1), 0.0) == []
    assert pool.phase is Phase.LEAVING


def test_stop_after_the_limit_only_sets_the_deadline() -> None:
    """When the limit has closed the listener, a request to stop arms the drain timer only."""
    pool = pool_of(1, 1, Strategy.FIXED, limit=1)
    pool.handle(WorkerAccepted(0), 0.0)

    assert pool.handle(StopRequested(), 5.0) == [
        DisarmTimer(PoolTimer.SHRINK),
        ArmTimer(PoolTimer.DRAIN, 25.0),
        AskToFinish((0,)),
    ]


# The phases of stopping


def test_first_stop_refuses_new_connections_and_sets_the_deadline() -> None:
    """A request to stop lets nothing new into the queue and gives it the drain time."""
    pool = pool_of(2, 2, Strategy.FIXED)

    assert pool.handle(StopRequested(), 5.0) == [
        DisarmTimer(PoolTimer.SHRINK),
        ArmTimer(PoolTimer.DRAIN, 25.0),
        RefuseConnections(),
    ]
    assert pool.phase is Phase.DRAINING


def test_draining_pool_still_replaces_workers() -> None:
    """While the queue is not empty, a worker that is gone is replaced to serve what is in it."""
    pool = pool_of(1, 1, Strategy.FIXED)
    pool.handle(StopRequested(), 0.0)
    pool.handle(WorkerAccepted(0), 1.0)

    assert pool.handle(WorkerExited(0, 0), 2.0) == [SpawnWorkers((0,), 0)]


def test_draining_pool_does_not_shrink() -> None:
    """A pool that stops arms no shrink timer, and one that is due too late does nothing."""
    pool = pool_of(1, 4, Strategy.SURGE)
    pool.handle(StopRequested(), 0.0)

    assert pool.handle(WorkerAccepted(0), 1.0) == [
        SpawnWorkers((1, 2, 3), 0),
        ReportResize(idle=3, busy=1, target=4),
    ]
    assert pool.handle(SHRINK_DUE, 31.0) == []


def test_empty_queue_sends_the_idle_away() -> None:
    """When the queue is empty the listener closes, the idle leave, highest first."""
    pool = pool_of(3, 3, Strategy.FIXED)
    pool.handle(WorkerAccepted(1), 0.0)
    pool.handle(StopRequested(), 1.0)

    assert pool.handle(QueueDrained(), 2.0) == [*LEAVE, RetireWorkers((2, 0))]
    assert pool.phase is Phase.LEAVING


@pytest.mark.parametrize("strategy", Strategy)
def test_nothing_is_started_once_workers_leave(strategy: Strategy) -> None:
    """A connection that ends after the queue was empty brings no replacement."""
    pool = pool_of(2, 2 if strategy is Strategy.FIXED else 9, strategy)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(WorkerAccepted(1), 0.0)
    pool.handle(StopRequested(), 1.0)
    pool.handle(QueueDrained(), 2.0)

    assert pool.handle(WorkerExited(1, 0), 3.0) == []


def test_empty_queue_without_a_stop_means_nothing() -> None:
    """A queue that happens to be empty ends nothing, unless the pool was asked to stop."""
    pool = pool_of(1, 1, Strategy.FIXED)

    assert pool.handle(QueueDrained(), 0.0) == []
    assert pool.phase is Phase.RUNNING


def test_pool_without_workers_finishes_when_the_queue_is_empty() -> None:
    """If all workers are gone in a back-off, the empty queue alone is the end."""
    pool = pool_of(1, 1, Strategy.FIXED)
    pool.handle(SpawnFailed(0, "no memory"), 0.0)
    pool.handle(StopRequested(), 0.0)

    assert pool.handle(QueueDrained(), 0.0) == [*LEAVE, *FINISH]


def test_drain_deadline_terminates_whoever_is_left() -> None:
    """At the drain deadline everybody left gets SIGTERM, and the kill timer is armed."""
    pool = pool_of(2, 2, Strategy.FIXED)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(StopRequested(), 1.0)
    pool.handle(QueueDrained(), 2.0)

    assert pool.handle(DRAIN_DUE, 21.0) == [
        DisarmTimer(PoolTimer.DRAIN),
        TerminateWorkers((0, 1)),
        ArmTimer(PoolTimer.KILL, 21.0 + KILL_SECONDS),
    ]


@pytest.mark.parametrize("event", [DRAIN_DUE, StopRequested()])
def test_impatience_gives_up_the_queue(event: Event) -> None:
    """The deadline or a second request ends the serving of the queue and terminates at once."""
    pool = pool_of(2, 2, Strategy.FIXED)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(StopRequested(), 1.0)

    assert pool.handle(event, 3.0) == [
        *LEAVE,
        RetireWorkers((1,)),
        DisarmTimer(PoolTimer.DRAIN),
        TerminateWorkers((0, 1)),
        ArmTimer(PoolTimer.KILL, 3.0 + KILL_SECONDS),
    ]


def test_impatience_without_workers_is_the_end() -> None:
    """A second request finds nobody to terminate and finishes."""
    pool = pool_of(1, 1, Strategy.FIXED)
    pool.handle(SpawnFailed(0, "no memory"), 0.0)
    pool.handle(StopRequested(), 0.0)

    assert pool.handle(StopRequested(), 1.0) == [*LEAVE, *FINISH]


@pytest.mark.parametrize("event", [KILL_DUE, StopRequested()])
def test_end_of_patience_kills(event: Event) -> None:
    """The kill timer or one more request sends SIGKILL to whoever is left."""
    pool = terminating_pool()
    pool.handle(WorkerExited(1, 0), 22.0)

    assert pool.handle(event, 23.0) == [DisarmTimer(PoolTimer.KILL), KillWorkers((0,))]
    assert pool.phase is Phase.KILLING


@pytest.mark.parametrize("event", [DRAIN_DUE, KILL_DUE, StopRequested(), QueueDrained()])
def test_nothing_hastens_a_pool_that_kills(event: Event) -> None:
    """After SIGKILL there is nothing more to do but wait for the exits."""
    pool = terminating_pool()
    pool.handle(KILL_DUE, 26.0)

    assert pool.handle(event, 27.0) == []
    assert pool.phase is Phase.KILLING


def test_worker_that_accepts_while_terminating_is_terminated() -> None:
    """A connection that slips in after the SIGTERM gets its own."""
    assert terminating_pool().handle(WorkerAccepted(1), 22.0) == [TerminateWorkers((1,))]


def test_worker_that_accepts_while_killing_is_killed() -> None:
    """A connection that slips in after the SIGKILL gets its own: nothing else would end it."""
    pool = terminating_pool()
    pool.handle(KILL_DUE, 26.0)

    assert pool.handle(WorkerAccepted(1), 27.0) == [KillWorkers((1,))]


def test_last_exit_finishes_once() -> None:
    """The exit of the last worker is the end, and nothing that comes later is another one."""
    pool = terminating_pool()
    assert pool.handle(WorkerExited(0, -15), 22.0) == []
    assert pool.handle(WorkerExited(1, 0), 22.0) == FINISH

    late: list[Event] = [StopRequested(), QueueDrained(), *map(TimerExpired, PoolTimer)]
    assert [pool.handle(event, 30.0) for event in late] == [[]] * len(late)
    assert pool.phase is Phase.FINISHED


def test_stop_of_a_finished_pool_arms_nothing() -> None:
    """A first request to stop that comes after the end changes nothing."""
    pool = pool_of(1, 1, Strategy.FIXED, limit=1)
    pool.handle(WorkerAccepted(0), 0.0)
    pool.handle(WorkerExited(0, 0), 1.0)

    assert pool.handle(StopRequested(), 2.0) == []


def test_worker_born_too_late_is_still_waited_for() -> None:
    """A worker asked to leave before it was born is waited for, whether it starts or fails."""
    pool = pool_of(2, 2, Strategy.FIXED)
    pool.handle(StopRequested(), 0.0)
    pool.handle(QueueDrained(), 0.0)
    assert pool.handle(WorkerStarted(0), 1.0) == []
    assert pool.state_of(0) is WorkerState.RETIRING
    assert pool.handle(WorkerExited(0, 0), 2.0) == []

    last = pool.handle(SpawnFailed(1, "no memory"), 3.0)

    assert last == FINISH


def test_ends_may_wait_where_nothing_follows_from_one() -> None:
    """Not where one makes room below the maximum, or another worker is started for it."""
    small = pool_of(1, 8, Strategy.EAGER)
    assert small.may_hold_back_ends
    assert pool_of(4, 8, Strategy.EAGER).patience(4).accepts

    short = pool_of(4, 8, Strategy.EAGER)
    short.handle(SpawnFailed(3, "fork", is_shortage=True), 0.5)
    assert not short.may_hold_back_ends

    full = pool_of(1, 1, Strategy.EAGER)
    assert not full.may_hold_back_ends
    assert full.patience(8) == NO_PATIENCE
    assert not pool_of(1, 8, Strategy.INCREMENTAL).may_hold_back_ends

    small.handle(StopRequested(), 1.0)
    assert not small.may_hold_back_ends


def test_ends_may_wait_at_the_maximum_while_many_workers_do() -> None:
    """An end makes room for another worker then, which is not urgent while half of them wait."""
    pool = pool_of(8, 8, Strategy.EAGER)
    answers = []
    for worker in range(6):
        answers.append((pool.may_hold_back_ends, pool.patience(8).accepts > 0))
        pool.handle(WorkerAccepted(worker), 1.0)

    assert answers == [(True, True)] * 5 + [(False, False)]
