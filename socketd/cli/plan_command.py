"""The subcommand `plan` of `socketd`.

Owns its grammar. Must not know what is done with it: that is imported when it is called.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import click

from socketd.cli.clicked import Strict, WholeNumber
from socketd.errors import UsageError
from socketd.pool.settings import Strategy
from socketd.settings.duration import parse_duration
from socketd.settings.kinds import BadValueError
from socketd.settings.size import Size
from socketd.settings.table import MOST_WORKERS

# As in socketd.planning, which is imported when it is called; a test holds the two together.
MOST_CONNECTIONS = 2_000_000
STREAMS = ["steady", "bursts", "daily", "flash", "scanner"]
_HIGHEST_RATE = 1e6
_STRATEGIES = [one.value for one in Strategy]
_PER_SECONDS = {"": 1.0, "/s": 1.0, "/m": 60.0, "/h": 3600.0, "/d": 86400.0}
_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)((?:/[smhd])?)", re.ASCII)
_GOAL = re.compile(r"(\d{2}(?:\.\d{1,9})?)%?", re.ASCII)
_Way = Callable[[str, str], Any]


class _Word(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """What one of the functions below reads."""

    def __init__(self, read: _Way) -> None:
        self.name = "text"
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401, ARG002  click's signature
        """Return what a word means; click may pass one that is already read."""
        if not isinstance(value, str):
            return value
        return self._read(value, param.opts[0] if param is not None else "")


def _rate(word: str, option: str) -> float:
    found = _RATE.fullmatch(word)
    rate = float(found[1]) / _PER_SECONDS[found[2]] if found else math.inf
    if not 0.0 < rate <= _HIGHEST_RATE:
        raise UsageError(
            f"{option}: {word!r} is not a rate; give a number and /s, /m, /h or /d, "
            f"for example 200/s, up to {_HIGHEST_RATE:.0f}/s"
        )
    return rate


def _goal(word: str, option: str) -> float:
    found = _GOAL.fullmatch(word)
    share = float(found[1]) / 100.0 if found else 0.0
    if share < 0.5:
        raise UsageError(
            f"{option}: {word!r} is not a share; give percents from 50 on and less than 100, "
            "for example 99%"
        )
    return share


def _bytes(word: str, option: str) -> object:
    try:
        return Size().read(word)
    except BadValueError:
        raise UsageError(
            f"{option}: {word!r} is not a size; give bytes, or a number with K, M or G"
        ) from None


_TIME = _Word(parse_duration)


@click.command(cls=Strict)
@click.argument("trace", type=click.Path(dir_okay=False), required=False)
@click.option("--rate", type=_Word(_rate), metavar="N/s", help="Connections that come in a time.")
@click.option(
    "--stream",
    type=click.Choice(STREAMS),
    default="steady",
    show_default=True,
    help="How they come: a made-up one, with --rate.",
)
@click.option(
    "--connections",
    type=WholeNumber(2, MOST_CONNECTIONS),
    metavar="N",
    default=20000,
    show_default=True,
    help="How many of them are simulated.",
)
@click.option(
    "--seed", type=WholeNumber(0, 2**32), metavar="N", default=1, help="Of all that is made up."
)
@click.option("--service", type=_TIME, metavar="TIME", help="Mean time that one is served.")
@click.option(
    "--distribution",
    type=click.Choice(["fixed", "exponential", "lognormal"]),
    default="exponential",
    show_default=True,
    help="Of the times of service.",
)
@click.option("--p50", type=_TIME, metavar="TIME", help="Median of a lognormal distribution.")
@click.option("--p99", type=_TIME, metavar="TIME", help="The time that 1 in 100 exceeds there.")
@click.option("--of", metavar="NAME", help="Only this service of our own log.")
@click.option(
    "--goal",
    type=_Word(_goal),
    metavar="SHARE",
    default="99%",
    show_default=True,
    help="Of the connections that are to find an idle worker.",
)
@click.option(
    "--start-time",
    "start",
    type=_TIME,
    metavar="TIME",
    default="1ms",
    show_default=True,
    help="How long a new worker takes until it waits.",
)
@click.option("--worker-memory", type=_Word(_bytes), metavar="SIZE", help="Of one worker.")
@click.option(
    "--per-host", type=WholeNumber(1, MOST_WORKERS), metavar="N", help="Most workers of a host."
)
@click.option(
    "--min", "least", type=WholeNumber(1, MOST_WORKERS), metavar="N", help="Simulate this one."
)
@click.option(
    "--max", "most", type=WholeNumber(1, MOST_WORKERS), metavar="N", help="Simulate this one."
)
@click.option("--idle-timeout", "idle", type=_TIME, metavar="TIME", help="Simulate this one.")
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    type=click.Choice(_STRATEGIES),
    help="Simulate this strategy; can be repeated. The default is all.",
)
@click.option(
    "--suggest", "is_suggesting", is_flag=True, help="Print the lines for a configuration file."
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Draw workers and waits; the name ends with .svg, .png or .pdf.",
)
def plan(
    *,
    trace: str | None,
    rate: float | None,
    stream: str,
    connections: int,
    seed: int,
    service: float | None,
    distribution: str,
    p50: float | None,
    p99: float | None,
    of: str | None,
    goal: float,
    start: float,
    worker_memory: int | None,
    per_host: int | None,
    least: int | None,
    most: int | None,
    idle: float | None,
    strategies: tuple[str, ...],
    is_suggesting: bool,
    plot: str | None,
) -> Callable[[], int]:
    """Say how many workers a load needs, and simulate each strategy with that.

    The load is --rate and --service, or what TRACE says: CSV with the times of arrival and
    the seconds of service, the access log of a web server, or our own log in JSON.
    """
    from socketd.cli.plan import PlanOptions
    from socketd.cli.plan import plan as make_plan

    options = PlanOptions(
        trace=trace,
        of=of,
        rate=rate,
        stream=stream,
        connections=connections,
        seed=seed,
        service_seconds=service,
        distribution=distribution,
        p50_seconds=p50,
        p99_seconds=p99,
        goal=goal,
        start_seconds=start,
        worker_bytes=worker_memory,
        per_host=per_host,
        minimum=least,
        maximum=most,
        idle_seconds=idle,
        strategies=strategies,
        is_suggesting=is_suggesting,
        plot=plot,
    )
    return lambda: make_plan(options)
