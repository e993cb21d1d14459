"""Plots: the same results as pictures.

matplotlib is loaded here and only when something is drawn: nothing else of the benchmark needs it.
"""

import importlib
import os
from collections.abc import Iterator
from typing import Any, TypeAlias

from bench.results import Cell, Results
from bench.servers import BASELINE, PROGRAMS, SERVERS, Server

_INK = "#555555"
# red is ours
_COLOURS = ("C0", "C1", "C2", "C4", "C5", "C6", "C8", "C9", "C7", "navy", "olive", "darkgreen")
# matplotlib is not there when types are checked
Drawing: TypeAlias = Any


def draw(results: Results, directory: str) -> list[str]:
    """Write one SVG per picture and return their paths; raise ImportError without matplotlib."""
    matplotlib: Drawing = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    # text stays text, and the same numbers give the same file
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "socketd"})
    pyplot: Drawing = importlib.import_module("matplotlib.pyplot")
    os.makedirs(directory, exist_ok=True)
    drawn = []
    for cell in results.cells("paced"):
        path = os.path.join(directory, f"turn-around-{cell.program}.svg")
        drawn.append(_latency(pyplot, results, cell, path))
    if any(cell.program == "cat" for cell in results.cells("paced")):
        drawn.append(_levels(pyplot, results, os.path.join(directory, "levels.svg")))
    if results.cells("throughput"):
        path = os.path.join(directory, "throughput.svg")
        drawn.append(_throughput(pyplot, results, path))
    return drawn


def _styles() -> Iterator[tuple[Server, dict[str, Any]]]:
    others = [s for s in SERVERS if s.worker is None and s.key != BASELINE]
    for server in SERVERS:
        yield server, _style(server, others.index(server) if server in others else 0)


def _style(server: Server, position: int) -> dict[str, Any]:
    """Give ours weight and the baseline black, the others a colour each."""
    if server.worker is not None:
        dashes = {"native": "-", "python": "--"}[server.worker]
        return {
            "color": "C3",
            "linewidth": 1.6 if server.is_unix else 2.4,
            "linestyle": ":" if server.is_unix else dashes,
            "zorder": 3,
        }
    if server.key == BASELINE:
        return {"color": "black", "linewidth": 1.8, "zorder": 2}
    return {"color": _COLOURS[position % len(_COLOURS)], "linewidth": 1.0}


def _latency(pyplot: Drawing, results: Results, cell: Cell, path: str) -> str:
    figure, axes = pyplot.subplots(figsize=(8, 4.8), layout="constrained")
    for server, style in _styles():
        samples = sorted(
            sample / 1e3 for record in results.of(cell, server.key) for sample in record.samples_us
        )
        if not samples:
            continue
        share = [(number + 1) / len(samples) for number in range(len(samples))]
        axes.plot(samples, share, label=server.title, **style)
    axes.set_xscale("log")
    axes.set_xlabel("connect to end of file, ms")
    axes.set_ylabel("share of the connections")
    program = PROGRAMS[cell.program].title.replace("`", "")
    return _finish(pyplot, figure, axes, f"{program}, {cell.level} connections per second", path)


def _throughput(pyplot: Drawing, results: Results, path: str) -> str:
    figure, axes = pyplot.subplots(figsize=(8, 4.8), layout="constrained")
    cells = [cell for cell in results.cells("throughput") if cell.program == "cat"]
    for server, style in _styles():
        points = [
            (cell.level, found.median)
            for cell in cells
            if (found := results.summary(cell, server.key, "per_second"))
        ]
        # a server without a process per connection is off the scale, and in the table
        if points and server.package:
            levels, rates = zip(*points, strict=True)
            axes.plot(levels, rates, marker="o", label=server.title, **style)
    axes.set_xscale("log", base=2)
    ticks = [cell.level for cell in cells]
    axes.set_xticks(ticks, [str(level) for level in ticks])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("connections at once")
    axes.set_ylabel("connections per second")
    return _finish(pyplot, figure, axes, "cat, throughput", path)


# What a level has done before there is a connection: the rest of the steps is the client's to wait.
_STEPS = ("fork", "exec", "link", "start")
_STEP_COLOURS = ("#c8d6e5", "#8fb0d3", "#5b8cc0", "#27639f")
_LEVELS = (
    (BASELINE, f"the others ({BASELINE})", ()),
    ("socketd-fork", "--ready fork", ("fork",)),
    ("socketd-native", "--ready load", ("exec", "link", "fork")),
    ("socketd-read", "--ready read", ("exec", "link", "start", "fork")),
    ("socketd-relay", "--ready relay", ("fork", "exec", "link", "start")),
)
# Of the longest bar: what is shorter has its number beside it, not within.
_LEAST_SHARE = 0.6


def _levels(pyplot: Drawing, results: Results, path: str) -> str:
    """Draw which steps are paid when, and beside each level what its client waits for."""
    cells = [cell for cell in results.cells("paced") if cell.program in ("cat", "python")]
    widths = [3.0] + [1.3] * len(cells)
    figure, axes = pyplot.subplots(
        1, 1 + len(cells), figsize=(10.5, 3.3), layout="constrained", width_ratios=widths
    )
    _steps(axes[0])
    for place, cell in zip(axes[1:], cells, strict=True):
        _waits(place, results, cell)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return path


def _steps(axes: Drawing) -> None:
    for row, (key, _, before) in enumerate(_LEVELS):
        after = [step for step in _STEPS if step not in before]
        for place, step in enumerate(before):
            _block(axes, row, place - len(before), step)
        for place, step in enumerate(after):
            _block(axes, row, place, step)
        axes.barh(row, 1, left=len(after), height=0.6, color="white", edgecolor=_INK)
        work = "relay" if key == "socketd-relay" else "work"
        axes.text(len(after) + 0.5, row, work, ha="center", va="center", color=_INK)
    axes.plot([0, 0], [-0.5, len(_LEVELS) - 0.5], color="C3", linewidth=2)
    axes.text(0, -0.62, "the connection arrives", ha="center", va="bottom", color="C3")
    axes.text(-4, -0.62, "paid before", ha="left", va="bottom", color=_INK)
    axes.text(5, -0.62, "the client waits", ha="right", va="bottom", color=_INK)
    axes.set_xlim(-4.05, 5.05)
    axes.set_yticks(range(len(_LEVELS)), [label for _, label, _ in _LEVELS])
    axes.set_xticks([])
    _bare(axes)


def _block(axes: Drawing, row: int, left: float, step: str) -> None:
    colour = _STEP_COLOURS[_STEPS.index(step)]
    axes.barh(row, 1, left=left, height=0.6, color=colour, edgecolor="white")
    ink = "white" if step in ("link", "start") else "black"
    axes.text(left + 0.5, row, step, ha="center", va="center", color=ink)


def _waits(axes: Drawing, results: Results, cell: Cell) -> None:
    found = {
        row: summary.median / 1e3
        for row, (key, _, _) in enumerate(_LEVELS)
        if (summary := results.summary(cell, key, "p50_us"))
    }
    longest = max(found.values(), default=1.0)
    for row, milliseconds in found.items():
        colour = _INK if row == 0 else "C3"
        axes.barh(row, milliseconds, height=0.6, color=colour)
        inside = milliseconds > _LEAST_SHARE * longest
        axes.text(
            milliseconds + longest * (-0.03 if inside else 0.03),
            row,
            f"{milliseconds:.2f} ms",
            ha="right" if inside else "left",
            va="center",
            color="white" if inside else _INK,
        )
    axes.set_xlim(0, longest * 1.02)
    axes.set_xticks([])
    axes.set_yticks([])
    title = PROGRAMS[cell.program].title.replace("`", "")
    axes.text(0, -0.62, f"{title}, median", ha="left", va="bottom", color=_INK)
    _bare(axes)


def _bare(axes: Drawing) -> None:
    axes.set_ylim(len(_LEVELS) - 0.5, -1.0)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)


def _finish(pyplot: Drawing, figure: Drawing, axes: Drawing, title: str, path: str) -> str:
    axes.set_title(title, color=_INK)
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return path
