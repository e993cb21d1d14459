"""`socketd top` on a terminal with keys and a mouse, by Textual.

Owns what Textual has to know, and nothing that it would draw or decide: `steps` and `picture` do.
The only module that imports Textual.
"""

import asyncio
import signal
import threading
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from socketd.display.inquiry import Inquiry
from socketd.display.messages import Event, Key, Leave, Resized, Wheeled
from socketd.display.model import Model
from socketd.display.picture import Ink, Spans, draw, meaning
from socketd.display.steps import step

# Colours of the terminal's own palette: its user has chosen them, and 16 go through everything.
_STYLES = {
    Ink.PLAIN: Style.null(),
    Ink.BOLD: Style.parse("bold"),
    Ink.DIM: Style.parse("dim"),
    Ink.HEAD: Style.parse("bold"),
    Ink.SELECTED: Style.parse("reverse"),
    Ink.CHART: Style.parse("cyan"),
    Ink.KEY: Style.parse("bold cyan"),
    Ink.GOOD: Style.parse("green"),
    Ink.WARNING: Style.parse("yellow"),
    Ink.BAD: Style.parse("bold red"),
}
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Happened(Message):
    """An event has come from another thread."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event


class Canvas(Widget, can_focus=True):
    """The whole screen: it shows the lines of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Spans] = []

    def render_line(self, y: int) -> Strip:
        """Return a line as Textual wants it."""
        spans = self.lines[y] if y < len(self.lines) else []
        strip = Strip([Segment(piece.text, _STYLES[piece.ink]) for piece in spans])
        return strip.adjust_cell_length(self.size.width, Style.null())


class Application(App[None]):
    """Shows a model, and changes it by what happens."""

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = "Screen, Canvas { background: ansi_default; color: ansi_default; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "press('ctrl+c')", show=False, priority=True)
    ]

    def __init__(self, model: Model) -> None:
        super().__init__(ansi_color=True)
        self.model = model
        self.inquiry: Inquiry | None = None
        self._canvas = Canvas()

    def compose(self) -> ComposeResult:
        """Return the one widget."""
        yield self._canvas

    def on_mount(self) -> None:
        """Begin to ask, where there is somebody to be asked."""
        for number in _ENDS:
            asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self._canvas.focus()
        if self.inquiry is not None:
            # A server that hangs must not keep anybody: the thread ends with the process.
            threading.Thread(target=self.inquiry.run, daemon=True).start()

    def hear(self, event: Event) -> None:
        """Take an event of another thread, or of before there is a screen."""
        if self.inquiry is None:
            self.model, _ = step(self.model, event)
        else:
            self.post_message(Happened(event))

    def happen(self, event: Event) -> None:
        """Have an event change the model, and draw it."""
        self.model, commands = step(self.model, event)
        for command in commands:
            if self.inquiry is not None:
                self.inquiry.command(command)
            if isinstance(command, Leave):
                self.exit()
        self._canvas.lines = draw(self.model)
        self._canvas.refresh()

    def action_press(self, key: str) -> None:
        """Take a key that Textual would have for itself."""
        self.happen(Key(key))

    @on(Happened)
    def _hear(self, message: Happened) -> None:
        self.happen(message.event)

    def on_resize(self, event: events.Resize) -> None:
        """Draw in another size."""
        self.happen(Resized(event.size.width, event.size.height))

    def on_key(self, event: events.Key) -> None:
        """Take a key by what it prints, or by its name."""
        event.stop()
        event.prevent_default()
        is_letter = event.character is not None and event.is_printable
        self.happen(Key(event.character if is_letter and event.character else event.key))

    def on_click(self, event: events.Click) -> None:
        """Do what is said at that place."""
        found = meaning(self._canvas.lines, event.screen_x, event.screen_y)
        if found is not None:
            self.happen(found)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.happen(Wheeled(1))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.happen(Wheeled(-1))


def watch(application: Application, inquiry: Inquiry) -> bool:
    """Show a server that has been asked once, until somebody leaves; tell whether all went well."""
    application.inquiry = inquiry
    application.run()
    return not application.return_code  # Textual has printed what went wrong
