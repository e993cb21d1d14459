"""What socketd tells its operator: structlog and the closed list of events.

Owns the event names, their keys and levels, and how a line looks. Knows nothing else of the
package.

Two formats. `console` prints the classic program's messages and, for what that program never had
to say, `socket: warning: event key=value`; below a warning such lines need the debug level, since
scripts read the classic ones. `json` prints every event as one object a line.

The master may not block on its log: a line that a pipe has no room for, or whose reader is gone,
is dropped, and the next line that gets through says how many were.
"""

import enum
import logging
import os
import select
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

_STDERR_FD = 2


class LogFormat(enum.Enum):
    """How a line looks."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(enum.Enum):
    """The least important level that is printed."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """Return the level as the logging module counts."""
        return logging.getLevelNamesMapping()[self.name]


@dataclass(frozen=True, slots=True)
class EventKind:
    """One entry of the closed list: level, and exactly the keys that a line carries."""

    level: LogLevel
    keys: frozenset[str]


def _kind(level: LogLevel, keys: str) -> EventKind:
    return EventKind(level, frozenset(keys.split()))


EVENTS: Mapping[str, EventKind] = {
    "service_ready": _kind(LogLevel.INFO, "service listener address port port_name workers"),
    "template_started": _kind(LogLevel.DEBUG, "service pid"),
    "template_failed": _kind(LogLevel.WARNING, "service reason delay_s step"),
    "native_worker_missing": _kind(LogLevel.INFO, "service"),
    "worker_started": _kind(LogLevel.DEBUG, "service worker pid"),
    "connection_accepted": _kind(LogLevel.INFO, "service listener pid peer"),
    "connection_closed": _kind(
        LogLevel.INFO, "service pid peer status duration_s cpu_s max_rss_kib"
    ),
    "pool_resized": _kind(LogLevel.INFO, "service idle busy target"),
    "worker_failed": _kind(LogLevel.INFO, "service worker reason"),
    "backing_off": _kind(LogLevel.WARNING, "service delay_s step reason"),
    "signal_refused": _kind(LogLevel.WARNING, "service pid signal"),
    "notification_failed": _kind(LogLevel.WARNING, "reason"),
    "stopping": _kind(LogLevel.INFO, "service signal idle busy"),
    "stopped": _kind(LogLevel.INFO, "service connections"),
}

_enabled: frozenset[str] = frozenset()
_logger: Any = None  # a structlog logger: its type depends on the configuration


def configure(log_format: LogFormat, level: LogLevel, program: str) -> None:
    """Print events from `level` up to standard error, console lines named for `program`."""
    global _enabled, _logger
    _enabled = frozenset(
        event for event, kind in EVENTS.items() if kind.level.number >= level.number
    )
    if log_format is LogFormat.JSON:
        last: list[structlog.typing.Processor] = [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ]
    else:
        last = [_ConsoleRenderer(program, everything=level is LogLevel.DEBUG)]
    structlog.configure(
        processors=[structlog.processors.add_log_level, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level.number),
        logger_factory=lambda *_: _stderr,
        cache_logger_on_first_use=True,
    )
    _logger = structlog.get_logger()


def is_enabled(event: str) -> bool:
    """Tell whether an event would be printed, to spare the making of its keys."""
    return event in _enabled


def emit(event: str, **keys: object) -> None:
    """Print an event of the closed list with exactly its keys."""
    kind = EVENTS[event]
    if kind.keys != keys.keys():
        raise KeyError(f"{event} has the keys {sorted(kind.keys)}, not {sorted(keys)}")
    if _logger is not None:
        getattr(_logger, kind.level.value)(event, **keys)


def say(line: str) -> None:
    """Print a line that is no event, as events are printed: dropped rather than waited for."""
    _stderr.msg(line)


def speak_to(fd: int) -> None:
    """Print to another descriptor than standard error from now on."""
    _stderr.fd = fd


class _StderrLogger:
    """Writes lines to standard error, never waiting for a reader."""

    def __init__(self) -> None:
        self.fd = _STDERR_FD
        self._dropped = 0

    def msg(self, line: str) -> None:
        """Write a line, or count it as dropped."""
        note = f"({self._dropped} log lines dropped)\n" if self._dropped else ""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        ready = dict(poll.poll(0)).get(self.fd, 0)
        try:
            if not ready & select.POLLOUT:
                raise BlockingIOError
            os.write(self.fd, f"{note}{line}\n".encode(errors="replace"))
        except OSError:
            self._dropped += 1
        else:
            self._dropped = 0

    debug = info = warning = error = msg


_stderr = _StderrLogger()


class _ConsoleRenderer:
    """Turns events into the classic program's messages."""

    def __init__(self, program: str, *, everything: bool) -> None:
        self._program = program
        self._everything = everything
        self._colour = "\x1b[33m{}\x1b[0m" if sys.stderr and sys.stderr.isatty() else "{}"

    def __call__(
        self,
        logger: object,  # noqa: ARG002  structlog's signature
        method: str,
        line: MutableMapping[str, Any],
    ) -> str:
        """Return the line to print. Raises structlog.DropEvent for one that is not for people."""
        event, level = line.pop("event"), line.pop("level")
        classic = _classic_message(event, line)
        if classic is not None:
            return _visible(classic)
        is_warning = method in ("warning", "error")
        if not is_warning and not self._everything:
            raise structlog.DropEvent
        pairs = " ".join(f"{key}={_quoted(value)}" for key, value in line.items())
        text = f"{self._program}: {level}: {event} {pairs}"
        return self._colour.format(text) if is_warning else text


def _classic_message(event: str, line: Mapping[str, Any]) -> str | None:
    """Return what socket 1.1 prints with -v at such a moment."""
    match event:
        case "service_ready" if line["port"] is None:
            return f"unix: bound to {line['address']}"
        case "service_ready":
            name = f" ({line['port_name']})" if line["port_name"] else ""
            return f"inet: listening on port {line['port']}{name}"
        case "connection_accepted" if line["listener"].startswith("unix:"):
            return f"unix: connection from {line['listener'].removeprefix('unix:')}"
        case "connection_accepted":
            return f"inet: connection from {line['peer'].rpartition(':')[0].strip('[]')}"
        case "connection_closed":
            return "connection closed"
        case _:
            return None


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if " " in text else _visible(text)


def _visible(text: str) -> str:
    """Escape what does not print: a path may hold a newline, an event is one line."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
