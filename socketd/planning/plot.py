"""A plan as a picture: workers over time, and how many connections waited for how long.

Owns the drawing. Must not know how a figure was found. matplotlib is loaded here, and only when
something is drawn.
"""

import importlib
from typing import Any, TypeAlias

from socketd.planning.outcome import BINS, Outcome
from socketd.planning.report import Run
from socketd.planning.streams import Stream

# matplotlib is not there when types are checked
Drawing: TypeAlias = Any

FORMATS = (".svg", ".png", ".pdf")
_INK = "#555555"
_COLOURS = {
    "fixed": "#999999",
    "eager": "#27639f",
    "adaptive": "#d62728",
    "incremental": "#2ca02c",
    "surge": "#9467bd",
}
_SHORTEST_SECONDS = 1e-5


def draw(runs: list[Run], stream: Stream, title: str, path: str) -> None:
    """Write a picture of these runs, in the format that the name of the file ends with."""
    matplotlib: Drawing = importlib.import_module("matplotlib")
    matplotlib.use("agg")
    # Text stays text, and the same figures give the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "socketd"})
    pyplot: Drawing = importlib.import_module("matplotlib.pyplot")
    figure, (sizes, waits) = pyplot.subplots(
        1, 2, figsize=(10.5, 3.6), layout="constrained", width_ratios=[1.6, 1.0]
    )
    _sizes(sizes, runs, stream)
    _waits(waits, runs)
    figure.suptitle(title, color=_INK, fontsize="medium")
    handles, labels = sizes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small", frameon=False)
    metadata = {"Date": None} if path.endswith(".svg") else None
    figure.savefig(path, metadata=metadata)
    pyplot.close(figure)


def _sizes(axes: Drawing, runs: list[Run], stream: Stream) -> None:
    step = stream.span_seconds / BINS
    moments = [step * place for place in range(BINS)]
    busy = [max(one) for one in zip(*(run.outcome.work for run in runs), strict=True)]
    axes.fill_between(moments, busy, step="post", color="#dddddd", label="at work")
    for run in runs:
        axes.step(moments, run.outcome.sizes, where="post", linewidth=1.0, **_style(run))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("workers")
    axes.spines[["top", "right"]].set_visible(False)


def _waits(axes: Drawing, runs: list[Run]) -> None:
    for run in runs:
        seconds, shares = _exceeded(run.outcome)
        axes.plot(seconds, shares, linewidth=1.2, **_style(run))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("seconds")
    axes.set_ylabel("share of connections that waited longer")
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _exceeded(outcome: Outcome) -> tuple[list[float], list[float]]:
    """Return some waits, and the share of the connections that waited longer."""
    waits = outcome.waits
    count = len(waits)
    places = sorted({count - 1 - int(1.05**step) for step in range(400) if 1.05**step < count})
    points = [(waits[place], (count - 1 - place) / count) for place in places]
    points = [(seconds, share) for seconds, share in points if seconds > _SHORTEST_SECONDS]
    return [one for one, _ in points], [one for _, one in points]


def _style(run: Run) -> dict[str, Any]:
    name = run.settings.strategy.value
    return {"color": _COLOURS[name], "label": name}
