"""The picture of a fleet: who was sent clients, who has served them, what was lost."""

import importlib
from typing import Any, TypeAlias

from bench.fleet_record import HOSTS, Story

_COLOURS = {"one": "C0", "two": "C2", "three": "C1"}
_INK = "#555555"
_BIN_SECONDS = 1.0
Drawing: TypeAlias = Any  # matplotlib is not there when types are checked


def draw(story: Story, path: str) -> None:
    """Write the picture; raise ImportError without matplotlib."""
    matplotlib: Drawing = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "socketd"})
    pyplot: Drawing = importlib.import_module("matplotlib.pyplot")
    figure, (weights, rates) = pyplot.subplots(
        2, 1, figsize=(9, 5.6), layout="constrained", sharex=True
    )
    for host in HOSTS:
        seen = [one for one in story.sights if one.host == host]
        weights.step(
            [one.seconds for one in seen],
            [one.share for one in seen],
            where="post",
            color=_COLOURS[host],
            label=host,
        )
    last = max(one.seconds for one in story.sights)
    edges = [number * _BIN_SECONDS for number in range(int(last / _BIN_SECONDS) + 1)]
    counts = [
        [story.answers(host, at, at + _BIN_SECONDS) / _BIN_SECONDS for at in edges]
        for host in HOSTS
    ]
    rates.stackplot(
        edges, counts, colors=[_COLOURS[host] for host in HOSTS], step="post", alpha=0.6
    )
    lost = [one.begun_seconds for one in story.lost()]
    rates.plot(lost, [1.0] * len(lost), "x", color="C3", label=f"{len(lost)} lost, tried again")
    for number, deed in enumerate(story.deeds):
        for axes in (weights, rates):
            axes.axvspan(
                deed.begun_seconds, deed.ended_seconds, color=_COLOURS[deed.host], alpha=0.1
            )
        weights.text(
            deed.begun_seconds,
            104 + 9 * (number % 2),
            f"{deed.host} {deed.name}",
            fontsize=8,
            color=_INK,
        )
    weights.set_ylim(-3, 122)
    weights.set_ylabel("weight in HAProxy, %")
    weights.legend(loc="lower left", fontsize=8, ncols=3)
    rates.set_ylabel("clients served per second")
    rates.set_xlabel("seconds")
    if lost:
        rates.legend(loc="lower left", fontsize=8)
    for axes in (weights, rates):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
