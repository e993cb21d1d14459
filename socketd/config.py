"""What the operator has asked for, checked and frozen.

Owns the settings and their limits. Must not know click, the environment or a clock.
"""

import re
from dataclasses import dataclass

from socketd.address import Address, TcpAddress, place_of
from socketd.confinement import UNCONFINED, Confinement
from socketd.duration import parse_duration as parse_duration
from socketd.errors import UsageError
from socketd.front import Front, FrontKind
from socketd.pool import PoolSettings, Strategy
from socketd.program import Program
from socketd.relay import RelaySettings
from socketd.spawner import AT_FORK, Readiness, ReadyLevel, StderrTarget, WorkerKind

MOST_WORKERS = 32768  # the kernel's default number of process ids
DEFAULT_MAXIMUM = 256
DEFAULT_BACKLOG = 4096
HIGHEST_BACKLOG = 2**31 - 1

_COUNT = re.compile(r"[0-9]{1,18}")  # int() refuses thousands of digits


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """One listener of a service: where it listens, what it runs, how its pool behaves.

    An `is_inner` one is asked by others of the same master alone, and stops when they have.
    `soft_nofile` is the limit of open files to give back to workers, if the master has raised it.
    """

    name: str
    address: Address
    program: Program
    environment: dict[str, str]
    pool: PoolSettings
    backlog: int = DEFAULT_BACKLOG
    stderr: StderrTarget = StderrTarget.SOCKET
    worker: WorkerKind = WorkerKind.AUTO
    relay: RelaySettings | None = None
    confinement: Confinement = UNCONFINED
    soft_nofile: int | None = None
    readiness: Readiness = AT_FORK
    front: Front | None = None
    is_inner: bool = False

    @property
    def key(self) -> str:
        """Return what a reload knows it by: the place, with the name where any port will do."""
        place = place_of(self.address)
        is_any = isinstance(self.address, TcpAddress) and self.address.port == "0"
        return f"{self.name} {place}" if is_any else place


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the services that are and those that are wanted, by key."""

    added: list[ServiceSettings]
    kept: list[ServiceSettings]
    changed: int
    removed: list[str]


def compare(present: dict[str, ServiceSettings], wanted: list[ServiceSettings]) -> Changes:
    """Sort what is wanted into what is new and what is there; what nobody wants is removed."""
    keys = {settings.key for settings in wanted}
    return Changes(
        added=[settings for settings in wanted if settings.key not in present],
        kept=[settings for settings in wanted if settings.key in present],
        changed=sum(present.get(settings.key, settings) != settings for settings in wanted),
        removed=[key for key in present if key not in keys],
    )


def usual_stderr(front: FrontKind) -> StderrTarget:
    """Return where standard error goes if nobody says: not into the answer of a CGI program."""
    return StderrTarget.SOCKET if front is FrontKind.NONE else StderrTarget.INHERIT


def why_no_front(
    front: FrontKind, level: ReadyLevel, worker: WorkerKind, *, has_root: bool
) -> str | None:
    """Tell what speaks against a front with these settings, None if nothing does."""
    if worker is WorkerKind.PYTHON and front is FrontKind.SCGI:
        return "requests are taken by native workers only"
    if level is ReadyLevel.FORK:
        return None
    if front is FrontKind.FCGI:
        return (
            "the wrapper runs the program for each request, at the level fork; for another one "
            "have fcgi2cgi --to pass requests on to a service with the front scgi"
        )
    if has_root:
        return "a request names the program, so none can be started ahead: only fork will do"
    if level not in (ReadyLevel.LOAD, ReadyLevel.STOP):
        return (
            f"at the level {level.value} a program has looked at its variables before there is a "
            "request: use load or stop"
        )
    return None


def parse_count(text: str, setting: str, lowest: int, highest: int) -> int:
    """Return a whole number within limits. Raises UsageError for anything else."""
    if not _COUNT.fullmatch(text) or not lowest <= int(text) <= highest:
        raise UsageError(f"{setting}: {text!r} is not a whole number from {lowest} to {highest}")
    return int(text)


def size_pool(strategy: Strategy, minimum: int | None, maximum: int | None) -> tuple[int, int]:
    """Return (minimum, maximum) with the defaults filled in.

    The minimum is 1 by default, the maximum 256 or the minimum where that is larger; a fixed pool
    has one size. Raises UsageError if they contradict each other.
    """
    least = 1 if minimum is None else minimum
    if strategy is Strategy.FIXED:
        if maximum is not None and maximum != least:
            raise UsageError(
                f"--max-workers: a fixed pool has exactly as many workers as -W says ({least}), "
                f"not {maximum}; leave it out or choose another --strategy"
            )
        return least, least
    most = max(DEFAULT_MAXIMUM, least) if maximum is None else maximum
    if most < least:
        raise UsageError(f"--max-workers: {most} is less than the {least} of -W")
    return least, most
