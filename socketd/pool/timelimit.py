"""The end of connections that last too long, or whose client has gone.

Owns how long each worker has been busy, and what follows: SIGTERM when the time is over, and
SIGKILL if the worker is still there after `kill_seconds`. Pure like the pool, which it does not
know: it takes the same events and returns the same kind of commands. The pool sees the end of such
a worker like any other.

One timer is armed, for the earliest deadline, and none while no worker is busy. If a reload changes
the limit, the new one applies to later connections.
"""

import heapq

from socketd.dataclass import dataclass
from socketd.pool.messages import (
    ArmTimer,
    Command,
    DisarmTimer,
    Event,
    KillWorkers,
    PoolTimer,
    TerminateWorkers,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
)
from socketd.pool.settings import PoolSettings


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a busy worker gets SIGTERM, or SIGKILL if SIGTERM was sent."""

    due_seconds: float
    worker: int
    is_last: bool


class TimeLimit:
    """The deadlines of one service's workers."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._deadlines: dict[int, Deadline] = {}
        # Deadlines of ended connections stay in it until they are the earliest.
        self._order: list[tuple[float, int]] = []
        self._armed_seconds: float | None = None

    def reload(self, settings: PoolSettings) -> None:
        """Use other settings for later connections."""
        self._settings = settings

    def state(self) -> tuple[Deadline, ...]:
        """Return all that `restore` wants to know."""
        return tuple(self._deadlines.values())

    def restore(self, deadlines: tuple[Deadline, ...]) -> None:
        """Continue where another one stopped; only for a new one. Its timer is still armed."""
        for deadline in deadlines:
            self._add(deadline)
        self._armed_seconds = self._next_seconds()

    def end(self, workers: tuple[int, ...], now: float) -> list[Command]:
        """End connections now, those of them that have not been told to end already."""
        for worker in workers:
            deadline = self._deadlines.get(worker)
            if deadline is None or not deadline.is_last:
                self._add(Deadline(now, worker, is_last=False))
        return self._expire(now) + self._watch()

    def handle(self, event: Event, now: float) -> list[Command]:
        """Handle one event; return the commands that follow, in order."""
        match event:
            case WorkerAccepted(worker) if self._settings.limit_seconds is not None:
                self._add(Deadline(now + self._settings.limit_seconds, worker, is_last=False))
                return self._watch()
            case WorkerExited(worker) if worker in self._deadlines:
                del self._deadlines[worker]
                return self._watch()
            case TimerExpired(PoolTimer.LIMIT):
                self._armed_seconds = None
                return self._expire(now) + self._watch()
            case _:
                return []

    def _expire(self, now: float) -> list[Command]:
        due = [one for one in self._deadlines.values() if one.due_seconds <= now]
        for one in due:
            del self._deadlines[one.worker]
        late = tuple(one.worker for one in due if not one.is_last)
        stubborn = tuple(one.worker for one in due if one.is_last)
        for worker in late:
            self._add(Deadline(now + self._settings.kill_seconds, worker, is_last=True))
        commands: list[Command] = [TerminateWorkers(late)] if late else []
        return commands + ([KillWorkers(stubborn)] if stubborn else [])

    def _add(self, deadline: Deadline) -> None:
        self._deadlines[deadline.worker] = deadline
        heapq.heappush(self._order, (deadline.due_seconds, deadline.worker))

    def _next_seconds(self) -> float | None:
        while self._order:
            due_seconds, worker = self._order[0]
            deadline = self._deadlines.get(worker)
            if deadline is not None and deadline.due_seconds == due_seconds:
                return due_seconds
            heapq.heappop(self._order)
        return None

    def _watch(self) -> list[Command]:
        """Arm the timer for the earliest deadline, or disarm it if there is none."""
        due_seconds = self._next_seconds()
        if due_seconds == self._armed_seconds:
            return []
        self._armed_seconds = due_seconds
        if due_seconds is None:
            return [DisarmTimer(PoolTimer.LIMIT)]
        return [ArmTimer(PoolTimer.LIMIT, due_seconds)]
