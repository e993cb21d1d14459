"""What makes workers: the interface of the two spawners and what both need to know.

Owns the plan of a worker. Must not know why a worker is wanted, nor how one is made.
"""

import enum
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from socketd.program import Program

WORKER_FAILED_STATUS = 111


class StderrTarget(enum.Enum):
    """Where a program's standard error goes."""

    SOCKET = "socket"
    INHERIT = "inherit"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """Everything that a worker needs from its birth to exec."""

    listener: socket.socket
    program: Program
    environment: dict[str, str]
    stderr: StderrTarget
    doorbell_fd: int
    master_pid: int


class Spawner(Protocol):
    """Makes workers, as children of the calling process.

    The board tells what becomes of each: a slot must have been claimed, it holds the pid before
    the worker runs its first instruction, and it turns STILLBORN if there could be no worker.
    """

    def spawn(self, workers: Sequence[int]) -> None:
        """Start a worker for each number."""
        ...

    def close(self) -> None:
        """Start no more workers; those that exist are left alone."""
        ...
