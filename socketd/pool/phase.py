"""The phases of a service, and the state that one pool passes to another.

Owns the phases and their order. Must not know what is done in them.
"""

import enum

from socketd.dataclass import dataclass
from socketd.pool.register import Worker


class Phase(enum.IntEnum):
    """How far the service's life has got."""

    RUNNING = 0
    DRAINING = 1
    LEAVING = 2
    TERMINATING = 3
    KILLING = 4
    FINISHED = 5


@dataclass(frozen=True, slots=True)
class PoolState:
    """What a pool needs to continue where another one stopped."""

    generation: int
    phase: Phase
    stop_is_requested: bool
    retry_is_pending: bool
    shrink_is_armed: bool
    needed: int
    accepted: int
    accepted_seconds: float
    workers: tuple[Worker, ...]
