"""What a server does, drawn again and again on a terminal of which nothing is known.

Owns what is drawn where nobody can press a key. Must not know how it comes to the terminal. Nothing
is set that would have to be set back: a signal may end it at any time.
"""

import shutil
import time
from collections.abc import Callable

from socketd.dataclass import replace
from socketd.display.inquiry import Inquiry
from socketd.display.messages import Event, Resized
from socketd.display.model import Model
from socketd.display.picture import draw
from socketd.display.steps import step

# Most of what a terminal of another kind would make of these is nothing.
_FROM_ABOVE = "\x1b[H\x1b[2J"


class Plain:
    """Draws the listeners in the width of the terminal; `show` says whether it could."""

    def __init__(self, model: Model, hint: str, show: Callable[[str], bool]) -> None:
        self.model = model
        self._hint = hint
        self._show = show

    def hear(self, event: Event) -> None:
        """Take note of an event."""
        self.model, _ = step(self.model, event)

    def watch(self, inquiry: Inquiry, *, is_dumb: bool) -> None:
        """Draw until a signal ends us, or nothing can be shown any more.

        A dumb terminal gets one picture below the other.
        """
        before = "" if is_dumb else _FROM_ABOVE
        while self._show(before + "\n".join(self.lines())):
            time.sleep(inquiry.pause_seconds())
            inquiry.ask()

    def lines(self) -> list[str]:
        """Return what is drawn; the last line of a terminal stays empty, or it would scroll."""
        width, height = shutil.get_terminal_size()
        self.hear(Resized(width, height))
        calm = replace(self.model, of_listeners=replace(self.model.of_listeners, selected=None))
        lines = ["".join(piece.text for piece in spans).rstrip() for spans in draw(calm)]
        lines = lines[: max(0, height - 2)]
        return [*lines, self._hint[:width]]
