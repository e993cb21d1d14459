"""What makes workers: the interface of the two spawners and what both need to know.

Owns the plan of a worker. Must not know why a worker is wanted, nor how one is made.
"""

import contextlib
import enum
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from socketd.confinement import UNCONFINED, Confinement
from socketd.front import Front
from socketd.program import Program
from socketd.reaper import DeadChild
from socketd.relay import RelaySettings

WORKER_FAILED_STATUS = 111


class WorkerKind(enum.Enum):
    """Which spawner to use; AUTO is the native one where it was built."""

    AUTO = "auto"
    NATIVE = "native"
    PYTHON = "python"


class StderrTarget(enum.Enum):
    """Where a program's standard error goes."""

    SOCKET = "socket"
    INHERIT = "inherit"
    SYSLOG = "syslog"
    NULL = "null"


def open_stderr(target: StderrTarget) -> int:
    """Open what stands for a program's stderr, for SYSLOG and NULL; native/front/syslog.c.

    On the system's log each write is one message; where nobody takes any it is /dev/null. Raises
    OSError.
    """
    if target is StderrTarget.SYSLOG:
        with contextlib.suppress(OSError), contextlib.closing(_log_socket()) as log:
            log.connect("/dev/log")
            return log.detach()
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _log_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


class ReadyLevel(enum.Enum):
    """How far the process has got that workers are forked from.

    RELAY is beside these: workers are forked as at FORK, and each starts its own program at once.
    """

    FORK = "fork"
    LOAD = "load"
    READ = "read"
    STOP = "stop"
    RELAY = "relay"

    @property
    def is_held(self) -> bool:
        """Tell whether the template is the program itself, and not our own."""
        return self not in (ReadyLevel.FORK, ReadyLevel.RELAY)


@dataclass(frozen=True, slots=True)
class Readiness:
    """The level that is wanted, and whether a lesser one will do; see docs/templates.md."""

    level: ReadyLevel = ReadyLevel.FORK
    is_strict: bool = False
    hold_seconds: float = 10.0
    renew_seconds: float = 3600.0


AT_FORK = Readiness()


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """Everything that a worker needs from its birth to exec.

    With `relay` a worker does not become the program but starts it, and relays. With `front` it
    takes a request off the connection before. All workers of a spawner are of one generation.
    """

    listener: socket.socket
    program: Program
    environment: dict[str, str]
    stderr: StderrTarget
    doorbell_fd: int
    master_pid: int
    relay: RelaySettings | None = None
    generation: int = 0
    confinement: Confinement = UNCONFINED
    soft_nofile: int | None = None
    readiness: Readiness = AT_FORK
    front: Front | None = None


class Spawner(Protocol):
    """Makes workers, as children of the calling process.

    The board tells what becomes of each: a slot must have been claimed, it holds the pid before
    the worker runs its first instruction, and it turns STILLBORN if there could be no worker.
    """

    def spawn(self, workers: Sequence[int]) -> None:
        """Start a worker for each number."""
        ...

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the living processes of the spawner's own."""
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
        """Tell why no first worker may come, None as long as one may."""
        ...

    def close(self) -> None:
        """Start no more workers; those that exist are left alone."""
        ...

    def give_up_coming(self) -> None:
        """Drop what is not ready to make workers yet; go on as before if there is no successor."""
        ...

    def bury(self, child: DeadChild) -> bool:
        """Take note of the end of a process of the spawner's own; tell whether it was one."""
        ...

    def distrust(self, pid: int) -> None:
        """Take note that somebody has stopped a process, which may be the spawner's own."""
        ...
