"""Streams of connections: when each arrives and how long it is served, seen or made up.

Owns the streams that are made at random, the same for the same seed. Must not know files or pools.
Times are seconds since the first moment of a stream.
"""

import math
import random
from array import array
from collections.abc import Callable, Iterator

from socketd.dataclass import dataclass
from socketd.planning.durations import Durations, Fixed

_BURST_EVERY_SECONDS = 2.0
_BURST_SECONDS = 0.1
_WAVE = 0.8  # of the mean, up and down
_FLASH = 10.0  # times what came before
_SCAN_EVERY_SECONDS = 30.0
_SCAN_CONNECTIONS = 100
_SCAN_SERVICE_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Stream:
    """Connections in order of arrival."""

    arrivals: "array[float]"
    services: "array[float]"

    @property
    def span_seconds(self) -> float:
        """Return the time from the first arrival to the last."""
        return self.arrivals[-1] - self.arrivals[0]

    @property
    def rate(self) -> float:
        """Return arrivals a second."""
        return len(self.arrivals) / self.span_seconds if self.span_seconds else math.inf

    def share_of(self, hosts: int) -> "Stream":
        """Return what one host of so many gets, if a balancer goes round."""
        return Stream(self.arrivals[::hosts], self.services[::hosts])


def steady(rate: float, count: int, served: Durations, seed: int) -> Stream:
    """Return arrivals at random, at the same rate all the time."""
    chance = random.Random(seed)  # noqa: S311  guards no secret
    return _with_services(_poisson(chance, count, rate), served, chance)


def bursts(rate: float, count: int, served: Durations, seed: int) -> Stream:
    """Return half of it at random, and half in bursts of a tenth of a second, two seconds apart."""
    chance = random.Random(seed)  # noqa: S311
    size = max(2, round(rate / 2.0 * _BURST_EVERY_SECONDS))
    moments = list(_poisson(chance, count - count // 2, rate / 2.0))
    burst = 0.0
    for number in range(count // 2):
        if number % size == 0:
            burst += chance.expovariate(1.0 / _BURST_EVERY_SECONDS)
        moments.append(burst + chance.uniform(0.0, _BURST_SECONDS))
    return _with_services(sorted(moments), served, chance)


def daily(rate: float, count: int, served: Durations, seed: int) -> Stream:
    """Return a wave between a fifth of the rate and nine fifths of it: a day in a short time."""
    day_seconds = count / rate

    def height(moment: float) -> float:
        return 1.0 - _WAVE * math.cos(2.0 * math.pi * moment / day_seconds)

    return _varying(rate, count, served, seed, height, 1.0 + _WAVE)


def flash(rate: float, count: int, served: Durations, seed: int) -> Stream:
    """Return a crowd: ten times as many all of a sudden, after a third, that slowly go away."""
    begin, length = count / rate / 3.0, count / rate / 30.0

    def height(moment: float) -> float:
        if moment < begin:
            return 1.0
        return 1.0 + (_FLASH - 1.0) * math.exp((begin - moment) / length)

    return _varying(rate, count, served, seed, height, _FLASH)


def scanner(rate: float, count: int, served: Durations, seed: int) -> Stream:
    """Return steady arrivals, and each half minute a hundred at once that say nothing."""
    chance = random.Random(seed)  # noqa: S311
    found = [(moment, served.draw(chance)) for moment in _poisson(chance, count, rate)]
    end, scan, silent = found[-1][0], _SCAN_EVERY_SECONDS / 2.0, Fixed(_SCAN_SERVICE_SECONDS)
    while scan < end:
        found += [(scan, silent.draw(chance)) for _ in range(_SCAN_CONNECTIONS)]
        scan += _SCAN_EVERY_SECONDS
    found.sort()
    return Stream(array("d", (one for one, _ in found)), array("d", (one for _, one in found)))


def _poisson(chance: random.Random, count: int, rate: float) -> Iterator[float]:
    moment = 0.0
    for _ in range(count):
        moment += chance.expovariate(rate)
        yield moment


def _varying(
    rate: float,
    count: int,
    served: Durations,
    seed: int,
    height: Callable[[float], float],
    highest: float,
) -> Stream:
    """Return arrivals at a rate that varies, taken at random from those of the highest rate."""
    chance = random.Random(seed)  # noqa: S311
    moments: list[float] = []
    moment = 0.0
    while len(moments) < count:
        moment += chance.expovariate(rate * highest)
        if chance.random() * highest < height(moment):
            moments.append(moment)
    return _with_services(moments, served, chance)


def _with_services(
    moments: "Iterator[float] | list[float]", served: Durations, chance: random.Random
) -> Stream:
    arrivals = array("d", moments)
    return Stream(arrivals, array("d", (served.draw(chance) for _ in arrivals)))


STREAMS: dict[str, Callable[[float, int, Durations, int], Stream]] = {
    "steady": steady,
    "bursts": bursts,
    "daily": daily,
    "flash": flash,
    "scanner": scanner,
}
