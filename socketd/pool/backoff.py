"""Exponential back-off with jitter and a cap.

Owns the delays between attempts at something that keeps failing. Knows no clock: the caller
passes `now`, in seconds.
"""

import random

_FIRST_SECONDS = 0.1
_CAP_SECONDS = 10.0
_FORGET_SECONDS = 60.0
_JITTER = 0.25


class BackOff:
    """Delays of 0.1 s, doubling up to 10 s, each a quarter shorter or longer at random.

    A minute without a failure, or a success, starts from the beginning.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  spreads retries, guards no secret
        self._failed_seconds: float | None = None
        self.step = 0

    def fail(self, now: float) -> float:
        """Count a failure and return for how many seconds not to try again."""
        if self._failed_seconds is not None and now - self._failed_seconds > _FORGET_SECONDS:
            self.step = 0
        self._failed_seconds = now
        self.step += 1
        doublings = min(self.step - 1, 32)
        delay = min(_CAP_SECONDS, _FIRST_SECONDS * 2.0**doublings)
        return delay * self._random.uniform(1 - _JITTER, 1 + _JITTER)

    def succeed(self, begun_seconds: float) -> None:
        """Start over, if what succeeded had begun after the last failure."""
        if self._failed_seconds is not None and begun_seconds > self._failed_seconds:
            self._failed_seconds = None
            self.step = 0
