"""`socketd plan`: how many workers a load needs, shown on the real pool in simulated time.

Owns the way from the command line to what is printed. Must not know any formula.
"""

import gc

from socketd.cli import console
from socketd.dataclass import dataclass
from socketd.errors import ExitCode, SystemFailureError, UsageError, describe_errno
from socketd.planning import plot, report
from socketd.planning.durations import Durations, Exponential, Fixed, Lognormal
from socketd.planning.report import Run
from socketd.planning.simulation import Machine, simulate
from socketd.planning.sizing import Demand, Size, size_for
from socketd.planning.streams import STREAMS, Stream
from socketd.planning.traces import MOST_CONNECTIONS, read_trace, stream_of
from socketd.pool.settings import PoolSettings, Strategy
from socketd.settings.duration import format_duration
from socketd.system.extras import PICTURES, why_missing

_USUAL_SERVICE = "NAME"


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The command line; times are in seconds, sizes in bytes, the goal is a share."""

    trace: str | None
    of: str | None
    rate: float | None
    stream: str
    connections: int
    seed: int
    service_seconds: float | None
    distribution: str
    p50_seconds: float | None
    p99_seconds: float | None
    goal: float
    start_seconds: float
    worker_bytes: int | None
    per_host: int | None
    minimum: int | None
    maximum: int | None
    idle_seconds: float | None
    strategies: tuple[str, ...]
    is_suggesting: bool
    plot: str | None


def plan(options: PlanOptions) -> int:
    """Print what is needed, and what comes of it; return the exit code. Raises SocketdError."""
    gc.disable()  # what is made in a simulation has no cycles, and there is much of it
    console.answer_signals()
    _check_plot(options.plot)
    served = _durations(options)
    stream, title, notes = _stream(options, served)
    is_by_rate = options.trace is None and options.stream == "steady"
    demand = Demand(
        stream,
        options.goal,
        options.start_seconds,
        options.per_host,
        options.rate if is_by_rate else None,
        served if is_by_rate else None,
    )
    size = size_for(demand)
    if size is None:
        raise UsageError("no number of workers is enough for this load: give a larger --per-host")
    runs = [
        Run(settings, simulate(stream.share_of(size.hosts), settings, _machine(options)))
        for settings in _settings(options, size)
    ]
    if options.plot is not None:
        _draw(runs, stream.share_of(size.hosts), title, options.plot)
    if options.is_suggesting:
        text = report.lines_for_file(
            report.best_of(runs, options.goal), options.of or _USUAL_SERVICE
        )
    else:
        text = _text(options, size, runs, title, notes)
    return ExitCode.DONE if console.show(text, "socketd") else ExitCode.SYSTEM


def _text(options: PlanOptions, size: Size, runs: list[Run], title: str, notes: list[str]) -> str:
    used = runs[-1].settings
    head = report.sizes_as_text(
        size, options.goal, options.start_seconds, options.worker_bytes, used
    )
    served = len(runs[0].outcome.waits)
    simulated = f"simulated: {served} connections" + (" of one host" if size.hosts > 1 else "")
    return "\n".join(
        [title, *notes, "", head, "", simulated, "", report.table(runs, options.worker_bytes)]
    )


def _durations(options: PlanOptions) -> Durations | None:
    """Return the service times that were given, None if none were. Raises UsageError."""
    is_lognormal = options.distribution == "lognormal"
    if is_lognormal != (options.p50_seconds is not None and options.p99_seconds is not None):
        raise UsageError("--distribution lognormal goes together with --p50 and --p99")
    if not is_lognormal and (options.p50_seconds is not None or options.p99_seconds is not None):
        raise UsageError("--p50 and --p99 go together with --distribution lognormal")
    if is_lognormal:
        assert options.p50_seconds is not None
        assert options.p99_seconds is not None
        if options.service_seconds is not None:
            raise UsageError("--service: --p50 and --p99 say it already")
        if options.p99_seconds < options.p50_seconds:
            raise UsageError("--p99: it is less than --p50")
        return Lognormal(options.p50_seconds, options.p99_seconds)
    if options.service_seconds is None:
        return None
    kind = Fixed if options.distribution == "fixed" else Exponential
    return kind(options.service_seconds)


def _stream(options: PlanOptions, served: Durations | None) -> tuple[Stream, str, list[str]]:
    """Return the connections, what to call them, and what is to be said of them."""
    if options.trace is not None:
        if options.rate is not None:
            raise UsageError("--rate: the trace says already when connections come")
        trace = read_trace(options.trace, options.of)
        stream = stream_of(trace, served, options.seed)
        known = len(trace.known)
        count = len(stream.arrivals)
        title = f"{options.trace}: {count} connections in {_span(stream)}, {stream.rate:.3g}/s"
        notes = []
        if trace.skipped:
            notes.append(f"{trace.skipped} lines without a time were left out")
        if known < count:
            notes.append(f"the time of service of {count - known} connections was made up")
        return stream, title, notes
    if options.rate is None:
        raise UsageError("give --rate, or a trace")
    if options.of is not None and not options.is_suggesting:
        raise UsageError("--of: only a trace has connections of several services")
    if served is None:
        raise UsageError("--rate: give --service as well, or --distribution lognormal")
    stream = STREAMS[options.stream](options.rate, options.connections, served, options.seed)
    if len(stream.arrivals) > MOST_CONNECTIONS:
        raise UsageError(f"--rate: these are more than {MOST_CONNECTIONS} connections")
    mean = format_duration(round(served.mean_seconds, 6))
    title = (
        f"{options.stream}: {options.rate:g}/s, {options.distribution} service of {mean} on average"
    )
    return stream, title, []


def _span(stream: Stream) -> str:
    return format_duration(max(1.0, round(stream.span_seconds)))


def _machine(options: PlanOptions) -> Machine:
    return Machine(start_seconds=options.start_seconds)


def _settings(options: PlanOptions, size: Size) -> list[PoolSettings]:
    """Return the settings of each strategy that is simulated. Raises UsageError."""
    maximum = options.maximum or max(size.maximum, options.minimum or 0)
    minimum = min(options.minimum or size.minimum, maximum)
    if options.minimum is not None and options.minimum > maximum:
        raise UsageError(f"--max: {maximum} is less than the {options.minimum} of --min")
    chosen = options.strategies or tuple(one.value for one in Strategy)
    return [
        PoolSettings(
            maximum if strategy is Strategy.FIXED else minimum,
            maximum,
            strategy,
            options.idle_seconds or size.idle_seconds,
        )
        for strategy in map(Strategy, dict.fromkeys(chosen))
    ]


def _check_plot(path: str | None) -> None:
    """See that a picture can be drawn, before much is computed for it. Raises SocketdError."""
    if path is None:
        return
    if not path.endswith(plot.FORMATS):
        allowed = ", ".join(plot.FORMATS)
        raise UsageError(f"--plot: {path!r} does not end with one of {allowed}")
    reason = why_missing(PICTURES)
    if reason:
        raise SystemFailureError(f"cannot draw {path!r}: {reason}")


def _draw(runs: list[Run], stream: Stream, title: str, path: str) -> None:
    try:
        plot.draw(runs, stream, title, path)
    except OSError as error:
        why = describe_errno(error.errno or 0)
        raise SystemFailureError(f"cannot write the picture {path!r}: {why}") from error
