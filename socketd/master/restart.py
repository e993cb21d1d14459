"""The next endpoint on a listener, after a crash or a refusal of the system: when it begins.

Owns the delay, which grows, and its timer. Must not know what begins then, nor why.
"""

import os
from collections.abc import Callable

from socketd.loop.wheel import Timer, Wheel
from socketd.pool.backoff import BackOff


class Restart:
    """One that may be pending; `begin` is called when it is due."""

    def __init__(self, wheel: Wheel, clock: Callable[[], float], begin: Callable[[], None]) -> None:
        self._wheel = wheel
        self._clock = clock
        self._begin = begin
        self._timer: Timer | None = None
        self._due_seconds = 0.0
        self._back_off = BackOff(seed=os.getpid())

    @property
    def is_pending(self) -> bool:
        """Tell whether something is to begin."""
        return self._timer is not None

    @property
    def due_seconds(self) -> float | None:
        """Return when, on the clock; None if nothing is."""
        return None if self._timer is None else self._due_seconds

    @property
    def step(self) -> int:
        """Return how many failures there were in a row."""
        return self._back_off.step

    def arm(self) -> float:
        """Count a failure; return the delay in seconds, after which it begins."""
        self.cancel()
        now = self._clock()
        delay = self._back_off.fail(now)
        self._due_seconds = now + delay
        self._timer = self._wheel.add(self._due_seconds, self._expire)
        return delay

    def cancel(self) -> None:
        """Have nothing begin."""
        if self._timer is not None:
            self._wheel.cancel(self._timer)
            self._timer = None

    def forget_failures(self) -> None:
        """Let delays start from the beginning."""
        self._back_off = BackOff(seed=os.getpid())

    def _expire(self) -> None:
        self._timer = None
        self._begin()
