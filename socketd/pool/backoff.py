"""Exponential back-off with jitter and a cap, and what a pool does meanwhile.

Owns the delays between attempts at something that keeps failing. Knows no clock: the caller
passes `now`, in seconds.

While a retry is pending nothing is started, with one exception: if there was only no room, for
processes or memory, each process that ends makes some, and one is started in its place. One and
not all that are missing: there may be room for no more, and the rest would fail, and be logged,
with each that ends.
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


class Restraint:
    """Whether workers may be started: not while a retry is pending, but into room that was made."""

    def __init__(self, seed: int) -> None:
        self.back_off = BackOff(seed)
        self.is_pending = False
        self.is_short = False

    def fail(self, now: float, *, is_shortage: bool) -> float | None:
        """Note a failure; return when to retry, in seconds from now, if that was not settled yet.

        It is no longer a shortage if anything has failed meanwhile that no room will mend.
        """
        self.is_short = is_shortage and (self.is_short or not self.is_pending)
        if self.is_pending:
            return None
        self.is_pending = True
        return self.back_off.fail(now)

    def lift(self) -> None:
        """Let all be started again: the retry is due, or somebody has seen to it."""
        self.is_pending = self.is_short = False

    def allowed(self, wanted: int, room: int) -> int:
        """Return how many may be started, when so many have made room."""
        if not self.is_pending:
            return wanted
        return min(wanted, room) if self.is_short else 0
