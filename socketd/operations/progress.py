"""How far a start or a stop has got, for whoever watches it on a terminal.

Owns when that is shown. Must not know where, nor what it counts.
"""

import time
from collections.abc import Callable

from socketd.loop.wheel import Timer, Timers

_SECONDS = 0.3


class Progress:
    """Shows a text soon after something has happened, as long as there is one.

    What is over sooner is never shown. While `describe` returns nothing, there is no timer.
    """

    def __init__(
        self,
        show: Callable[[str], None],
        wheel: Timers,
        describe: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show
        self._wheel = wheel
        self._describe = describe
        self._clock = clock
        self._pending: Timer | None = None
        self._is_shown = False

    def note_change(self, *, is_under_way: bool) -> None:
        """Show the text of now soon, or none any more if nothing is under way."""
        if not is_under_way:
            self.clear()
        elif self._pending is None:
            self._pending = self._wheel.add(self._clock() + _SECONDS, self._renew)

    def clear(self) -> None:
        """Show nothing, and have no timer."""
        if self._pending is not None:
            self._wheel.cancel(self._pending)
            self._pending = None
        if self._is_shown:
            self._is_shown = False
            self._show("")

    def _renew(self) -> None:
        self._pending = None
        self._is_shown = True
        self._show(self._describe())
