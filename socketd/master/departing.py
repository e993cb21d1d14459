"""The delay before a service stops or is drained, and its timer.

Owns the timer. Must not know what a departure is for, nor for how long one is.
"""

from collections.abc import Callable
from typing import assert_never

from socketd.loop.wheel import Timer, Wheel
from socketd.pool.departure import Aim, Depart, Departure, DepartureState, Wait


class Departing:
    """One departure that may be pending.

    `tell` is called with what is to come and in how many seconds, `leave` with what is due.
    """

    def __init__(
        self,
        wheel: Wheel,
        clock: Callable[[], float],
        tell: Callable[[Aim, float], None],
        leave: Callable[[Aim, str], None],
    ) -> None:
        self._wheel = wheel
        self._clock = clock
        self._tell = tell
        self._leave = leave
        self._departure = Departure()
        self._timer: Timer | None = None

    @property
    def state(self) -> DepartureState | None:
        """Return what is to come, None if nothing is."""
        return self._departure.state

    @property
    def is_to_stop(self) -> bool:
        """Tell whether a stop is to come."""
        return self.state is not None and self.state.aim is Aim.STOP

    def stop(self, delay_seconds: float, reason: str) -> None:
        """Stop after a delay, or at once if it is told a second time."""
        now = self._clock()
        self._follow(self._departure.stop(now, delay_seconds, reason), now)

    def drain(self, delay_seconds: float) -> None:
        """Do the same with a drain."""
        now = self._clock()
        self._follow(self._departure.drain(now, delay_seconds), now)

    def stay(self) -> None:
        """Have no drain come any more."""
        self._departure.stay()
        if self.state is None:
            self._forget_timer()

    def forget(self) -> None:
        """Have nothing come any more."""
        self._departure.forget()
        self._forget_timer()

    def resume(self, state: DepartureState | None) -> None:
        """Go on with what another process has begun; only for a new one."""
        if state is not None:
            self._departure = Departure(state)
            self._follow(Wait(state.due_seconds))

    def _follow(self, command: Wait | Depart | None, now: float | None = None) -> None:
        self._forget_timer()
        match command:
            case Wait(due_seconds):
                if now is not None and self.state is not None:
                    self._tell(self.state.aim, due_seconds - now)
                self._timer = self._wheel.add(due_seconds, self._expire)
            case Depart(aim, reason):
                self._leave(aim, reason)
            case None:
                pass
            case _:
                assert_never(command)

    def _expire(self) -> None:
        self._follow(self._departure.expire())

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._wheel.cancel(self._timer)
            self._timer = None
