"""What a plan says: sizes with their reasons, a table of strategies, lines for a file.

Owns the words. Must not know how a figure was found.
"""

import math

from socketd.dataclass import dataclass
from socketd.planning.outcome import Outcome
from socketd.planning.sizing import USUAL_IDLE_SECONDS, Size
from socketd.pool.settings import PoolSettings, Strategy
from socketd.settings.duration import format_duration
from socketd.settings.size import Size as Bytes

_HEADS = (
    "strategy",
    "min",
    "no idle worker",
    "wait p50",
    "p99",
    "max",
    "forks",
    "mean workers",
    "peak",
)
_TOLERANCE = 1.25  # times the share that may wait: a run is one of many that there could be


@dataclass(frozen=True, slots=True)
class Run:
    """One strategy with its settings, and what came of it."""

    settings: PoolSettings
    outcome: Outcome


def sizes_as_text(
    size: Size, goal: float, start_seconds: float, worker_bytes: int | None, settings: PoolSettings
) -> str:
    """Return what is needed, a line each, and why; `settings` are those that are simulated."""
    rows = [
        ("load", f"{size.load:.3g}", "workers at work on average" + _each(size)),
        (
            "workers.min",
            str(size.minimum),
            f"covers what arrives in {_time(start_seconds)}, until a replacement waits",
        ),
        ("workers.max", str(size.maximum), _why_maximum(size, goal)),
        ("idle_timeout", format_duration(size.idle_seconds), _why_idle(size)),
    ]
    if worker_bytes is not None:
        total = size.maximum * worker_bytes
        shown = Bytes().show(worker_bytes)
        rows.append(
            (
                "memory",
                bytes_as_text(total),
                f"at most: {size.maximum} workers of {shown}" + _each(size),
            )
        )
    if size.hosts > 1:
        rows.append(("hosts", str(size.hosts), "with the same share of the connections each"))
    lines = [f"{name:<14}{value:<8}{why}" for name, value, why in rows]
    differing = [
        f"{name} {shown}"
        for name, shown, is_other in (
            ("min", settings.minimum, settings.minimum != size.minimum),
            ("max", settings.maximum, settings.maximum != size.maximum),
            (
                "idle_timeout",
                format_duration(settings.idle_seconds),
                settings.idle_seconds != size.idle_seconds,
            ),
        )
        if is_other
    ]
    if differing:
        lines.append(f"simulated with {', '.join(differing)}, as you say")
    return "\n".join(lines)


def _why_idle(size: Size) -> str:
    if size.idle_seconds == USUAL_IDLE_SECONDS:
        return "the default: nothing asks for a longer one"
    return "outlasts nine of ten gaps between rushes"


def _each(size: Size) -> str:
    return ", on each host" if size.hosts > 1 else ""


def _why_maximum(size: Size, goal: float) -> str:
    share = _percent(1.0 - goal)
    if size.waiting is None:
        return f"no more than {share} of these connections find all at work"
    waits = size.waiting
    mean, most = _time(waits.mean_if_waiting_seconds), _time(waits.quantile(0.99))
    found = f"{_percent(waits.share)} find all at work (Erlang C)"
    return f"{found}, and wait {mean} on average; p99 of all {most}"


def table(runs: list[Run], worker_bytes: int | None) -> str:
    """Return a line for each strategy, below the names of the columns."""
    heads = [*_HEADS, "mean memory"] if worker_bytes is not None else list(_HEADS)
    rows = [heads, *(_row(run, worker_bytes) for run in runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(run: Run, worker_bytes: int | None) -> list[str]:
    found = run.outcome
    cells = [
        run.settings.strategy.value,
        str(run.settings.minimum),
        _percent(found.share_waited),
        _time(found.wait(0.5)),
        _time(found.wait(0.99)),
        _time(found.wait(1.0)),
        str(found.forks),
        f"{found.mean_workers:.1f}",
        str(found.peak),
    ]
    if worker_bytes is not None:
        cells.append(bytes_as_text(round(found.mean_workers * worker_bytes)))
    return cells


def best_of(runs: list[Run], goal: float) -> Run:
    """Return the run with the fewest workers of those that reach the goal, or nearly do.

    If none does it is the one with the fewest connections that wait.
    """
    most_waiting = (1.0 - goal) * _TOLERANCE
    good = [run for run in runs if run.outcome.share_waited <= most_waiting]
    if good:
        return min(good, key=lambda run: run.outcome.mean_workers)
    return min(runs, key=lambda run: (run.outcome.share_waited, run.outcome.mean_workers))


def lines_for_file(run: Run, service: str) -> str:
    """Return the table of workers for a configuration file."""
    settings = run.settings
    lines = [f"[service.{_key(service)}.workers]", f"min = {settings.minimum}"]
    lines += [f"max = {settings.maximum}", f'strategy = "{settings.strategy.value}"']
    if settings.strategy is not Strategy.FIXED:
        lines.append(f'idle_timeout = "{format_duration(settings.idle_seconds)}"')
    return "\n".join(lines)


def _key(name: str) -> str:
    is_bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return name if is_bare else f'"{escaped}"'


def bytes_as_text(count: int) -> str:
    """Return a number of bytes in the unit that makes it short."""
    amount = float(count)
    for unit in ("", "K", "M", "G"):
        if amount < 1024.0:
            return f"{amount:.3g}{unit}" if amount < 999.5 else f"{amount:.0f}{unit}"
        amount /= 1024.0
    return f"{amount:.3g}T" if amount < 999.5 else f"{amount:.0f}T"


def _percent(share: float) -> str:
    return f"{100.0 * share:.2g}%" if share < 0.0995 else f"{100.0 * share:.3g}%"


def _time(seconds: float) -> str:
    if math.isinf(seconds):
        return "for ever"
    if seconds == 0.0:
        return "0"
    for unit, factor in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        if seconds < 999.5 * factor:
            return f"{seconds / factor:.3g}{unit}"
    return f"{seconds:.0f}s"
