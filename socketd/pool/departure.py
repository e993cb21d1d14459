"""How a service leaves to which others send clients: it says so first, and serves on for a while.

Owns for how long, and what hastens or ends it. Must not know how it is said, nor what a stop is.
Reads no clock: the caller passes `now`, in seconds.
"""

import enum

from socketd.dataclass import dataclass


class Aim(enum.Enum):
    """What a departure is for."""

    DRAIN = "drain"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class DepartureState:
    """What is to come, when, and for which reason; another process can go on with it."""

    aim: Aim
    due_seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Serve on until then."""

    due_seconds: float


@dataclass(frozen=True, slots=True)
class Depart:
    """Do it now."""

    aim: Aim
    reason: str


class Departure:
    """At most one that is to come; `state` is None while there is none."""

    def __init__(self, state: DepartureState | None = None) -> None:
        self.state = state

    def stop(self, now: float, delay_seconds: float, reason: str) -> Wait | Depart:
        """Be told to stop: for the first time, or again, which ends the delay.

        Who is to be drained stops no later than that would have been.
        """
        former = self.state
        if former is None or former.aim is Aim.DRAIN:
            due = now + delay_seconds
            if former is not None:
                due = min(due, former.due_seconds)
            return self._begin(Aim.STOP, now, due, reason)
        return self._end(Aim.STOP, reason)

    def drain(self, now: float, delay_seconds: float) -> Wait | Depart:
        """Be told to take no connection for now; a second time ends the delay."""
        if self.state is None:
            return self._begin(Aim.DRAIN, now, now + delay_seconds, "")
        if self.state.aim is Aim.STOP:
            return Wait(self.state.due_seconds)
        return self._end(Aim.DRAIN, "")

    def stay(self) -> None:
        """Be told to serve again: no drain is to come any more."""
        if self.state is not None and self.state.aim is Aim.DRAIN:
            self.state = None

    def forget(self) -> None:
        """Be wanted for good: nothing is to come any more."""
        self.state = None

    def expire(self) -> Depart | None:
        """Say what is due, when it is."""
        if self.state is None:
            return None
        return self._end(self.state.aim, self.state.reason)

    def _begin(self, aim: Aim, now: float, due_seconds: float, reason: str) -> Wait | Depart:
        if due_seconds <= now:
            return self._end(aim, reason)
        self.state = DepartureState(aim, due_seconds, reason)
        return Wait(due_seconds)

    def _end(self, aim: Aim, reason: str) -> Depart:
        self.state = None
        return Depart(aim, reason)
