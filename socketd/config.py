"""What the operator has asked for, checked and frozen.

Owns the settings and their limits. Must not know click, the environment or a clock.
"""

import math
import re
from dataclasses import dataclass

from socketd.address import Address
from socketd.errors import UsageError
from socketd.pool import PoolSettings, Strategy
from socketd.program import Program
from socketd.spawner import StderrTarget, WorkerKind

MOST_WORKERS = 32768  # the kernel's default number of process ids
DEFAULT_MAXIMUM = 256
DEFAULT_BACKLOG = 4096
HIGHEST_BACKLOG = 2**31 - 1
_LONGEST_SECONDS = 365 * 86400.0

_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h|d)?", re.ASCII)
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """One service: where it listens, what it runs, how its pool behaves."""

    name: str
    address: Address
    program: Program
    environment: dict[str, str]
    pool: PoolSettings
    backlog: int = DEFAULT_BACKLOG
    stderr: StderrTarget = StderrTarget.SOCKET
    worker: WorkerKind = WorkerKind.AUTO


def parse_duration(text: str, setting: str) -> float:
    """Return the seconds of a duration: `30s`, `5m`, `1.5h`, `250ms`, `2d`.

    A bare number means seconds. Raises UsageError for anything else and for more than a year.
    """
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _UNIT_SECONDS[found[2] or "s"] if found else math.inf
    if seconds > _LONGEST_SECONDS:
        raise UsageError(
            f"{setting}: {text!r} is not a duration; give a number and one of ms, s, m, h, d, "
            "for example 30s, up to a year"
        )
    return seconds


def parse_count(text: str, setting: str, lowest: int, highest: int) -> int:
    """Return a whole number within limits. Raises UsageError for anything else."""
    if not text.isascii() or not text.isdecimal() or not lowest <= int(text) <= highest:
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
