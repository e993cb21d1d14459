"""The pool's events (past tense) and commands (imperative).

Owns the messages between the pure pool and the rest. Must not know who sends or executes them. A
worker is identified by its number: an index that is unique among living workers and free again once
the worker is gone. Times are seconds on the caller's monotonic clock.
"""

import enum

from socketd.dataclass import dataclass


class PoolTimer(enum.Enum):
    """The timers a pool may have armed, at most one of each.

    LIMIT is that of the time limit, CLIENTS that of the looks at clients, TRAFFIC that of the looks
    at what connections carry.
    """

    SHRINK = "shrink"
    RETRY = "retry"
    DRAIN = "drain"
    KILL = "kill"
    LIMIT = "limit"
    CLIENTS = "clients"
    TRAFFIC = "traffic"


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
    """A worker has ended; `status` is its exit code, or minus the signal that ended it.

    `detail` is what the worker wrote about its failure, if anything; `is_shortage` is set if the
    machine lacked processes or memory.
    """

    worker: int
    status: int
    detail: str = ""
    is_shortage: bool = False


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """A worker could not be forked; `is_shortage` if processes or memory were lacking."""

    worker: int
    reason: str
    is_shortage: bool = False


@dataclass(frozen=True, slots=True)
class ShortageEased:
    """A worker of this or another pool has ended: one may be started where there was no room."""


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """A timer that the pool armed is due."""

    timer: PoolTimer


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The service shall stop; each repetition hastens the stop."""


@dataclass(frozen=True, slots=True)
class QueueDrained:
    """The kernel's queue is empty, and no new connection can enter it."""


@dataclass(frozen=True, slots=True)
class LeaveRequested:
    """No connection comes any more: those who wait are to leave, the busy to finish."""


@dataclass(frozen=True, slots=True)
class RoomWanted:
    """Another pool that shares the maximum lacks workers: so many who wait are to make room."""

    workers: int


@dataclass(frozen=True, slots=True)
class RoomMade:
    """There is room again among the pools that share the maximum."""


# What is decided about pools that share their maximum.
OfSeveral = LeaveRequested | RoomWanted | RoomMade

Event = (
    WorkerStarted
    | WorkerAccepted
    | WorkerExited
    | SpawnFailed
    | ShortageEased
    | TimerExpired
    | StopRequested
    | QueueDrained
    | OfSeveral
)


@dataclass(frozen=True, slots=True)
class SpawnWorkers:
    """Start one worker for each number, all of one generation."""

    workers: tuple[int, ...]
    generation: int


@dataclass(frozen=True, slots=True)
class RetireWorkers:
    """Ask workers to exit unless they have a connection."""

    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AskToFinish:
    """Ask busy workers to end their connection after the current request."""

    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LookAtClients:
    """Find out which of these workers' clients have gone, and end their connections."""

    workers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LookAtTraffic:
    """Find out what has gone over these workers' connections, and when the last of it."""

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
    """Keep new connections out of the kernel's queue, and report when it is empty."""


@dataclass(frozen=True, slots=True)
class CloseListener:
    """Close the listening socket."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The service is finished: no worker is left and none will come."""


@dataclass(frozen=True, slots=True)
class ReportResize:
    """Log that the pool has grown past its last peak, or shrunk."""

    idle: int
    busy: int
    target: int


@dataclass(frozen=True, slots=True)
class ReportFailure:
    """Log that a worker failed before it could serve, and why."""

    worker: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportBackOff:
    """Log that no worker is started for `delay_seconds`, the n-th step in a row."""

    delay_seconds: float
    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportRecovery:
    """Log that the last failure, which had this reason, is over."""

    reason: str


Command = (
    SpawnWorkers
    | RetireWorkers
    | AskToFinish
    | LookAtClients
    | LookAtTraffic
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
    | ReportRecovery
)
