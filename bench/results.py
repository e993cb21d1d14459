"""Results: every number of a run, in a form that outlives it.

Owns the JSON file and the arithmetic over rounds. Must not know how numbers are shown.

A ratio is taken round by round, against what the baseline did in the same round, and the median
of these is given: a machine that was slow for a while slows both, and the ratio survives it.
"""

import json
import statistics
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One measurement of one server in one round."""

    measurement: str
    program: str
    level: int
    workers: int
    server: str
    round: int
    values: dict[str, float]
    errors: dict[str, int]
    samples_us: list[float] = field(default_factory=list)
    failure: str | None = None
    """Why there are no values."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One number over all rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Summary | None":
        """Summarise; None where there is nothing."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Cell:
    """What a number in a table belongs to, apart from its server."""

    measurement: str
    program: str
    level: int


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run."""

    machine: dict[str, str]
    versions: dict[str, str]
    """Version by key of the server."""
    missing: dict[str, str]
    """Package by title, for servers that are not installed."""
    settings: dict[str, str]
    records: list[Record]

    def save(self, path: str) -> None:
        """Write the JSON file."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"schema": SCHEMA, **asdict(self)}, file, separators=(",", ":"))
            file.write("\n")

    @classmethod
    def read(cls, path: str) -> "Results":
        """Read the JSON file; raise ValueError if another version wrote it."""
        with open(path, encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
        if found.pop("schema") != SCHEMA:
            raise ValueError(f"cannot read {path!r}: not results of schema {SCHEMA}")
        records = [Record(**record) for record in found.pop("records")]
        return cls(records=records, **found)

    def cells(self, measurement: str) -> list[Cell]:
        """List the levels that were measured, in their order."""
        found = [
            Cell(record.measurement, record.program, record.level)
            for record in self.records
            if record.measurement == measurement
        ]
        return list(dict.fromkeys(found))

    def of(self, cell: Cell, server: str) -> list[Record]:
        """Return a server's records at one level, by round."""
        key = (cell.measurement, cell.program, cell.level, server)
        found = [
            record
            for record in self.records
            if (record.measurement, record.program, record.level, record.server) == key
        ]
        return sorted(found, key=lambda record: record.round)

    def summary(self, cell: Cell, server: str, value: str) -> Summary | None:
        """Summarise one value over the rounds."""
        return Summary.of(list(self._by_round(cell, server, value).values()))

    def ratio(
        self, cell: Cell, server: str, value: str, to: str, to_cell: Cell | None = None
    ) -> Summary | None:
        """Summarise one value against another server's, or another level's, of the same round."""
        mine = self._by_round(cell, server, value)
        theirs = self._by_round(to_cell or cell, to, value)
        both = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
        return Summary.of(both)

    def errors(self, cell: Cell, server: str) -> dict[str, int]:
        """Count the connections that were not answered as they should be, by what went wrong."""
        found: Counter[str] = Counter()
        for record in self.of(cell, server):
            found.update(record.errors)
        return dict(found)

    def failures(self) -> dict[tuple[str, str], list[str]]:
        """Collect what could not be measured, by server and reason."""
        found: dict[tuple[str, str], list[str]] = {}
        for record in self.records:
            if record.failure is not None:
                what = f"{record.measurement} {record.program} {record.level}"
                places = found.setdefault((record.server, record.failure), [])
                if what not in places:
                    places.append(what)
        return found

    def _by_round(self, cell: Cell, server: str, value: str) -> dict[int, float]:
        return {
            record.round: record.values[value]
            for record in self.of(cell, server)
            if value in record.values
        }
