"""Lines of the log for people: on a terminal, in a script that has always read them, in a file.

Owns how an event is worded there. Must not know where lines go, nor which events there are.

The command `socket` prints the messages of socket 1.1, to the letter: scripts read them. Others say
more: the level at which a program is ready, a reload, and, where there are several services, whose
line it is. Any other event is `socket: warning: event key=value`; below a warning such a line needs
the debug level.

On a terminal there may be a line below all others that says how far something has got. It is drawn
over, and whatever is printed takes it away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, MutableMapping

from socketd.errors import in_one_line

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from typing import Any

    _Line = MutableMapping[str, Any]

_NS_PER_SECOND = 1_000_000_000
_CLASSIC = "socket"
_ERASE = "\r\x1b[K"


class FileRenderer:
    """Turns each event into a line with its time."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __call__(self, line: _Line) -> str:
        """Return the line."""
        return f"{now()} {_full(self._program, line)}"


class ConsoleRenderer:
    """Turns events into lines for people; of what is not for them there is none.

    `has_all` says that they want to have the others, too.
    """

    def __init__(self, program: str, *, is_terminal: bool) -> None:
        self.has_all = False
        self.are_several = False
        self._program = program
        self._is_classic = program == _CLASSIC
        self._is_terminal = is_terminal
        self._drawn = ""

    def __call__(self, line: _Line) -> str | None:
        """Return the line to print."""
        text = self._render(line)
        if text is None or not self._drawn:
            return text
        self._drawn = ""
        return f"{_ERASE}{text}"

    def draw(self, text: str) -> str:
        """Return what draws the line below; nothing where it is there, or there is no terminal."""
        if not self._is_terminal or self._is_classic or text == self._drawn:
            return ""
        self._drawn = text
        return f"{_ERASE}{text}"

    def _render(self, line: _Line) -> str | None:
        message = classic_message(line) if self._is_classic else self._message(line)
        if message is not None:
            return in_one_line(message)
        is_warning = line["level"] in ("warning", "error")
        if not is_warning and not self.has_all:
            return None
        text = _full(self._program, line)
        return f"\x1b[33m{text}\x1b[0m" if is_warning and self._is_terminal else text

    def _message(self, line: _Line) -> str | None:
        more = _MORE.get(line["event"])
        message = classic_message(line) if more is None else more(line)
        if message is None or not self.are_several or "service" not in line:
            return message
        return f"{line['service']}: {message}"


def classic_message(line: Mapping[str, Any]) -> str | None:
    """Return what socket 1.1 prints with -v at such a moment; None where it prints nothing."""
    match line["event"]:
        case "service_ready":
            return f"{_listening(line)}{_level(line)}"
        case "connection_accepted" if line["listener"].startswith("unix:"):
            return f"unix: connection from {line['listener'].removeprefix('unix:')}"
        case "connection_accepted":
            return f"inet: connection from {line['peer'].host or line['peer']}"
        case "connection_closed":
            return "connection closed"
        case "log_lines_dropped":
            return dropped_text(line["count"])
        case _:
            return None


def _listening(line: Mapping[str, Any]) -> str:
    if line["port"] is None:
        return f"unix: bound to {line['address']}"
    name = f" ({line['port_name']})" if line["port_name"] else ""
    return f"inet: listening on port {line['port']}{name}"


def _level(line: Mapping[str, Any]) -> str:
    """Return how far a program has got; nothing where it has not run yet, as ever."""
    return "" if line["ready"] in ("fork", "load") else f", ready at {line['ready']}"


def _reloaded(line: Mapping[str, Any]) -> str:
    counts = (f"{line[what]} {what}" for what in ("added", "changed", "removed"))
    return f"reloaded: {line['services']} listeners; {', '.join(counts)}"


def _without_native_parts(line: Mapping[str, Any]) -> str:
    return (
        "workers are forked in Python, a connection takes two to three times as long, and no "
        f"program is started ahead: {line['reason']}"
    )


_MORE: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "service_ready": lambda line: f"{_listening(line)}, ready at {line['ready']}",
    "reloaded": _reloaded,
    "native_worker_missing": _without_native_parts,
}


def dropped_text(dropped: int) -> str:
    """Return what stands for lines that were dropped."""
    return f"({dropped} log lines dropped)"


def _full(program: str, line: _Line) -> str:
    keys = {key: value for key, value in line.items() if key not in ("event", "level")}
    return f"{program}: {line['level']}: {line['event']}{pairs(keys)}"


def pairs(line: Mapping[str, Any]) -> str:
    """Return keys and values, each behind a blank."""
    return "".join(f" {key}={_quoted(value)}" for key, value in line.items())


def now() -> str:
    """Return the time as log lines have it."""
    seconds, ns = divmod(time.time_ns(), _NS_PER_SECOND)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{ns // 1000:06}Z", time.gmtime(seconds))


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if " " in text else in_one_line(text)
