"""What was found out about a program, level by level.

Owns the values, their medians and comparisons. Must not know how they were found, nor how they
look.
"""

import statistics
from collections.abc import Sequence

from socketd.dataclass import dataclass
from socketd.explain.sharing import Sharing
from socketd.explain.visitor import Visit
from socketd.settings.readiness import ReadyLevel


@dataclass(frozen=True, slots=True)
class Finding:
    """One level: why it cannot be had, or what it gives.

    With `is_impossible` the settings alone rule it out. `private_kib` is the memory of a worker
    that waits, None if it could not be read. `statuses` are the ends of the program in our
    connections.
    """

    level: ReadyLevel
    reason: str | None = None
    sharing: Sharing | None = None
    private_kib: int | None = None
    visits: tuple[Visit, ...] = ()
    statuses: tuple[int, ...] = ()
    is_impossible: bool = False

    @property
    def first_byte_seconds(self) -> float | None:
        """Return the median time to the first byte, None if none came."""
        return _median([one.first_byte_seconds for one in self.visits])

    @property
    def end_seconds(self) -> float | None:
        """Return the median time to the end of a connection, None if one did not end."""
        return _median([one.end_seconds for one in self.visits])

    @property
    def answers(self) -> list[bytes]:
        """Return what answers are compared by: only those that came to an end."""
        return [one.digest for one in self.visits if one.end_seconds is not None]

    @property
    def is_silent(self) -> bool:
        """Tell whether no connection got a byte."""
        return bool(self.visits) and all(one.first_byte_seconds is None for one in self.visits)

    @property
    def has_hung(self) -> bool:
        """Tell whether a connection has not ended in time."""
        return any(one.end_seconds is None for one in self.visits)


@dataclass(frozen=True, slots=True)
class Choice:
    """The level that a service gets, and why it is not the one that it wants, if it is not."""

    level: ReadyLevel
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every level that was looked at, and the one that `auto` takes.

    `cgi` is the one that `socketd cgi` takes, if that is not always the same.
    """

    findings: tuple[Finding, ...]
    auto: Choice
    cgi: Choice | None = None

    def of(self, level: ReadyLevel) -> Finding | None:
        """Return what was found of a level."""
        return next((one for one in self.findings if one.level is level), None)

    def has_another_answer(self, finding: Finding) -> bool:
        """Tell whether a level's answers differ from the first answer of all."""
        first = next((digest for one in self.findings for digest in one.answers), None)
        return any(digest != first for digest in finding.answers)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None
