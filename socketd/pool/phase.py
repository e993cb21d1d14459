"""The phases of a service, and the state that one pool passes to another.

Owns the phases and their order. Must not know what is done in them. They only go forward:

    RUNNING      grow and shrink by strategy
    DRAINING     asked to stop: no new connection enters the queue, those in it are still served
    LEAVING      the queue is empty: idle workers leave, busy ones finish
    TERMINATING  out of patience: SIGTERM for the workers that are left
    KILLING      SIGKILL for the workers that are left
    FINISHED     no worker is left
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
