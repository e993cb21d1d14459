"""Plans: each strategy under each made-up stream, and a plan beside a real run.

Owns which loads these are, and the tables and pictures in docs/strategies.md. Must not know how a
plan is made: that is `socketd.planning`.
"""

import math
import os
from dataclasses import dataclass

from socketd.planning import plot
from socketd.planning.durations import Exponential
from socketd.planning.outcome import Outcome
from socketd.planning.report import Run
from socketd.planning.simulation import Machine, simulate
from socketd.planning.streams import STREAMS
from socketd.pool.settings import PoolSettings, Strategy

BEGIN_MARK = "<!-- bench: begin, written by `python -m bench plans` -->"
CONNECTIONS = 6000
_START_SECONDS = 0.001
_MAXIMUM = 256
_WAITING = 99.0  # what a client that waits is worth in idle workers, if 99 % are not to
_TITLES = {
    "steady": "steady",
    "bursts": "bursts",
    "daily": "daily wave",
    "flash": "flash crowd",
    "scanner": "port scanner",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """How many connections come a second, and for how many seconds they are served on average."""

    title: str
    rate: float
    service_seconds: float


KINDS = (
    Kind("1000/s of 5 ms", 1000.0, 0.005),
    Kind("200/s of 50 ms", 200.0, 0.05),
    Kind("20/s of 2 s", 20.0, 2.0),
)
_ROWS = (Strategy.ADAPTIVE, Strategy.EAGER, Strategy.INCREMENTAL, Strategy.SURGE)


def compare(pictures: str | None) -> str:
    """Simulate every stream with every strategy; return the table, and draw the pictures."""
    names = [f"`{strategy.value}`" for strategy in _ROWS]
    lines = [f"| connections | {' | '.join(names)} |", "|" + "---|" * (1 + len(_ROWS))]
    for kind in KINDS:
        for name, make in STREAMS.items():
            stream = make(kind.rate, CONNECTIONS, Exponential(kind.service_seconds), 1)
            runs = []
            for strategy in _ROWS:
                settings = PoolSettings(1, _MAXIMUM, strategy)
                runs.append(Run(settings, simulate(stream, settings, Machine(_START_SECONDS))))
            prices = [_price(run.outcome, stream.rate) for run in runs]
            cells = [
                _cell(run.outcome, price, is_best=price == min(prices))
                for run, price in zip(runs, prices, strict=True)
            ]
            lines.append(f"| {kind.title}, {_TITLES[name]} | {' | '.join(cells)} |")
            if pictures is not None and kind is KINDS[1]:
                path = os.path.join(pictures, f"plan-{name}.svg")
                plot.draw(runs, stream, f"{_TITLES[name]}, {kind.title}", path)
    return "\n".join(lines)


def _price(outcome: Outcome, rate: float) -> float:
    """Return idle workers on average, and 99 for each client that waits on average (Little)."""
    waiting = rate * math.fsum(outcome.waits) / len(outcome.waits)
    return outcome.mean_workers - outcome.mean_busy + _WAITING * waiting


def _cell(outcome: Outcome, price: float, *, is_best: bool) -> str:
    share = f"{100.0 * outcome.share_waited:.1f} %"
    idle = f"{outcome.mean_workers - outcome.mean_busy:.0f}"
    text = f"{share}, {1e3 * outcome.wait(0.99):.1f} ms, {idle}; {price:.1f}"
    return f"**{text}**" if is_best else text
