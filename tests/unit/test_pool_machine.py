"""Any order of events that can happen, against a model of the world that obeys the pool."""

from typing import assert_never

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from socketd.pool.messages import (
    ArmTimer,
    AskToFinish,
    CloseListener,
    Command,
    DisarmTimer,
    Event,
    Finish,
    KillWorkers,
    LookAtClients,
    LookAtTraffic,
    PoolTimer,
    QueueDrained,
    RefuseConnections,
    ReportBackOff,
    ReportFailure,
    ReportRecovery,
    ReportResize,
    RetireWorkers,
    ShortageEased,
    SpawnFailed,
    SpawnWorkers,
    StopRequested,
    TerminateWorkers,
    TimerExpired,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.policy import Phase, Pool
from socketd.pool.settings import PoolSettings, Strategy
from socketd.pool.states import WorkerState
from socketd.pool.strategies import Size

STATUSES = (0, 0, 0, 1, 126, 127, -9, -15)
WAITING = (WorkerState.STARTING, WorkerState.IDLE)
ALLOWED_TIMERS = {
    Phase.RUNNING: {PoolTimer.SHRINK, PoolTimer.RETRY},
    Phase.DRAINING: {PoolTimer.RETRY, PoolTimer.DRAIN},
    Phase.LEAVING: {PoolTimer.DRAIN},
    Phase.TERMINATING: {PoolTimer.KILL},
    Phase.KILLING: set[PoolTimer](),
    Phase.FINISHED: set[PoolTimer](),
}
choices = st.integers(0, 1000)


class PoolWorld(RuleBasedStateMachine):
    """A clock, timers, workers and a listener that do what the pool says, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(Strategy.EAGER, 1, 0, None, False)

    @initialize(
        strategy=st.sampled_from(Strategy),
        minimum=st.integers(1, 4),
        spare=st.integers(0, 5),
        limit=st.none() | st.integers(1, 12),
        are_stubborn=st.booleans(),
    )
    def begin(
        self, strategy: Strategy, minimum: int, spare: int, limit: int | None, are_stubborn: bool
    ) -> None:
        """Start a pool; `are_stubborn` workers will not go before they are killed."""
        maximum = minimum + (0 if strategy is Strategy.FIXED else spare)
        self.settings = PoolSettings(minimum, maximum, strategy, connection_limit=limit)
        self.are_stubborn = are_stubborn
        self.pool = Pool(self.settings, seed=minimum)
        self.now = 0.0
        self.living: dict[int, WorkerState] = {}
        self.generations: dict[int, int] = {}
        self.generation = 0
        self.is_proven = True
        self.most = maximum
        self.unborn: set[int] = set()
        self.killed: set[int] = set()
        self.timers: dict[PoolTimer, float] = {}
        self.is_listening = True
        self.is_refusing = False
        self.finishes = 0
        self.room = 0
        self.peak = minimum
        self.has_failed = False
        for command in self.pool.start(self.now):
            self.obey(command)

    # What the world does

    def tell(self, event: Event) -> None:
        """Hand an event to the pool and obey the answer."""
        for command in self.pool.handle(event, self.now):
            self.obey(command)

    def obey(self, command: Command) -> None:
        """Carry a command out, and check what it promises."""
        assert self.finishes == 0
        match command:
            case SpawnWorkers(workers, generation):
                assert generation == self.generation
                self.spawn(workers)
            case RetireWorkers(workers):
                assert {self.living[worker] for worker in workers} <= set(WAITING)
                outdated = any(self.generations[one] < self.generation for one in workers)
                if outdated and not self.is_proven and self.is_listening:
                    assert len(workers) == 1
                    assert len(self.living) >= self.settings.maximum
                self.living.update(dict.fromkeys(workers, WorkerState.RETIRING))
                self.peak = 0
            case AskToFinish(workers):
                assert {self.living[worker] for worker in workers} == {WorkerState.BUSY}
            case TerminateWorkers(workers):
                assert set(workers) <= set(self.living)
            case KillWorkers(workers):
                assert set(workers) <= set(self.living)
                self.killed.update(workers)
            case ArmTimer(timer, due_seconds):
                assert due_seconds >= self.now
                self.timers[timer] = due_seconds
            case DisarmTimer(timer):
                self.timers.pop(timer, None)
            case LookAtClients() | LookAtTraffic():
                raise AssertionError("the pool knows no client")
            case ReportResize() | ReportBackOff() | ReportFailure() | ReportRecovery():
                self.read(command)
            case RefuseConnections() | CloseListener() | Finish():
                self.end(command)
            case _:
                assert_never(command)

    def read(self, report: ReportResize | ReportBackOff | ReportFailure | ReportRecovery) -> None:
        """Check that a report is true and news."""
        match report:
            case ReportResize(idle, busy, target):
                assert self.size() == Size(idle, busy)
                assert target == idle + busy
                assert target > self.peak
                self.peak = target
            case ReportBackOff():
                assert PoolTimer.RETRY not in self.timers
                self.has_failed = True
            case ReportFailure(worker):
                assert worker not in self.living
            case ReportRecovery():
                assert self.has_failed
                self.has_failed = False
            case _:
                assert_never(report)

    def end(self, command: RefuseConnections | CloseListener | Finish) -> None:
        """Go one step towards the end, each step once."""
        match command:
            case RefuseConnections():
                assert self.is_listening
                assert not self.is_refusing
                self.is_refusing = True
            case CloseListener():
                assert self.is_listening
                self.is_listening = False
            case Finish():
                assert not self.living
                assert not self.timers
                self.finishes += 1
            case _:
                assert_never(command)

    def spawn(self, workers: tuple[int, ...]) -> None:
        """Give birth to workers whose numbers are free."""
        assert self.is_listening
        assert PoolTimer.RETRY not in self.timers or len(workers) <= self.room
        for worker in workers:
            assert worker not in self.living
            assert 0 <= worker < self.most
            self.living[worker] = WorkerState.STARTING
            self.generations[worker] = self.generation
            self.unborn.add(worker)

    def size(self) -> Size:
        """Return the size as the pool should see it."""
        states = list(self.living.values())
        idle = sum(s in WAITING for s in states) - len(self.outdated())
        return Size(idle, states.count(WorkerState.BUSY))

    def outdated(self) -> list[int]:
        """Return the workers that wait and are of an older generation."""
        return [
            worker
            for worker, state in self.living.items()
            if state in WAITING and self.generations[worker] < self.generation
        ]

    def see(self, worker: int) -> None:
        """Note a sign of life."""
        self.unborn.discard(worker)
        self.is_proven |= self.generations[worker] == self.generation

    def gone(self, worker: int, event: WorkerExited | SpawnFailed) -> None:
        """Forget a worker and tell the pool why."""
        del self.living[worker]
        self.killed.discard(worker)
        self.unborn.discard(worker)
        self.tell(event)

    def pick(self, choice: int, *states: WorkerState) -> int | None:
        """Return some worker in one of the states, None if there is none."""
        return self.pick_of({n for n, s in self.living.items() if s in states}, choice)

    def pick_of(self, workers: set[int], choice: int) -> int | None:
        """Return one of the workers, None if there is none."""
        return sorted(workers)[choice % len(workers)] if workers else None

    def let_time_pass_to_the_next_timer(self) -> None:
        """Move the clock to the next timer and deliver it."""
        timer = min(self.timers, key=lambda timer: (self.timers[timer], timer.value))
        self.now = max(self.now, self.timers.pop(timer))
        self.tell(TimerExpired(timer))

    # What can happen

    @rule(choice=choices)
    def started(self, choice: int) -> None:
        """Let a worker, perhaps asked to leave before it was born, wait in accept()."""
        worker = self.pick_of(self.unborn, choice)
        if worker is not None:
            self.see(worker)
            if self.living[worker] is WorkerState.STARTING:
                self.living[worker] = WorkerState.IDLE
            self.tell(WorkerStarted(worker))

    @rule(choices=st.lists(choices, min_size=1, max_size=4))
    def accepted(self, choices: list[int]) -> None:
        """Give some workers connections, of which the pool hears together."""
        workers = []
        for choice in choices:
            worker = self.pick(choice, *WAITING, WorkerState.RETIRING)
            if worker is not None:
                self.see(worker)
                self.living[worker] = WorkerState.BUSY
                workers.append(worker)
        for command in self.pool.accept(tuple(workers), self.now) if workers else ():
            self.obey(command)

    @rule(choice=choices, status=st.sampled_from(STATUSES))
    def exited(self, choice: int, status: int) -> None:
        """End some worker's process."""
        worker = self.pick(choice, *WorkerState)
        if worker is not None:
            self.gone(worker, WorkerExited(worker, status))

    @rule(choice=choices)
    def completed(self, choice: int) -> None:
        """End some connection."""
        worker = self.pick(choice, WorkerState.BUSY)
        if worker is not None:
            self.gone(worker, WorkerExited(worker, 0))

    @rule(choice=choices, is_shortage=st.booleans())
    def failed_to_spawn(self, choice: int, is_shortage: bool) -> None:
        """Let some worker never be born."""
        worker = self.pick_of(self.unborn, choice)
        if worker is not None:
            self.gone(worker, SpawnFailed(worker, "no memory", is_shortage))

    @rule()
    def room_made(self) -> None:
        """Let somebody else's process end."""
        self.room = 1
        self.tell(ShortageEased())
        self.room = 0

    @rule(seconds=st.sampled_from((0.05, 1.0, 29.0)))
    def time_passed(self, seconds: float) -> None:
        """Let time go on, and every timer that is due say so."""
        until = self.now + seconds
        while self.timers and min(self.timers.values()) <= until:
            self.let_time_pass_to_the_next_timer()
        self.now = until

    @precondition(lambda self: self.timers)
    @rule()
    def timer_expired(self) -> None:
        """Let nothing happen until the next timer is due."""
        self.let_time_pass_to_the_next_timer()

    @precondition(lambda self: self.pool.phase is Phase.RUNNING and self.settings_can_change())
    @rule(strategy=st.sampled_from(Strategy), minimum=st.integers(1, 4), spare=st.integers(0, 5))
    def reloaded(self, strategy: Strategy, minimum: int, spare: int) -> None:
        """Begin a new generation with other numbers."""
        maximum = minimum + (0 if strategy is Strategy.FIXED else spare)
        self.settings = PoolSettings(minimum, maximum, strategy)
        self.most = max(self.most, maximum)
        self.generation += 1
        self.is_proven = not self.outdated()
        self.peak = max(minimum, self.size().total)
        for command in self.pool.reload(self.settings, self.now):
            self.obey(command)

    def settings_can_change(self) -> bool:
        """Tell whether the pool is one that is reloaded: not for a number of connections."""
        return self.settings.connection_limit is None

    @precondition(lambda self: self.pool.phase is Phase.RUNNING)
    @rule()
    def nothing_happened_for_long(self) -> None:
        """See the pool come to rest, with nobody left to let go, when nothing happens."""
        for _ in range(3 * self.most + 3):
            if self.timers:
                self.let_time_pass_to_the_next_timer()
            for worker in sorted(self.unborn):
                self.started(worker)
            for worker in [n for n, s in self.living.items() if s is WorkerState.RETIRING]:
                self.gone(worker, WorkerExited(worker, 0))

        assert not self.timers
        assert not self.outdated()
        assert self.surplus() <= 0

    @precondition(lambda self: self.now > 0)
    @rule(choice=st.integers(0, 7))
    def stop_requested(self, choice: int) -> None:
        """Want the service to end, now and then."""
        if choice == 0 or self.is_refusing:
            self.tell(StopRequested())

    @precondition(lambda self: self.is_refusing)
    @rule()
    def queue_drained(self) -> None:
        """Tell that no connection waits any more."""
        self.tell(QueueDrained())

    # What is always true

    def surplus(self) -> int:
        """Return how far the pool is above what its strategy keeps, counting idle workers only."""
        size, minimum = self.size(), self.settings.minimum
        match self.settings.strategy:
            case Strategy.FIXED:
                return 0
            case Strategy.EAGER:
                return size.idle - minimum
            case Strategy.ADAPTIVE:
                return size.idle - max(minimum, min(size.busy, 64))
            case Strategy.INCREMENTAL:
                return size.total - max(minimum, size.busy)
            case Strategy.SURGE:
                return size.total - max(minimum, size.busy + 1)

    @invariant()
    def living_workers_stay_within_the_maximum(self) -> None:
        """Count no more workers than the maximum, those about to leave included."""
        assert len(self.living) <= self.most

    @invariant()
    def settled_pool_has_its_minimum(self) -> None:
        """Find the minimum in a running pool that waits for no retry."""
        if self.pool.phase is Phase.RUNNING and PoolTimer.RETRY not in self.timers:
            has_room = len(self.living) < self.settings.maximum
            assert self.size().total >= self.settings.minimum or not has_room

    @invariant()
    def outdated_workers_wait_for_somebody(self) -> None:
        """Find outdated workers only while one of the new generation is to come up."""
        if self.pool.phase is Phase.RUNNING and self.outdated():
            assert self.pool.is_renewing
            is_coming = any(self.generations[worker] == self.generation for worker in self.unborn)
            is_leaving = WorkerState.RETIRING in self.living.values()
            assert is_coming or is_leaving or PoolTimer.RETRY in self.timers

    @invariant()
    def surplus_is_watched(self) -> None:
        """Find the shrink timer armed while there is somebody to let go."""
        if self.pool.phase is Phase.RUNNING and self.surplus() > 0:
            assert PoolTimer.SHRINK in self.timers

    @invariant()
    def register_is_right(self) -> None:
        """Find the pool's counts and states to be those of the world."""
        assert self.size() == self.pool.size
        numbers = range(self.most)
        assert [self.living.get(n) for n in numbers] == [self.pool.state_of(n) for n in numbers]

    @invariant()
    def timers_belong_to_the_phase(self) -> None:
        """Find no timer armed that has no meaning in the phase."""
        assert set(self.timers) <= ALLOWED_TIMERS[self.pool.phase]

    @invariant()
    def finished_means_told_so_once(self) -> None:
        """Find the pool finished exactly when it has said so."""
        assert self.finishes == (self.pool.phase is Phase.FINISHED)

    def teardown(self) -> None:
        """Bring a stop to its end, whatever has happened."""
        self.tell(StopRequested())
        if self.are_stubborn:
            while self.timers:
                self.let_time_pass_to_the_next_timer()
            assert self.killed == set(self.living)
        else:
            self.tell(QueueDrained())
        for worker in list(self.living):
            self.gone(worker, WorkerExited(worker, 0))

        assert self.pool.phase is Phase.FINISHED
        assert self.finishes == 1
        assert not self.timers


TestPoolWorld = pytest.mark.slow(PoolWorld.TestCase)
TestPoolWorld.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
