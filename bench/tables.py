"""Tables in Markdown, and targets: the form in which numbers are shown.

Must not know what is measured.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench.results import Results, Summary

NONE = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """A promise that the numbers keep or break."""

    title: str
    limit: float
    value: Callable[[Results], Summary | None]
    is_least: bool = False
    """The limit is the least that will do, not the most."""
    unit: str = ""

    def row(self, results: Results) -> list[str]:
        """Return the promise, what was measured and the verdict."""
        sign = "≥" if self.is_least else "≤"
        found = self.value(results)
        promise = f"{sign} {self.limit:g}{self.unit}"
        if found is None:
            return [self.title, promise, NONE, "not measured"]
        is_met = found.median >= self.limit if self.is_least else found.median <= self.limit
        shown = span(found, f"{{:.{2 if found.median < 100 else 0}f}}") + self.unit
        return [self.title, promise, shown, "met" if is_met else "**missed**"]


def section(title: str, header: list[str], rows: list[list[str]]) -> str:
    """Return a table under its title, nothing without rows."""
    return f"### {title}\n\n{table(header, rows)}" if rows else ""


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table."""
    ruler = ["---"] * len(header)
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ruler, *rows))


def span(found: Summary | None, form: str) -> str:
    """Return a median with the least and the most."""
    if found is None:
        return NONE
    return f"{form} ({form} to {form})".format(found.median, found.least, found.most)


def ms(found: Summary | None) -> str:
    """Return microseconds as milliseconds."""
    if found is None:
        return NONE
    return span(Summary(found.median / 1e3, found.least / 1e3, found.most / 1e3), "{:.2f}")
