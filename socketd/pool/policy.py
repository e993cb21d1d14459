"""The pool: which workers exist, which are asked to exit, and when the service is over.

Owns the register of workers and the phases of a service's life. Must not know the operating
system: `handle` takes an event and the time and returns commands. The phases are in phase.py.

A worker that ends before it accepts has failed, as has one whose fork failed or whose program
could not be run; see socketd/pool/failures.py. Exit status 0 before the accept is no failure: an
operator, for example, asked it to retire. After a failure no worker is started until the back-off
is over, except into room that was freed (socketd/pool/backoff.py).

A reload begins a new generation; see socketd/pool/renewal.py. Busy workers of the old one, and all
busy workers when the service stops, are asked to finish: to end a kept connection after the current
request. Most programs ignore that, and go on to the end of their connection.
"""

from typing import assert_never

from socketd.pool.allotment import Share
from socketd.pool.backoff import Restraint
from socketd.pool.batching import NO_PATIENCE, Patience, are_enough, patience
from socketd.pool.failures import describe_exit, is_failure
from socketd.pool.messages import (
    ArmTimer,
    AskToFinish,
    CloseListener,
    Command,
    DisarmTimer,
    Event,
    Finish,
    KillWorkers,
    LeaveRequested,
    PoolTimer,
    QueueDrained,
    RefuseConnections,
    ReportBackOff,
    ReportFailure,
    ReportResize,
    RetireWorkers,
    RoomMade,
    RoomWanted,
    ShortageEased,
    SpawnFailed,
    SpawnWorkers,
    StopRequested,
    TerminateWorkers,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.phase import Phase as Phase
from socketd.pool.phase import PoolState
from socketd.pool.register import Register
from socketd.pool.renewal import Renewal
from socketd.pool.settings import PoolSettings
from socketd.pool.states import Move, WorkerState
from socketd.pool.strategies import Size, rule_for
from socketd.pool.window import Window


class Pool:
    """The policy of one service's workers.

    Pass every event to `handle`, or accepts in a row to `accept`, in the order in which things
    happened, and carry out the returned commands in order. Worker numbers are below the largest
    maximum so far, and free again when a worker is gone.
    """

    def __init__(self, settings: PoolSettings, seed: int = 0, share: Share | None = None) -> None:
        self._settings = settings
        self._seed = seed
        self._rule = rule_for(*settings.rule)
        self._restraint = Restraint(seed)
        self._phase = Phase.RUNNING
        self._stop_is_requested = False
        self.share = share or Share()
        self.share.workers = self._register = Register(0)
        self._renewal = Renewal(self._register)
        self._accepted = 0
        self._window = Window()
        self._peak = settings.minimum

    @property
    def phase(self) -> Phase:
        """Return how far the service's life has got."""
        return self._phase

    @property
    def size(self) -> Size:
        """Return the size without retiring workers; starting ones count as idle."""
        return self._register.size

    @property
    def generation(self) -> int:
        """Return the generation of the workers that are started now."""
        return self._register.generation

    @property
    def is_renewing(self) -> bool:
        """Tell whether workers of an older generation wait for the new one to come up."""
        return self._phase == Phase.RUNNING and self._register.outdated > 0

    @property
    def is_short(self) -> bool:
        """Tell whether workers are missing because the machine has no room for them."""
        return self._restraint.is_short

    def patience(self, ready: int) -> Patience:
        """Return for how long and how many accepts events may be held back, with so many ready."""
        return patience(ready) if self.may_hold_back_ends else NO_PATIENCE

    @property
    def may_hold_back_ends(self) -> bool:
        """Tell whether the ends of workers may be held back: none has an urgent effect.

        Where there is no room for more, an end makes some; while many wait, that is not urgent.
        """
        is_urgent = self.is_short or self._rule.grows_on_completion or self._register.outdated
        if is_urgent or self._phase != Phase.RUNNING:
            return False
        is_full = len(self._register) >= self._settings.room or self.share.is_short
        return not is_full or are_enough(self._settings.minimum, self.size.idle)

    def state_of(self, worker: int) -> WorkerState | None:
        """Return a worker's state, None for a number that no living worker has."""
        return entry.state if (entry := self._register.find(worker)) is not None else None

    def start(self, now: float) -> list[Command]:
        """Return the commands that bring up the first workers."""
        return self._spawn(self._settings.minimum, now)

    def adjust(self, settings: PoolSettings, now: float) -> list[Command]:
        """Use these settings from now on, for the present generation as well, unless it stops.

        A back-off is cancelled: the operator may have removed the cause of the failures.
        """
        if self._phase != Phase.RUNNING:
            return []
        commands = self._take(settings)
        excess = max(0, len(self._register) - settings.room)
        return commands + self._retire(self._register.waiting()[:excess]) + self._settle(now)

    def reload(self, settings: PoolSettings, now: float) -> list[Command]:
        """Begin a new generation with these settings; see `adjust`."""
        if self._phase != Phase.RUNNING:
            return []
        self._renewal.begin()
        commands = self._take(settings)
        return commands + self._ask_busy_to_finish() + self._settle(now)

    def _take(self, settings: PoolSettings) -> list[Command]:
        self._settings = settings
        self._rule = rule_for(*settings.rule)
        self._restraint.begin_anew(self._seed)
        self._window.is_open = False
        self._peak = max(settings.minimum, self.size.total)
        return [DisarmTimer(PoolTimer.RETRY), DisarmTimer(PoolTimer.SHRINK)]

    def state(self) -> PoolState:
        """Return all that `restore` wants to know."""
        return PoolState(
            self.generation,
            self._phase,
            self._stop_is_requested,
            self._restraint.is_pending,
            self._window.is_open,
            self._window.needed,
            self._accepted,
            self._window.accepted_seconds,
            tuple(self._register.workers()),
        )

    def restore(self, state: PoolState) -> None:
        """Continue where another pool stopped; only for a new pool. Its timers are still armed.

        A running pool must be reloaded next. A stopping one begins a new generation by itself: its
        workers are another spawner's.
        """
        self._register.generation = state.generation
        self._register.restore(list(state.workers))
        if state.phase != Phase.RUNNING:
            self._renewal.begin()
        self._phase = state.phase
        self._stop_is_requested = state.stop_is_requested
        self._restraint.is_pending = state.retry_is_pending
        self._window.is_open = state.shrink_is_armed
        self._window.needed = state.needed
        self._window.accepted_seconds = state.accepted_seconds
        self._accepted = state.accepted
        self._peak = max(self._settings.minimum, self.size.total)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Handle one event; return the commands that follow, in order.

        Raises ImpossibleMoveError for an event that cannot happen to that worker.
        """
        match event:
            case WorkerAccepted(worker):
                return self.accept((worker,), now)
            case WorkerExited():
                return self._exit(event, now)
            case WorkerStarted(worker):
                self._register.move(worker, Move.START)
                self._renewal.note(worker)
                return self._renew()
            case SpawnFailed():
                return self._miss(event, now)
            case ShortageEased():
                return self._settle(now, room=1) if self.is_short else []
            case TimerExpired(timer):
                return self._expire(timer, now)
            case StopRequested():
                return self._stop(now)
            case QueueDrained():
                return self._leave() if self._phase == Phase.DRAINING else []
            case LeaveRequested():
                return self._leave() + self._ask_busy_to_finish()
            case RoomWanted(workers):
                return self._retire(self._register.waiting()[:workers])
            case RoomMade():
                return self._settle(now)
            case _:
                assert_never(event)

    def accept(self, workers: tuple[int, ...], now: float) -> list[Command]:
        """Handle that all of these have accepted; whom that calls for is started together."""
        for worker in workers:
            self._register.move(worker, Move.ACCEPT)
            self._renewal.note(worker)
            self._rule.accepted(now)
        before, self._accepted = self._accepted, self._accepted + len(workers)
        is_after_quiet = self._window.note(self.size.busy, now) >= self._settings.idle_seconds
        if self._phase == Phase.KILLING:
            return [KillWorkers(workers)]
        if self._phase == Phase.TERMINATING:
            return [TerminateWorkers(workers)]
        if self._phase == Phase.LEAVING:
            return []
        if before < (self._settings.connection_limit or 0) <= self._accepted:
            return self._leave()
        growth = self._rule.growth_on_accept(self.size, is_after_quiet=is_after_quiet)
        return self._spawn(growth, now) + self._renew()

    def _exit(self, event: WorkerExited, now: float) -> list[Command]:
        worker = event.worker
        entry = self._register.move(worker, Move.EXIT)
        if is_failure(entry.state, event):
            reason = describe_exit(entry.state, event)
            return self._fail(worker, reason, now, is_shortage=event.is_shortage)
        if entry.state is not WorkerState.BUSY:
            return self._settle(now)
        over = self._restraint.succeed(entry.born_seconds)
        return [*over, *self._settle(now, self._rule.growth_on_completion(self.size))]

    def _miss(self, event: SpawnFailed, now: float) -> list[Command]:
        """Handle a failed fork; it does not matter for a worker that was to exit anyway."""
        entry = self._register.move(event.worker, Move.STILLBIRTH)
        is_outdated = entry.generation < self._register.generation
        if is_outdated or entry.state is WorkerState.RETIRING:
            return self._settle(now)
        return self._fail(event.worker, event.reason, now, is_shortage=event.is_shortage)

    def _fail(self, worker: int, reason: str, now: float, *, is_shortage: bool) -> list[Command]:
        commands: list[Command] = [ReportFailure(worker, reason)]
        if self._phase <= Phase.DRAINING:
            delay = self._restraint.fail(now, reason, is_shortage=is_shortage)
            if delay is not None:
                step = self._restraint.back_off.step
                commands.append(ReportBackOff(delay, step, reason))
                commands.append(ArmTimer(PoolTimer.RETRY, now + delay))
        return commands + self._settle(now)

    def _settle(self, now: float, wanted: int = 0, room: int = 0) -> list[Command]:
        """Start missing workers after one has ended, or finish after the last one."""
        if self._phase <= Phase.DRAINING:
            shortage = self._renewal.shortage(self._settings.minimum)
            missing = max(wanted, self._rule.shortage(self.size), shortage)
            return self._spawn(missing, now, room) + self._renew()
        return self._finish_if_empty()

    def _renew(self) -> list[Command]:
        if not self.is_renewing or self._restraint.is_pending:
            return []
        return self._retire(self._renewal.leavers(self._settings.room))

    def _spawn(self, wanted: int, now: float, room: int = 0) -> list[Command]:
        if wanted <= 0 and not self.share.unmet:
            return self._watch_surplus(now)
        count = min(wanted, self._settings.room - len(self._register))
        count = self.share.grant(self._restraint.allowed(count, room))
        if count <= 0 or self._phase > Phase.DRAINING:
            return self._watch_surplus(now)
        numbers = self._register.enrol(count, now)
        commands: list[Command] = [SpawnWorkers(numbers, self.generation)]
        if self.size.total > self._peak:
            self._peak = self.size.total
            commands.append(self._report_size())
        return commands + self._watch_surplus(now)

    def _watch_surplus(self, now: float) -> list[Command]:
        """Open a window if it would let a worker go without further connections."""
        if self._window.is_open or self._phase != Phase.RUNNING:
            return []
        if self._rule.surplus(self.size, self.size.busy) == 0:
            return []
        self._window.open(self.size.busy)
        return [ArmTimer(PoolTimer.SHRINK, now + self._settings.idle_seconds)]

    def _expire(self, timer: PoolTimer, now: float) -> list[Command]:
        match timer:
            case PoolTimer.SHRINK:
                return self._shrink(self._window.close(), now)
            case PoolTimer.RETRY:
                self._restraint.lift()
                return self._settle(now)
            case PoolTimer.DRAIN:
                return self._terminate(now)
            case PoolTimer.KILL:
                return self._kill()
            case PoolTimer.LIMIT | PoolTimer.CLIENTS | PoolTimer.TRAFFIC:  # of other rooms
                return []
            case _:
                assert_never(timer)

    def _shrink(self, needed: int, now: float) -> list[Command]:
        if self._phase != Phase.RUNNING:
            return []
        surplus = self._rule.surplus(self.size, needed)
        is_reloading = self._register.outdated > 0 and not self._renewal.is_proven
        if surplus == 0 or is_reloading:  # workers that are starting are waited for
            return self._watch_surplus(now)
        commands = self._retire(self._register.waiting_of(outdated=False)[:surplus])
        self._rule.shrunk(self.size)
        self._peak = self.size.total
        commands.append(self._report_size())
        return commands + self._watch_surplus(now)

    def _stop(self, now: float) -> list[Command]:
        if self._stop_is_requested:
            return self._kill() if self._phase == Phase.TERMINATING else self._terminate(now)
        self._stop_is_requested = True
        if self._phase == Phase.FINISHED:
            return []
        commands: list[Command] = [
            DisarmTimer(PoolTimer.SHRINK),
            ArmTimer(PoolTimer.DRAIN, now + self._settings.drain_seconds),
        ]
        if self._phase == Phase.RUNNING:
            self._phase = Phase.DRAINING
            commands.append(RefuseConnections())
        return commands + self._ask_busy_to_finish()

    def _leave(self) -> list[Command]:
        if self._phase >= Phase.LEAVING:
            return []
        self._phase = Phase.LEAVING
        commands: list[Command] = [
            CloseListener(),
            DisarmTimer(PoolTimer.SHRINK),
            DisarmTimer(PoolTimer.RETRY),
        ]
        return commands + self._retire(self._register.waiting()) + self._finish_if_empty()

    def _terminate(self, now: float) -> list[Command]:
        if self._phase >= Phase.TERMINATING:
            return []
        commands = self._leave()
        if self._phase == Phase.FINISHED:
            return commands
        self._phase = Phase.TERMINATING
        return [
            *commands,
            DisarmTimer(PoolTimer.DRAIN),
            TerminateWorkers(tuple(self._register)),
            ArmTimer(PoolTimer.KILL, now + self._settings.kill_seconds),
        ]

    def _kill(self) -> list[Command]:
        if self._phase != Phase.TERMINATING:
            return []
        self._phase = Phase.KILLING
        return [DisarmTimer(PoolTimer.KILL), KillWorkers(tuple(self._register))]

    def _finish_if_empty(self) -> list[Command]:
        if len(self._register) or self._phase == Phase.FINISHED:
            return []
        self._phase = Phase.FINISHED
        return [DisarmTimer(PoolTimer.DRAIN), DisarmTimer(PoolTimer.KILL), Finish()]

    def _retire(self, workers: list[int]) -> list[Command]:
        for worker in workers:
            self._register.move(worker, Move.RETIRE)
        return [RetireWorkers(tuple(workers))] if workers else []

    def _ask_busy_to_finish(self) -> list[Command]:
        busy = self._register.busy()
        return [AskToFinish(tuple(busy))] if busy else []

    def _report_size(self) -> Command:
        return ReportResize(*self.size, self.size.total)
