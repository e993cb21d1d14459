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


def _finish(pyplot: Drawing, figure: Drawing, axes: Drawing, title: str, path: str) -> str:
    axes.set_title(title, color=_INK)
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return path
