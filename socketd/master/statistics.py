"""What one listener of a service does at a moment, in numbers.

Owns the values, and how they are said in a line. Must not know where they come from, nor who asks:
they are made on request.
"""

from collections.abc import Iterable
from typing import Self

from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass
from socketd.settings.readiness import ReadyLevel


@dataclass(frozen=True, slots=True)
class Statistics:
    """The numbers of one listener.

    `idle` are the workers that wait or start, `busy` those with a connection, of services that have
    crashed as well. `connections` is the number since the start. `level` is the one that workers
    are made at, None if none are made; `wanted` is the one that was asked for.
    """

    service: str
    listener: str
    idle: int
    busy: int
    connections: int
    minimum: int
    maximum: int
    generation: int
    wanted: ReadyLevel
    level: ReadyLevel | None
    is_ready: bool = False
    is_stopping: bool = False
    crashes: int = 0

    @classmethod
    def of_nobody(cls, settings: ServiceSettings, listener: str) -> Self:
        """Return the numbers of a listener without workers."""
        pool, wanted = settings.pool, settings.readiness.level
        name = settings.name
        return cls(name, listener, 0, 0, 0, pool.minimum, pool.maximum, 0, wanted, None)


def describe(statistics: Iterable[Statistics]) -> str:
    """Return the sum of many in a line, as ps(1) and systemctl(1) show it."""
    idle = busy = connections = 0
    for one in statistics:
        idle += one.idle
        busy += one.busy
        connections += one.connections
    return f"{idle} idle, {busy} busy, {connections} connections so far"


def describe_progress(statistics: list[Statistics], *, is_stopping: bool) -> str:
    """Return how far a start has got, or a stop."""
    if is_stopping:
        left = sum(one.busy for one in statistics)
        return f"stopping: {left} connection{'s' * (left != 1)} left"
    ready = sum(one.is_ready for one in statistics)
    return f"starting: {ready} of {len(statistics)} listeners ready"
