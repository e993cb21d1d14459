"""How many workers a stream of connections needs, by the mathematics alone.

Owns which formula answers which question. Must not know how the answer is shown, nor the pool.

The maximum is such that no more than the given share of connections finds all workers at work. A
worker that has served is replaced, so its place is taken for the time of service and that of a
start. A stream that was seen is counted through; of one that is only a rate, Erlang's formula
knows.

The minimum is a stock: it covers the arrivals of a start time for all but that share, also while
the master holds news back.

The idle time-out says how long workers stay that a rush has brought, a rush being a moment at which
more arrive within a start time than the minimum covers. It is longer than nine of ten gaps between
rushes, if that is no more than an hour: workers that would wait longer cost more than they spare.
"""

import functools
import itertools
from bisect import bisect_left
from collections.abc import Callable

from socketd.dataclass import dataclass
from socketd.planning.durations import Durations
from socketd.planning.queueing import (
    Waiting,
    poisson_tail,
    quantile,
    servers_for,
    servers_for_past,
    stock_for,
    taken_meanwhile,
    waiting,
)
from socketd.planning.streams import Stream
from socketd.pool.batching import patience

MOST_WORKERS = 32768
USUAL_IDLE_SECONDS = 30.0
_IDLE_CHOICES = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_GAPS = 0.9


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a service; `served` and `rate` are set where that is all that is known."""

    stream: Stream
    goal: float
    start_seconds: float
    per_host: int | None = None
    rate: float | None = None
    served: Durations | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """What a host needs, and how many hosts there are; `load` is in workers at work."""

    hosts: int
    load: float
    minimum: int
    maximum: int
    idle_seconds: float
    waiting: Waiting | None


def size_for(demand: Demand) -> Size | None:
    """Return what is needed; None if no number of workers, or of hosts, is enough."""
    limit = min(demand.per_host or MOST_WORKERS, MOST_WORKERS)
    most_hosts = 1 if demand.per_host is None else 1024
    hosts = 1
    while hosts <= most_hosts:
        maximum = _maximum(demand, hosts, limit)
        if maximum is not None:
            return _size(demand, hosts, maximum)
        hosts = max(hosts + 1, _least_hosts(demand, limit)) if hosts == 1 else hosts + 1
    return None


def offered(demand: Demand) -> float:
    """Return how many workers are at work on average."""
    if demand.rate is not None and demand.served is not None:
        return demand.rate * demand.served.mean_seconds
    return sum(demand.stream.services) / (demand.stream.span_seconds or 1.0)


def _least_hosts(demand: Demand, limit: int) -> int:
    return int(offered(demand) / limit)


def _maximum(demand: Demand, hosts: int, limit: int) -> int | None:
    most_waiting = 1.0 - demand.goal
    if demand.rate is not None and demand.served is not None:
        busy_seconds = demand.served.mean_seconds + demand.start_seconds
        return servers_for(demand.rate * busy_seconds / hosts, most_waiting, limit)
    stream = demand.stream.share_of(hosts)
    busy = [one + demand.start_seconds for one in stream.services]
    return servers_for_past(stream.arrivals, busy, most_waiting, limit)


def _size(demand: Demand, hosts: int, maximum: int) -> Size:
    stream = demand.stream.share_of(hosts)
    counts = taken_meanwhile(stream.arrivals, demand.start_seconds)
    waits = None
    tail = _tail_of(sorted(counts))
    rate = stream.rate
    if demand.rate is not None and demand.served is not None:
        rate = demand.rate / hosts
        tail = functools.partial(poisson_tail, rate * demand.start_seconds)
        seconds, variation = demand.served.mean_seconds, demand.served.variation
        waits = waiting(maximum, rate, seconds + demand.start_seconds, variation)
    batch_of = functools.partial(_batch, rate)
    minimum = stock_for(1.0 - demand.goal, batch_of, tail, maximum)
    rushes = [
        moment for moment, count in zip(stream.arrivals, counts, strict=True) if count >= minimum
    ]
    load = offered(demand) / hosts
    return Size(hosts, load, minimum, maximum, _idle_seconds(rushes, demand.start_seconds), waits)


def _tail_of(ordered: list[int]) -> Callable[[int], float]:
    """Return the share of counts that are as large as a number, or larger."""
    return lambda least: 1.0 - bisect_left(ordered, least) / len(ordered)


def _batch(rate: float, stock: int) -> int:
    """Return how many accepts a turn of the master takes together, with so many that wait.

    The pool says so; at a low rate the time is over before there are as many.
    """
    seconds, accepts = patience(stock)
    return max(1, min(accepts, 1 + int(rate * seconds)))


def _idle_seconds(rushes: list[float], start_seconds: float) -> float:
    """Return the shortest of some round times that outlasts most gaps between rushes."""
    pairs = itertools.pairwise(rushes)
    gaps = sorted(after - before for before, after in pairs if after - before > start_seconds)
    if not gaps:
        return USUAL_IDLE_SECONDS
    needed = quantile(gaps, _GAPS)
    return next((one for one in _IDLE_CHOICES if one >= needed), USUAL_IDLE_SECONDS)
