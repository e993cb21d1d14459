"""Exponential back-off with jitter and a cap, and whether workers may be started meanwhile.

Owns the delays between attempts after failures. Reads no clock: the caller passes `now`, in
seconds.

While a retry is pending nothing is started, with one exception: if the cause was a lack of
processes or memory, each process that ends frees some, and one worker is started in its place. Only
one, and not all that are missing: there may be room for no more, and the rest would fail and be
logged each time a process ends.
"""

import random

from socketd.pool.messages import ReportRecovery

_FIRST_SECONDS = 0.1
_CAP_SECONDS = 10.0
_FORGET_SECONDS = 60.0
_JITTER = 0.25


class BackOff:
    """Delays of 0.1 s, doubling up to 10 s, each a quarter shorter or longer at random.

    After a minute without a failure, or after a success, they start from the beginning.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  spreads retries, guards no secret
        self._failed_seconds: float | None = None
        self.step = 0

    def fail(self, now: float) -> float:
        """Count a failure and return the delay before the next attempt, in seconds."""
        if self._failed_seconds is not None and now - self._failed_seconds > _FORGET_SECONDS:
            self.step = 0
        self._failed_seconds = now
        self.step += 1
        doublings = min(self.step - 1, 32)
        delay = min(_CAP_SECONDS, _FIRST_SECONDS * 2.0**doublings)
        return delay * self._random.uniform(1 - _JITTER, 1 + _JITTER)

    def succeed(self, begun_seconds: float) -> None:
        """Start from the beginning, if what succeeded had begun after the last failure."""
        if self._failed_seconds is not None and begun_seconds > self._failed_seconds:
            self._failed_seconds = None
            self.step = 0


class Restraint:
    """Whether workers may be started: while a retry is pending, only into room that was freed."""

    def __init__(self, seed: int) -> None:
        self.back_off = BackOff(seed)
        self.is_pending = False
        self.is_short = False
        self._failure: tuple[float, str] | None = None

    def fail(self, now: float, reason: str, *, is_shortage: bool) -> float | None:
        """Record a failure; return the seconds until the retry, unless one is already pending.

        It is no shortage any more if something failed for another reason meanwhile.
        """
        self.is_short = is_shortage and (self.is_short or not self.is_pending)
        self._failure = (now, reason)
        if self.is_pending:
            return None
        self.is_pending = True
        return self.back_off.fail(now)

    def succeed(self, begun_seconds: float) -> list[ReportRecovery]:
        """Record a success that begun at a time; report if it is the first since a failure."""
        self.back_off.succeed(begun_seconds)
        if self._failure is None or begun_seconds <= self._failure[0]:
            return []
        (_, reason), self._failure = self._failure, None
        return [ReportRecovery(reason)]

    def begin_anew(self, seed: int) -> None:
        """Allow all starts again, with the first of the delays; what has failed is remembered."""
        self.back_off = BackOff(seed)
        self.lift()

    def lift(self) -> None:
        """Allow all starts again: the retry is due, or a reload has begun."""
        self.is_pending = self.is_short = False

    def allowed(self, wanted: int, room: int) -> int:
        """Return how many may be started, when so many have made room."""
        if not self.is_pending:
            return wanted
        return min(wanted, room) if self.is_short else 0
