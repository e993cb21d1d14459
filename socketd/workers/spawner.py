"""The interface of the two spawners, and the plan of a worker.

Owns the plan of a worker. Must not know why a worker is wanted, nor how one is made.
"""

import socket
from collections.abc import Sequence
from typing import Protocol

from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass
from socketd.loop.reaper import DeadChild
from socketd.settings.readiness import ReadyLevel
from socketd.workers.groups import SlotGroups


@dataclass(frozen=True, slots=True)
class Handing:
    """How workers of a service hand connections to copies of the programs that requests name.

    `token` is the service's part of each address. With `is_favourite` the workers are the copies.
    """

    token: str
    is_favourite: bool = False


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """Everything that a worker needs from its fork to exec.

    With a relay in the settings a worker does not become the program but starts it, and relays.
    With a front it first reads the head of a request. All workers of a spawner belong to one
    generation. `groups` are the control groups that they are born in, None for that of the master.
    """

    settings: ServiceSettings
    listener: socket.socket
    doorbell_fd: int
    master_pid: int
    generation: int = 0
    groups: SlotGroups | None = None
    handing: Handing | None = None

    @property
    def is_of_favourite(self) -> bool:
        """Tell whether connections come from workers that have accepted them."""
        return self.handing is not None and self.handing.is_favourite


@dataclass(frozen=True, slots=True)
class ServingTemplate:
    """A template that is passed on: workers are forked from it until there is another."""

    pid: int
    pipe_fd: int
    level: ReadyLevel
    has_groups: bool = False


class Spawner(Protocol):
    """Creates workers, as children of the calling process.

    The board tells what becomes of each: a slot must have been claimed, it holds the pid before
    the worker runs its first instruction, and it turns STILLBORN if a template could not fork. The
    ledger is told which workers will never be forked, and the process ids of those forked here.
    """

    def spawn(self, workers: Sequence[int]) -> None:
        """Start a worker for each number."""
        ...

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the living processes of the spawner's own."""
        ...

    @property
    def passed_on(self) -> ServingTemplate | None:
        """Return the template that another version can have workers forked by, None if none can."""
        ...

    @property
    def is_caught_up(self) -> bool:
        """Tell whether all who were asked for have been born, or will be in no time."""
        ...

    @property
    def is_serving(self) -> bool:
        """Tell whether a worker that is asked for now starts at once."""
        ...

    @property
    def is_gone(self) -> bool:
        """Tell whether no process of the spawner's own, beside the workers, is left."""
        ...

    @property
    def level(self) -> ReadyLevel:
        """Return how far the process has got that workers are forked from now."""
        ...

    @property
    def trouble(self) -> str | None:
        """Return why no first worker will start, None while one may."""
        ...

    def close(self) -> None:
        """Start no more workers; existing ones are left alone."""
        ...

    def renew(self) -> bool:
        """Take a fresh process to fork from; tell whether one is on its way now."""
        ...

    def drop_coming(self) -> None:
        """Drop what is not ready to make workers yet; go on as before if there is no successor."""
        ...

    def on_exit(self, child: DeadChild) -> bool:
        """Take note of the end of a process of the spawner's own; tell whether it was one."""
        ...

    def on_crash(self) -> None:
        """Take note that a program has crashed in a worker, maybe because somebody tries it out."""
        ...

    def retry_after_shortage(self) -> None:
        """Try again to start what there was no room for: a process has ended."""
        ...

    def on_stopped(self, pid: int) -> None:
        """Take note that a process was stopped, which may be the spawner's own."""
        ...
