"""The log: structlog and the closed list of events.

Owns the event names, their keys and levels, and how a line looks. Knows nothing else of the
package.

Three formats. `console` prints lines for people, see console.py; in a file each event is a line
with its time. `json` prints every event as one object a line, `journal` sends it with its keys as
fields.

structlog is imported with the first line that is printed. That takes longer than all that a server
does before it listens, and megabytes; most servers print nothing as long as all is well.
"""

from __future__ import annotations

import contextlib
import enum
import gc
import importlib
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from types import ModuleType

from socketd.dataclass import dataclass
from socketd.operations.console import (
    ConsoleRenderer,
    FileRenderer,
    dropped_text,
    now,
    pairs,
)
from socketd.operations.log_targets import (
    JOURNAL_SOCKET,
    FileTarget,
    JournalTarget,
    Outlet,
    StderrTarget,
    Target,
    encode_fields,
    is_journal,
)

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from typing import Any

    _Line = MutableMapping[str, Any]

_STDERR_FD = 2
# syslog(3)
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}


class LogFormat(enum.Enum):
    """How a line looks."""

    CONSOLE = "console"
    JSON = "json"
    JOURNAL = "journal"


class LogLevel(enum.Enum):
    """The least important level that is printed."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Return how important it is: the more, the higher."""
        return list(LogLevel).index(self)


@dataclass(frozen=True, slots=True)
class EventKind:
    """One entry of the closed list: level, and exactly the keys that a line carries."""

    level: LogLevel
    keys: frozenset[str]


def _kind(level: LogLevel, keys: str) -> EventKind:
    return EventKind(level, frozenset(keys.split()))


EVENTS: Mapping[str, EventKind] = {
    "service_ready": _kind(LogLevel.INFO, "service listener address port port_name workers ready"),
    "template_started": _kind(LogLevel.DEBUG, "service pid ready descriptors canary"),
    "warm_up_answered": _kind(LogLevel.INFO, "service status answer_bytes"),
    "template_fell_back": _kind(LogLevel.WARNING, "service wanted ready reason"),
    "ready_chosen": _kind(LogLevel.INFO, "service ready reason"),
    "template_failed": _kind(LogLevel.WARNING, "service reason delay_s step"),
    "native_worker_missing": _kind(LogLevel.INFO, "reason"),
    "worker_started": _kind(LogLevel.DEBUG, "service worker pid"),
    "connection_accepted": _kind(LogLevel.INFO, "service listener pid peer id"),
    "connection_closed": _kind(
        LogLevel.INFO,
        "service pid peer id status duration_s cpu_s max_rss_kib memory_peak_kib limit trace",
    ),
    "connection_refused": _kind(LogLevel.INFO, "service peer reason"),
    "connections_refused": _kind(LogLevel.INFO, "service count reason"),
    "client_sensed": _kind(LogLevel.INFO, "service peer duration_s"),
    "rules_in_force": _kind(LogLevel.INFO, "service allow deny"),
    "rules_unusable": _kind(LogLevel.ERROR, "service reason"),
    "client_gone": _kind(LogLevel.INFO, "service pid"),
    "leftover_ended": _kind(LogLevel.INFO, "pid name signal"),
    "connection_unseen": _kind(LogLevel.WARNING, "service pid"),
    "request_refused": _kind(LogLevel.INFO, "service pid peer id status reason variable trace"),
    "favourite_started": _kind(LogLevel.INFO, "service program pid canary"),
    "favourite_dropped": _kind(LogLevel.INFO, "service program reason"),
    "favourite_refused": _kind(LogLevel.INFO, "service program reason"),
    "variable_left_out": _kind(LogLevel.WARNING, "service variable others"),
    "pool_resized": _kind(LogLevel.INFO, "service idle busy target"),
    "program_killed": _kind(LogLevel.WARNING, "service pid peer id signal others"),
    "worker_failed": _kind(LogLevel.INFO, "service worker reason"),
    "command_not_run": _kind(LogLevel.WARNING, "service status"),
    "backing_off": _kind(LogLevel.WARNING, "service delay_s step reason"),
    "recovered": _kind(LogLevel.INFO, "service reason"),
    "service_crashed": _kind(LogLevel.ERROR, "service listener reason delay_s step traceback"),
    "restart_failed": _kind(LogLevel.WARNING, "service listener reason delay_s step"),
    "put_away_failed": _kind(LogLevel.ERROR, "service reason traceback"),
    "master_fault": _kind(LogLevel.ERROR, "attempt reason traceback"),
    "worker_distrusted": _kind(LogLevel.WARNING, "service worker pid reason"),
    "signal_refused": _kind(LogLevel.WARNING, "service pid signal"),
    "notification_failed": _kind(LogLevel.WARNING, "reason"),
    "reload_unavailable": _kind(LogLevel.INFO, "reason"),
    "reloaded": _kind(LogLevel.INFO, "services added changed removed"),
    "reload_failed": _kind(LogLevel.ERROR, "reason"),
    "listener_lost": _kind(LogLevel.WARNING, "service listener"),
    "ordered": _kind(LogLevel.INFO, "order service"),
    "control_unavailable": _kind(LogLevel.WARNING, "path reason"),
    "reexec_started": _kind(LogLevel.INFO, "command"),
    "reexec_done": _kind(LogLevel.INFO, "services former version"),
    "reexec_failed": _kind(LogLevel.ERROR, "reason"),
    "log_lines_dropped": _kind(LogLevel.WARNING, "count"),
    "departing": _kind(LogLevel.INFO, "service aim seconds"),
    "stopping": _kind(LogLevel.INFO, "service signal idle busy"),
    "stopped": _kind(LogLevel.INFO, "service connections"),
}

_enabled: frozenset[str] = frozenset()
_least = LogLevel.INFO
_outlet: Outlet | None = None
_finish: Callable[[_Line], bytes | None] | None = None
_logger: Any = None  # structlog's, after the first line
_console: ConsoleRenderer | None = None


def usual_format(environment: Mapping[str, str], journal_socket: str = JOURNAL_SOCKET) -> LogFormat:
    """Return the default format: journal if stderr leads there."""
    if is_journal(environment) and os.access(journal_socket, os.W_OK):
        return LogFormat.JOURNAL
    return LogFormat.CONSOLE


def configure(
    log_format: LogFormat,
    level: LogLevel,
    program: str,
    log_file: str | None = None,
    journal_socket: str = JOURNAL_SOCKET,
) -> None:
    """Print events from `level` up, console lines named for `program`.

    They go to the file if there is one, else to the journal in its format, else to standard error.
    Raises SystemFailureError if that cannot be opened.
    """
    global _console, _enabled, _finish, _least, _logger, _outlet
    _least = level
    target: Target = _terminal
    _console = None
    if log_file is not None:
        target = FileTarget(log_file)
    elif log_format is LogFormat.JOURNAL:
        target = JournalTarget(journal_socket)
    _enabled = _from(level)
    render: Callable[[_Line], str | bytes | None]
    match log_format:
        case LogFormat.JSON:
            render = _render_json
        case LogFormat.JOURNAL if log_file is None:
            render = _JournalRenderer(program)
        case LogFormat.JOURNAL:
            render = FileRenderer(program)
        case LogFormat.CONSOLE if log_file is not None:
            render = FileRenderer(program)
        case LogFormat.CONSOLE:
            is_terminal = os.isatty(_STDERR_FD)
            render = _console = ConsoleRenderer(program, is_terminal=is_terminal)
            _console.has_all = level is LogLevel.DEBUG

    def finish(line: _Line) -> bytes | None:
        rendered = render(line)
        return rendered.encode(errors="replace") if isinstance(rendered, str) else rendered

    def note(dropped: int) -> bytes:
        event = "log_lines_dropped"
        line: _Line = {"event": event, "count": dropped, "level": EVENTS[event].level.value}
        return finish(line) or b""

    if _outlet is not None:
        _outlet.close()
    _outlet, _finish, _logger = Outlet(target, note), finish, None


def level() -> LogLevel:
    """Return the least important level that is printed."""
    return _least


def set_level(level: LogLevel) -> None:
    """Print events from another level up, where the others go."""
    global _enabled, _least
    _least = level
    _enabled = _from(level)
    if _console is not None:
        _console.has_all = level is LogLevel.DEBUG


def _from(level: LogLevel) -> frozenset[str]:
    return frozenset(event for event, kind in EVENTS.items() if kind.level.rank >= level.rank)


def is_enabled(event: str) -> bool:
    """Tell whether an event would be printed, to spare the making of its keys."""
    return event in _enabled


def emit(event: str, **keys: object) -> None:
    """Print an event of the closed list with exactly its keys."""
    kind = EVENTS[event]
    if kind.keys != keys.keys():
        raise KeyError(f"{event} has the keys {sorted(kind.keys)}, not {sorted(keys)}")
    if event in _enabled:
        _print(kind.level, event, keys)


def _print(level: LogLevel, event: str, keys: dict[str, object]) -> None:
    global _logger
    if _outlet is None or _finish is None:
        return
    if _logger is None:
        try:
            _logger = _make_logger(_finish, _outlet)
        except (ImportError, OSError, MemoryError):
            # Descriptors have run out, say: the line matters more than who makes it.
            record = _finish({"event": event, **keys, "level": level.value})
            if record is not None:
                _outlet.msg(record)
            return
    getattr(_logger, level.value)(event, **keys)


class _Deferred(ModuleType):
    """Stands for a module, which is imported when somebody asks for something in it."""

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _import_structlog() -> ModuleType:
    """Return structlog, imported without what it brings along and nobody here uses.

    That is rich, for tracebacks, asyncio, for methods that are coroutines, and uuid. So the first
    line takes half as long, and a server is smaller.
    """
    stand_ins = {"rich": None, "asyncio": _Deferred("asyncio"), "uuid": _Deferred("uuid")}
    hidden = {name: one for name, one in stand_ins.items() if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]  # what import understands
    is_collecting = gc.isenabled()
    gc.disable()  # nothing of what is imported is garbage
    try:
        import structlog
    finally:
        if is_collecting:
            gc.enable()
        for name, one in hidden.items():
            if sys.modules.get(name) is one:
                del sys.modules[name]
    return structlog


def _make_logger(finish: Callable[[_Line], bytes | None], outlet: Outlet) -> Any:  # noqa: ANN401  structlog's type depends on the configuration
    structlog = _import_structlog()

    def render(logger: object, method: str, line: _Line) -> bytes:  # noqa: ARG001  structlog's signature
        record = finish(line)
        if record is None:
            raise structlog.DropEvent
        return record

    structlog.configure(
        processors=[structlog.processors.add_log_level, render],
        wrapper_class=structlog.make_filtering_bound_logger(0),  # `emit` has looked at the level
        logger_factory=lambda *_: outlet,
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger()


def name_services(*, are_several: bool) -> None:
    """Have lines for people begin with the name of their service, or not."""
    if _console is not None:
        _console.are_several = are_several


def show_progress(text: str) -> None:
    """Show on a terminal how far something has got, below the lines; an empty text takes it away.

    Only where we are what the terminal is about: not in the background of a shell.
    """
    if _console is None:
        return
    with contextlib.suppress(OSError):  # nobody has asked for it
        if os.tcgetpgrp(_STDERR_FD) == os.getpgrp() and (drawn := _console.draw(text)):
            _terminal.draw(drawn.encode(errors="replace"))


def say(line: str) -> None:
    """Print a line that is no event to standard error; it is dropped if there is no room."""
    _stderr.msg(line.encode(errors="replace"))


def speak_to(fd: int) -> None:
    """Print to another descriptor than standard error from now on."""
    _terminal.fd = fd


_terminal = StderrTarget()
_stderr = Outlet(_terminal, lambda dropped: dropped_text(dropped).encode())


def _render_json(line: _Line) -> str:
    import json

    return json.dumps({**line, "timestamp": now()}, default=str)


class _JournalRenderer:
    """Turns events into the journal's fields: SOCKETD_EVENT, and one for each key."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __call__(self, line: _Line) -> bytes:
        """Return the record to send."""
        event, level = line.pop("event"), line.pop("level")
        fields = [
            ("MESSAGE", f"{event}{pairs(line)}"),
            ("PRIORITY", str(_PRIORITIES[level])),
            ("SYSLOG_IDENTIFIER", self._program),
            ("SOCKETD_EVENT", event),
        ]
        values = ((key, "" if value is None else str(value)) for key, value in line.items())
        return encode_fields([*fields, *((f"SOCKETD_{key.upper()}", text) for key, text in values)])
