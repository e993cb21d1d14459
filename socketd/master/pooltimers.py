"""The timers of one pool on the master's wheel.

Owns which of them are armed, and for when. Must not know what a pool does when one expires.
"""

from collections.abc import Callable

from socketd.loop.wheel import Timer, Timers
from socketd.pool.messages import PoolTimer


class PoolTimers:
    """At most one of each; `expire` is called with the one that is due, which is not armed then."""

    def __init__(self, wheel: Timers, expire: Callable[[PoolTimer], None]) -> None:
        self._wheel = wheel
        self._expire = expire
        self._armed: dict[PoolTimer, tuple[float, Timer]] = {}

    @property
    def due(self) -> dict[PoolTimer, float]:
        """Return those that are armed, with the monotonic seconds at which they are due."""
        return {timer: due_seconds for timer, (due_seconds, _) in self._armed.items()}

    def due_seconds(self, timer: PoolTimer) -> float | None:
        """Return when one is due, None if it is not armed."""
        armed = self._armed.get(timer)
        return None if armed is None else armed[0]

    def arm(self, timer: PoolTimer, due_seconds: float) -> None:
        """Arm one, in place of an earlier arming."""
        self.disarm(timer)

        def expire() -> None:
            del self._armed[timer]
            self._expire(timer)

        self._armed[timer] = due_seconds, self._wheel.add(due_seconds, expire)

    def disarm(self, timer: PoolTimer) -> None:
        """Forget one, armed or not."""
        if (armed := self._armed.pop(timer, None)) is not None:
            self._wheel.cancel(armed[1])

    def disarm_all(self) -> None:
        """Forget all of them."""
        for timer in list(self._armed):
            self.disarm(timer)
