"""How long connections are served: distributions of service times.

Owns the distributions. Must not know what draws from them, nor any clock. Times are seconds.
"""

import math
import random
from collections.abc import Sequence
from typing import Protocol

_NORMAL_P99 = 2.3263478740408408


class Durations(Protocol):
    """A distribution of service times; `variation` is its variance by its squared mean."""

    @property
    def mean_seconds(self) -> float:
        """Return the mean."""
        ...

    @property
    def variation(self) -> float:
        """Return the squared coefficient of variation."""
        ...

    def draw(self, chance: random.Random) -> float:
        """Return one at random."""
        ...


class Fixed:
    """Always the same time."""

    variation = 0.0

    def __init__(self, mean_seconds: float) -> None:
        self.mean_seconds = mean_seconds

    def draw(self, chance: random.Random) -> float:  # noqa: ARG002  the same for any
        """Return it."""
        return self.mean_seconds


class Exponential:
    """Times without a memory, as Erlang had them."""

    variation = 1.0

    def __init__(self, mean_seconds: float) -> None:
        self.mean_seconds = mean_seconds

    def draw(self, chance: random.Random) -> float:
        """Return one at random."""
        return chance.expovariate(1.0 / self.mean_seconds)


class Lognormal:
    """Times with a long tail, by their median and the time that one in a hundred exceeds."""

    def __init__(self, p50_seconds: float, p99_seconds: float) -> None:
        self._mu = math.log(p50_seconds)
        self._sigma = (math.log(p99_seconds) - self._mu) / _NORMAL_P99
        self.mean_seconds = math.exp(self._mu + self._sigma**2 / 2.0)
        self.variation = math.expm1(self._sigma**2)

    def draw(self, chance: random.Random) -> float:
        """Return one at random."""
        return chance.lognormvariate(self._mu, self._sigma)


class Seen:
    """Times that were seen, each as likely as any other."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self._seconds = seconds
        self.mean_seconds = math.fsum(seconds) / len(seconds)
        square = math.fsum((one - self.mean_seconds) ** 2 for one in seconds) / len(seconds)
        self.variation = square / self.mean_seconds**2 if self.mean_seconds else 0.0

    def draw(self, chance: random.Random) -> float:
        """Return one of them."""
        return chance.choice(self._seconds)
