"""The title of the master in ps(1): how many workers wait and how many are busy.

Owns when the title is renewed. Must not know how it is set, nor what it counts.
"""

import time
from collections.abc import Callable

from socketd.loop.wheel import Timer, Timers

_SECONDS = 1.0


class Title:
    """Sets a title at most once a second, and only when something happens.

    Without `set_title` it does nothing.
    """

    def __init__(
        self,
        set_title: Callable[[str], None] | None,
        wheel: Timers,
        describe: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._set_title = set_title
        self._wheel = wheel
        self._describe = describe
        self._clock = clock
        self._pending: Timer | None = None

    def note_change(self) -> None:
        """Renew the title soon."""
        if self._set_title is not None and self._pending is None:
            self._pending = self._wheel.add(self._clock() + _SECONDS, self._renew)

    def _renew(self) -> None:
        assert self._set_title is not None
        self._pending = None
        self._set_title(self._describe())
