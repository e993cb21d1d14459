"""The end of connections that last too long, and of those that somebody else has judged.

Owns how long each worker has been busy, and what follows: SIGTERM when the time is over, and
SIGKILL if the worker is still there after `kill_seconds`; and why a connection was ended. Pure like
the pool, which it does not know: it takes the same events and returns the same kind of commands.
The pool sees the end of such a worker like any other.

One timer is armed, for the earliest deadline, and none while no worker is busy. If a reload changes
the limit, the new one applies to later connections.
"""

import enum

from socketd.dataclass import dataclass
from socketd.pool.deadlines import Deadlines
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


class EndReason(enum.Enum):
    """Why a connection was ended, as the log names it."""

    TIME = "time"
    IDLE = "idle"
    FIRST_BYTE = "first_byte"
    CLIENT_GONE = "client_gone"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a busy worker gets SIGTERM, or SIGKILL if SIGTERM was sent."""

    due_seconds: float
    worker: int
    is_last: bool
    reason: EndReason = EndReason.TIME


class TimeLimit:
    """The deadlines of one service's workers."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._deadlines: dict[int, Deadline] = {}
        self._order = Deadlines()
        self._ended: dict[int, EndReason] = {}
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
            if deadline.is_last:
                self._ended[deadline.worker] = deadline.reason
        self._armed_seconds = self._order.next_seconds

    def reason_of(self, worker: int) -> EndReason | None:
        """Return why a connection was told to end, None if it was not."""
        return self._ended.get(worker)

    def end(self, workers: tuple[int, ...], reason: EndReason, now: float) -> list[Command]:
        """End connections now, those of them that have not been told to end already."""
        for worker in workers:
            if worker not in self._ended:
                self._add(Deadline(now, worker, is_last=False, reason=reason))
        return self._expire(now) + self._watch()

    def handle(self, event: Event, now: float) -> list[Command]:
        """Handle one event; return the commands that follow, in order."""
        match event:
            case WorkerAccepted(worker) if self._settings.limit_seconds is not None:
                self._add(Deadline(now + self._settings.limit_seconds, worker, is_last=False))
                return self._watch()
            case WorkerExited(worker) if worker in self._deadlines or worker in self._ended:
                self._ended.pop(worker, None)
                self._deadlines.pop(worker, None)
                self._order.drop(worker)
                return self._watch()
            case TimerExpired(PoolTimer.LIMIT):
                self._armed_seconds = None
                return self._expire(now) + self._watch()
            case _:
                return []

    def _expire(self, now: float) -> list[Command]:
        due = [self._deadlines.pop(worker) for worker in self._order.take(now)]
        late = tuple(one.worker for one in due if not one.is_last)
        stubborn = tuple(one.worker for one in due if one.is_last)
        for one in due:
            if not one.is_last:
                self._ended[one.worker] = one.reason
                due_seconds = now + self._settings.kill_seconds
                self._add(Deadline(due_seconds, one.worker, is_last=True, reason=one.reason))
        commands: list[Command] = [TerminateWorkers(late)] if late else []
        return commands + ([KillWorkers(stubborn)] if stubborn else [])

    def _add(self, deadline: Deadline) -> None:
        self._deadlines[deadline.worker] = deadline
        self._order.set(deadline.worker, deadline.due_seconds)

    def _watch(self) -> list[Command]:
        """Arm the timer for the earliest deadline, or disarm it if there is none."""
        due_seconds = self._order.next_seconds
        if due_seconds == self._armed_seconds:
            return []
        self._armed_seconds = due_seconds
        if due_seconds is None:
            return [DisarmTimer(PoolTimer.LIMIT)]
        return [ArmTimer(PoolTimer.LIMIT, due_seconds)]
