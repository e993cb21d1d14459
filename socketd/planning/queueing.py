"""The mathematics of waiting: Erlang's formulas, base stock, and queues of a known past.

Owns formulas. Must not know pools, traces or units other than seconds.

A pool is looked at in two ways. Its maximum is a number of servers: connections that find all of
them busy wait in order (Erlang C). Its minimum is a stock: each accept takes a worker from it and
orders another, which is there a start time later. How many orders are open at a moment has the
distribution of Poisson, whatever the start times are (Palm's theorem), so a connection finds
nobody if that many are open as the stock had at first. If orders are given for several at a time,
the position in such a batch is each as likely as any other (Hadley and Whitin).

Sources: A. K. Erlang, 1917; C. Palm, 1938; G. Hadley and T. M. Whitin, 1963. If service times are
not exponential, the mean wait is taken times half of one plus their squared variation (Allen and
Cunneen), which is close, not exact.
"""

import heapq
import math
from collections.abc import Callable, Sequence

from socketd.dataclass import dataclass

_FAR = 12.0  # standard deviations beyond which a Poisson tail is nothing


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long connections wait, if the load goes on: a share waits, exponentially long."""

    share: float
    mean_if_waiting_seconds: float

    @property
    def mean_seconds(self) -> float:
        """Return the mean of all connections, those that do not wait among them."""
        return self.share * self.mean_if_waiting_seconds if self.share else 0.0

    def quantile(self, share: float) -> float:
        """Return the seconds that this share of the connections does not wait longer than."""
        if self.share <= 1.0 - share:
            return 0.0
        if math.isinf(self.mean_if_waiting_seconds):
            return math.inf
        return self.mean_if_waiting_seconds * math.log(self.share / (1.0 - share))


def erlang_b(servers: int, load: float) -> float:
    """Return the share that would be lost, were nobody to wait; `load` is in Erlang."""
    lost = 1.0
    for count in range(1, servers + 1):
        lost = load * lost / (count + load * lost)
    return lost


def erlang_c(servers: int, load: float) -> float:
    """Return the share of connections that wait for a server; all do if there are too few."""
    return _delayed(servers, load, erlang_b(servers, load))


def _delayed(servers: int, load: float, lost: float) -> float:
    return 1.0 if load >= servers else servers * lost / (servers - load * (1.0 - lost))


def waiting(servers: int, rate: float, mean_seconds: float, variation: float = 1.0) -> Waiting:
    """Return the waits of arrivals at random; `variation` is the squared one of service times."""
    load = rate * mean_seconds
    if load >= servers:
        return Waiting(1.0, math.inf)
    mean = mean_seconds / (servers - load) * (1.0 + variation) / 2.0
    return Waiting(erlang_c(servers, load), mean)


def servers_for(load: float, most_waiting: float, limit: int) -> int | None:
    """Return how few servers let no more than this share wait; None if that is over the limit."""
    lost = 1.0
    for servers in range(1, limit + 1):
        lost = load * lost / (servers + load * lost)
        if _delayed(servers, load, lost) <= most_waiting:
            return servers
    return None


def poisson_tail(demand: float, least: int) -> float:
    """Return how likely it is that as many arrive as `least`, where `demand` do on average."""
    if least <= 0:
        return 1.0
    if demand <= 0.0:
        return 0.0
    spread = _FAR * math.sqrt(demand) + _FAR
    if least > demand + spread:
        return 0.0
    first = max(0, math.floor(demand - spread))
    logarithm = math.log(demand)
    return max(
        0.0,
        1.0
        - math.fsum(
            math.exp(count * logarithm - demand - math.lgamma(count + 1))
            for count in range(first, least)
        ),
    )


def share_without(stock: int, batch: int, tail: Callable[[int], float]) -> float:
    """Return the share of arrivals for which nothing of a stock is left.

    `tail` says how likely it is that so many arrive within a start time. What was taken is ordered
    again when a `batch` of it was: as many of the last batch as not are still to be ordered.
    """
    return sum(tail(stock - unordered) for unordered in range(batch)) / batch


def stock_for(
    most_waiting: float, batch_of: Callable[[int], int], tail: Callable[[int], float], limit: int
) -> int:
    """Return the smallest stock that leaves no more than this share without, or the limit."""
    stock = 1
    while stock < limit and share_without(stock, batch_of(stock), tail) > most_waiting:
        stock += 1
    return stock


def taken_meanwhile(arrivals: Sequence[float], seconds: float) -> list[int]:
    """Return for each arrival how many have come in the time of so many seconds before it."""
    first = 0
    found = []
    for number, moment in enumerate(arrivals):
        while arrivals[first] <= moment - seconds and first < number:
            first += 1
        found.append(number - first)
    return found


def share_delayed(arrivals: Sequence[float], services: Sequence[float], servers: int) -> float:
    """Return the share of these connections that waits, in order of arrival, for a server."""
    free = [-math.inf] * servers
    delayed = 0
    for moment, service in zip(arrivals, services, strict=True):
        first = free[0]
        if first > moment:
            delayed += 1
            moment = first
        heapq.heapreplace(free, moment + service)
    return delayed / len(arrivals)


def servers_for_past(
    arrivals: Sequence[float], services: Sequence[float], most_waiting: float, limit: int
) -> int | None:
    """Return how few servers would have let no more than this share of these connections wait."""
    enough, step = 1, 1
    while share_delayed(arrivals, services, enough) > most_waiting:
        if enough >= limit:
            return None
        step *= 2
        enough = min(limit, step)
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if share_delayed(arrivals, services, middle) > most_waiting:
            too_few = middle
        else:
            enough = middle
    return enough


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that this share of ascending values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
