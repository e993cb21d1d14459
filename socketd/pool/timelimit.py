"""The time that a connection may take.

Owns who has been at work for how long, and what follows: SIGTERM when the time is over, SIGKILL
for whoever is still there after `kill_seconds`. Pure like the pool, which it does not know: it
takes the same events and returns commands of the same kind; what becomes of those the pool hears
as it hears of any end.

One timer is armed, for the first that is due, and none while nobody is at work. A limit that a
reload changes is that of the connections which come afterwards.
"""

import heapq
from dataclasses import dataclass

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
    """When something follows for a worker at work: SIGTERM, or SIGKILL if that was sent."""

    due_seconds: float
    worker: int
    is_last: bool


class TimeLimit:
    """The deadlines of one service's workers."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._deadlines: dict[int, Deadline] = {}
        # Those that are over stay in it until they come first.
        self._order: list[tuple[float, int]] = []
        self._armed_seconds: float | None = None

    def reload(self, settings: PoolSettings) -> None:
        """Take other settings for the connections to come."""
        self._settings = settings

    def state(self) -> tuple[Deadline, ...]:
        """Return all that `restore` wants to know."""
        return tuple(self._deadlines.values())

    def restore(self, deadlines: tuple[Deadline, ...]) -> None:
        """Go on where another has stopped; only for a new one. Its timer is still armed."""
        for deadline in deadlines:
            self._add(deadline)
        self._armed_seconds = self._next_seconds()

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one event, return what is to be done, in order."""
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
        """Have the timer armed for the first that is due, and for nothing if there is none."""
        due_seconds = self._next_seconds()
        if due_seconds == self._armed_seconds:
            return []
        self._armed_seconds = due_seconds
        if due_seconds is None:
            return [DisarmTimer(PoolTimer.LIMIT)]
        return [ArmTimer(PoolTimer.LIMIT, due_seconds)]
