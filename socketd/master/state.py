"""What is passed on of one listener of a service when another process goes on with it.

Owns the value. Must not know how it travels.
"""

from socketd.dataclass import dataclass
from socketd.pool.messages import PoolTimer
from socketd.pool.phase import PoolState
from socketd.pool.timelimit import Deadline
from socketd.workers.processes import ProcessesState


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What a service must be told to go on where another has stopped."""

    pool: PoolState
    deadlines: tuple[Deadline, ...]
    processes: ProcessesState
    timers: dict[PoolTimer, float]
    connections: int
    is_ready: bool
    is_listening: bool
    is_draining: bool
    stop_reason: str
    refused: dict[str, int]
