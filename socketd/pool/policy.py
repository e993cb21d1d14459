"""The pool: who lives, who is asked to leave, and when the service is over.

Owns the register of workers and the phases of a service's life. Must not know the operating
system: `handle` takes an event and the time and returns commands.

The phases only go forward:

    RUNNING      grow and shrink by strategy
    DRAINING     asked to stop: no new connection enters the queue, those in it are still served
    LEAVING      the queue is empty: idle workers leave, busy ones finish
    TERMINATING  out of patience: SIGTERM for whoever is left
    KILLING      SIGKILL for whoever is left
    FINISHED     nobody is left

A worker that ends before it accepts, or with 126 or 127 (its program could not be run), has
failed; so has one that could not be born. Status 0 before it accepts is not a failure: somebody
else, an operator say, has asked it to retire. After a failure nothing is started until the back-off
has passed. A program that exits soon after its connection is normal, whatever its other status.
"""

import enum
import heapq
import math
from dataclasses import dataclass
from typing import assert_never

from socketd.messages import (
    ArmTimer,
    CloseListener,
    Command,
    DisarmTimer,
    Event,
    Finish,
    KillWorkers,
    PoolTimer,
    QueueDrained,
    RefuseConnections,
    ReportBackOff,
    ReportFailure,
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
from socketd.pool.backoff import BackOff
from socketd.pool.settings import PoolSettings
from socketd.pool.states import ImpossibleMoveError, Move, WorkerState, next_state
from socketd.pool.strategies import Size, rule_for

KILL_SECONDS = 5.0
_FEWEST_FOR_PATIENCE = 4
_PATIENCE_PER_WORKER = 0.00025
_LONGEST_PATIENCE = 0.01
_CANNOT_RUN = frozenset({126, 127})


class Phase(enum.IntEnum):
    """How far the service's life has got."""

    RUNNING = 0
    DRAINING = 1
    LEAVING = 2
    TERMINATING = 3
    KILLING = 4
    FINISHED = 5


@dataclass(slots=True)
class _Worker:
    state: WorkerState
    born_seconds: float


class Pool:
    """The policy of one service's workers.

    Feed every event to `handle`, in the order of the facts, and carry out what it returns in
    order. Worker numbers are below `settings.maximum` and free again when a worker is gone.
    """

    def __init__(self, settings: PoolSettings, seed: int = 0, generation: int = 0) -> None:
        self._settings = settings
        self._generation = generation
        self._rule = rule_for(settings.strategy, settings.minimum, settings.maximum)
        self._back_off = BackOff(seed)
        self._retry_is_pending = False
        self._phase = Phase.RUNNING
        self._stop_is_requested = False
        self._workers: dict[int, _Worker] = {}
        self._busy = 0
        self._retiring = 0
        self._free = list(range(settings.maximum))
        self._accepted = 0
        self._accepted_seconds = -math.inf
        self._shrink_is_armed = False
        self._peak = settings.minimum

    @property
    def phase(self) -> Phase:
        """Return how far the service's life has got."""
        return self._phase

    @property
    def size(self) -> Size:
        """Return the workers that stay: those starting count as idle, those retiring not at all."""
        return Size(len(self._workers) - self._busy - self._retiring, self._busy)

    @property
    def patience_seconds(self) -> float:
        """Return for how long events of workers may be kept back; 0 means not at all.

        Not if somebody may start, or the service end, because a worker ends. Otherwise it is
        time enough for few of the idle workers to accept: the more of them, the longer.
        """
        if (
            self._phase != Phase.RUNNING
            or self._rule.grows_on_completion
            or len(self._workers) == self._settings.maximum
            or self._settings.minimum < _FEWEST_FOR_PATIENCE
        ):
            return 0.0
        return min(_LONGEST_PATIENCE, self._settings.minimum * _PATIENCE_PER_WORKER)

    def state_of(self, worker: int) -> WorkerState | None:
        """Return a worker's state, None for a number that no living worker has."""
        entry = self._workers.get(worker)
        return entry.state if entry is not None else None

    def start(self, now: float) -> list[Command]:
        """Return the commands that bring up the first workers."""
        return self._spawn(self._settings.minimum, now)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one event, return what is to be done, in order.

        Raises ImpossibleMoveError for an event that cannot happen to that worker.
        """
        match event:
            case WorkerAccepted(worker):
                return self._accept(worker, now)
            case WorkerExited():
                return self._exit(event, now)
            case WorkerStarted(worker):
                self._move(worker, Move.START)
                return []
            case SpawnFailed(worker, reason):
                self._move(worker, Move.STILLBIRTH)
                return self._fail(worker, reason, now) + self._settle(now)
            case TimerExpired(timer):
                return self._expire(timer, now)
            case StopRequested():
                return self._stop(now)
            case QueueDrained():
                return self._leave() if self._phase == Phase.DRAINING else []
            case _:
                assert_never(event)

    def _accept(self, worker: int, now: float) -> list[Command]:
        self._move(worker, Move.ACCEPT)
        self._accepted += 1
        self._accepted_seconds = now
        if self._phase == Phase.KILLING:
            return [KillWorkers((worker,))]
        if self._phase == Phase.TERMINATING:
            return [TerminateWorkers((worker,))]
        if self._phase == Phase.LEAVING:
            return []
        if self._accepted == self._settings.connection_limit:
            return self._leave()
        return self._spawn(self._rule.growth_on_accept(self.size), now)

    def _exit(self, event: WorkerExited, now: float) -> list[Command]:
        worker, status = event.worker, event.status
        entry = self._workers.get(worker)
        self._move(worker, Move.EXIT)
        assert entry is not None  # _move has raised otherwise
        state = entry.state
        if state is WorkerState.BUSY and status not in _CANNOT_RUN:
            self._back_off.succeed(entry.born_seconds)
            return self._settle(now, self._rule.growth_on_completion(self.size))
        if state is WorkerState.BUSY or (state is not WorkerState.RETIRING and status != 0):
            return self._fail(worker, _describe_exit(state, event), now) + self._settle(now)
        return self._settle(now)

    def _fail(self, worker: int, reason: str, now: float) -> list[Command]:
        commands: list[Command] = [ReportFailure(worker, reason)]
        if self._phase <= Phase.DRAINING and not self._retry_is_pending:
            self._retry_is_pending = True
            delay = self._back_off.fail(now)
            commands += [
                ReportBackOff(delay, self._back_off.step, reason),
                ArmTimer(PoolTimer.RETRY, now + delay),
            ]
        return commands

    def _settle(self, now: float, wanted: int = 0) -> list[Command]:
        """Fill what is missing after a worker has gone, or finish when the last one has."""
        if self._phase <= Phase.DRAINING:
            return self._spawn(max(wanted, self._rule.shortage(self.size)), now)
        return self._finish_if_empty()

    def _spawn(self, wanted: int, now: float) -> list[Command]:
        count = min(wanted, self._settings.maximum - len(self._workers))
        if count <= 0 or self._retry_is_pending or self._phase > Phase.DRAINING:
            return self._watch_surplus(now)
        numbers = tuple([heapq.heappop(self._free) for _ in range(count)])
        for number in numbers:
            self._workers[number] = _Worker(WorkerState.STARTING, now)
        commands: list[Command] = [SpawnWorkers(numbers, self._generation)]
        if len(self._workers) - self._retiring > self._peak:
            self._peak = len(self._workers) - self._retiring
            commands.append(self._report_size())
        return commands + self._watch_surplus(now)

    def _watch_surplus(self, now: float) -> list[Command]:
        """Arm the shrink timer if a quiet time from now on would let somebody go.

        It is not armed anew for each connection: when it is due, it looks at the last one.
        """
        if self._shrink_is_armed or self._phase != Phase.RUNNING:
            return []
        if self._rule.surplus(self.size) == 0:
            return []
        self._shrink_is_armed = True
        return [ArmTimer(PoolTimer.SHRINK, now + self._settings.idle_seconds)]

    def _expire(self, timer: PoolTimer, now: float) -> list[Command]:
        match timer:
            case PoolTimer.SHRINK:
                self._shrink_is_armed = False
                return self._shrink(now)
            case PoolTimer.RETRY:
                self._retry_is_pending = False
                return self._settle(now)
            case PoolTimer.DRAIN:
                return self._terminate(now)
            case PoolTimer.KILL:
                return self._kill()
            case _:
                assert_never(timer)

    def _shrink(self, now: float) -> list[Command]:
        if self._phase != Phase.RUNNING or self._rule.surplus(self.size) == 0:
            return []
        quiet_until = self._accepted_seconds + self._settings.idle_seconds
        if now < quiet_until:
            self._shrink_is_armed = True
            return [ArmTimer(PoolTimer.SHRINK, quiet_until)]
        commands = self._retire(self._idle_workers()[: self._rule.surplus(self.size)])
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
        return commands

    def _leave(self) -> list[Command]:
        self._phase = Phase.LEAVING
        commands: list[Command] = [
            CloseListener(),
            DisarmTimer(PoolTimer.SHRINK),
            DisarmTimer(PoolTimer.RETRY),
        ]
        return commands + self._retire(self._idle_workers()) + self._finish_if_empty()

    def _terminate(self, now: float) -> list[Command]:
        if self._phase >= Phase.TERMINATING:
            return []
        commands = self._leave() if self._phase < Phase.LEAVING else []
        if self._phase == Phase.FINISHED:
            return commands
        self._phase = Phase.TERMINATING
        return [
            *commands,
            DisarmTimer(PoolTimer.DRAIN),
            TerminateWorkers(tuple(self._workers)),
            ArmTimer(PoolTimer.KILL, now + KILL_SECONDS),
        ]

    def _kill(self) -> list[Command]:
        if self._phase != Phase.TERMINATING:
            return []
        self._phase = Phase.KILLING
        return [DisarmTimer(PoolTimer.KILL), KillWorkers(tuple(self._workers))]

    def _finish_if_empty(self) -> list[Command]:
        if self._workers or self._phase == Phase.FINISHED:
            return []
        self._phase = Phase.FINISHED
        return [DisarmTimer(PoolTimer.DRAIN), DisarmTimer(PoolTimer.KILL), Finish()]

    def _idle_workers(self) -> list[int]:
        """Return the idle workers, highest number first, so that low numbers stay in use."""
        waiting = (WorkerState.STARTING, WorkerState.IDLE)
        return sorted((n for n, w in self._workers.items() if w.state in waiting), reverse=True)

    def _retire(self, workers: list[int]) -> list[Command]:
        for worker in workers:
            self._move(worker, Move.RETIRE)
        return [RetireWorkers(tuple(workers))] if workers else []

    def _move(self, worker: int, move: Move) -> None:
        """Make a move of the transition table and keep the counts with it."""
        entry = self._workers.get(worker)
        if entry is None:
            raise ImpossibleMoveError(f"there is no worker {worker} to {move.name.lower()}")
        before, after = entry.state, next_state(worker, entry.state, move)
        self._busy += (after is WorkerState.BUSY) - (before is WorkerState.BUSY)
        self._retiring += (after is WorkerState.RETIRING) - (before is WorkerState.RETIRING)
        if after is None:
            del self._workers[worker]
            heapq.heappush(self._free, worker)
        else:
            entry.state = after

    def _report_size(self) -> Command:
        size = self.size
        return ReportResize(size.idle, size.busy, size.total)


def _describe_exit(state: WorkerState, event: WorkerExited) -> str:
    """Say how a worker failed, for a log line."""
    status = event.status
    if state is WorkerState.BUSY:
        how = f"its program could not be run (exit status {status})"
    elif status < 0:
        how = f"killed by signal {-status} before it accepted a connection"
    else:
        how = f"exited with status {status} before it accepted a connection"
    return f"{how}: {event.detail}" if event.detail else how
