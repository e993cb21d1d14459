"""What the pool is told (events, past tense) and what it asks for (commands, imperative).

Owns the vocabulary between the pure pool and the rest. Must not know who makes or runs any of
it. A worker is named by its number: an index that is unique among living workers and free again
once the worker is gone. Times are seconds on the caller's monotonic clock.
"""

import enum
from dataclasses import dataclass


class PoolTimer(enum.Enum):
    """The timers a pool may have armed, at most one of each; LIMIT is that of the time limit."""

    SHRINK = "shrink"
    RETRY = "retry"
    DRAIN = "drain"
    KILL = "kill"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A worker waits in accept()."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerAccepted:
    """A worker has a connection."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """A worker's process is gone; `status` is its exit code, or minus the signal that ended it.

    `detail` is what the worker left in writing about its failure, if anything; `is_shortage` if the
    machine had no room for it.
    """

    worker: int
    status: int
    detail: str = ""
    is_shortage: bool = False


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """A worker that was asked for was never born; `is_shortage` if there was no room for it."""

    worker: int
    reason: str
    is_shortage: bool = False


@dataclass(frozen=True, slots=True)
class RoomMade:
    """A worker has ended, of this pool or another: one may be started where there was no room."""


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """A timer that the pool had armed is due."""

    timer: PoolTimer


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody wants the service to end; each repetition means more haste."""


@dataclass(frozen=True, slots=True)
class QueueDrained:
    """No connection waits in the kernel's queue, and no new one can enter it."""


Event = (
    WorkerStarted
    | WorkerAccepted
    | WorkerExited
    | SpawnFailed
    | RoomMade
    | TimerExpired
    | StopRequested
    | QueueDrained
)


@dataclass(frozen=True, slots=True)
class SpawnWorkers:
    """Start one worker for each number, all of one generation."""

    workers: tuple[int, ...]
    generation: int


@dataclass(frozen=True, slots=True)
class RetireWorkers:
    """Ask workers to leave unless they hold a connection."""

    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AskToFinish:
    """Ask workers to take on nothing more with the connection that they have."""

    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TerminateWorkers:
    """Send SIGTERM to the process groups of workers."""

    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KillWorkers:
    """Send SIGKILL to the process groups of workers."""

    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """Deliver TimerExpired(timer) at `due_seconds`; replaces an earlier arming."""

    timer: PoolTimer
    due_seconds: float


@dataclass(frozen=True, slots=True)
class DisarmTimer:
    """Forget a timer, armed or not."""

    timer: PoolTimer


@dataclass(frozen=True, slots=True)
class RefuseConnections:
    """Let no new connection into the kernel's queue, and tell when the queue is empty."""


@dataclass(frozen=True, slots=True)
class CloseListener:
    """Give up the listening socket."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Forget the service: no worker is left and none will come."""


@dataclass(frozen=True, slots=True)
class ReportResize:
    """Tell the operator that the pool has grown past its last peak, or shrunk."""

    idle: int
    busy: int
    target: int


@dataclass(frozen=True, slots=True)
class ReportFailure:
    """Tell the operator that a worker never came to serve, and why."""

    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportBackOff:
    """Tell the operator that nothing is started for `delay_seconds`, the n-th step in a row."""

    delay_seconds: float
    step: int
    reason: str


Command = (
    SpawnWorkers
    | RetireWorkers
    | AskToFinish
    | TerminateWorkers
    | KillWorkers
    | ArmTimer
    | DisarmTimer
    | RefuseConnections
    | CloseListener
    | Finish
    | ReportResize
    | ReportFailure
    | ReportBackOff
)
