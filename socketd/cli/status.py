"""`socketd status`: what a running server does, for people, scripts and monitors.

Owns the words and columns. Must not know how a server is asked, nor what makes one ill.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable

from socketd.cli import console
from socketd.control.client import Connection, ControlError, state_of
from socketd.control.document import Listening, Service, State
from socketd.control.verdict import Health, judge
from socketd.dataclass import dataclass
from socketd.errors import ExitCode, SystemFailureError, UsageError

_STEP_SECONDS = 0.1
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_NONE = "-"

Field = Callable[[Service, Listening], object]

FIELDS: dict[str, Field] = {
    "service": lambda service, _: service.name,
    "address": lambda _, one: one.address,
    "state": lambda _, one: one.state,
    "idle": lambda _, one: one.workers.idle,
    "busy": lambda _, one: one.workers.busy,
    "starting": lambda _, one: one.workers.starting,
    "retiring": lambda _, one: one.workers.retiring,
    "outdated": lambda _, one: one.workers.outdated,
    "target": lambda _, one: one.workers.target,
    "min": lambda _, one: one.workers.min,
    "max": lambda _, one: one.workers.max,
    "queue": lambda _, one: None if one.queue is None else one.queue.length,
    "queue_limit": lambda _, one: None if one.queue is None else one.queue.limit,
    "accepted": lambda _, one: one.connections.accepted,
    "ok": lambda _, one: one.connections.closed.get("ok", 0),
    "failed": lambda _, one: (
        sum(one.connections.closed.values()) - one.connections.closed.get("ok", 0)
    ),
    "refused": lambda _, one: sum(one.refused.values()),
    "nobody_idle": lambda _, one: one.nobody_idle,
    "max_reached": lambda _, one: one.max_reached,
    "busy_seconds": lambda _, one: one.busy_seconds,
    "idle_seconds": lambda _, one: one.idle_seconds,
    "failures": lambda _, one: one.failures.count,
    "back_off": lambda _, one: None if one.back_off is None else one.back_off.seconds,
    "generation": lambda _, one: one.generation,
    "wanted": lambda _, one: one.level.wanted,
    "level": lambda _, one: one.level.had,
    "template_age": lambda _, one: one.template.age_seconds,
    "crashes": lambda _, one: one.crashes,
    "board": lambda _, one: one.board or None,
}
_COLUMNS = {
    "SERVICE": "service",
    "ADDRESS": "address",
    "STATE": "state",
    "BUSY": "busy",
    "IDLE": "idle",
    "MAX": "max",
    "QUEUE": "queue",
    "ACCEPTED": "accepted",
    "FAILED": "failed",
    "REFUSED": "refused",
    "LEVEL": "level",
}
_TEXTS = frozenset({"SERVICE", "ADDRESS", "STATE", "LEVEL"})
# What is left out first where a terminal is narrow.
_FIRST_TO_GO = ("LEVEL", "REFUSED", "FAILED", "ACCEPTED")
_LEAST_ADDRESS = 12


@dataclass(frozen=True, slots=True)
class StatusOptions:
    """What of a state is shown, and how; `fields` are names with commas between."""

    service: str | None = None
    fields: str | None = None
    is_json: bool = False
    is_check: bool = False
    is_board: bool = False


def show_status(path: Callable[[], str], options: StatusOptions) -> int:
    """Print what a server does; return the exit code. Raises SocketdError."""
    if options.is_check:
        return _check(path)
    names = _names_in(options.fields)
    if options.is_json:
        with Connection(path()) as connection:
            return _show(connection.state_line().decode(errors="replace"))
    rows = _rows_of(state := state_of(path()), options.service)
    if names is not None:
        return _show("\n".join(" ".join(_word(FIELDS[n](*row)) for n in names) for row in rows))
    width = shutil.get_terminal_size().columns if os.isatty(console.STDOUT_FD) else sys.maxsize
    lines = lines_of(state, rows, width)
    if options.is_board:
        lines += ["", *(f"{service.name} {one.address} {one.board}" for service, one in rows)]
    return _show("\n".join(lines))


def wait_ready(path: Callable[[], str], seconds: float) -> int:
    """Wait until all services of a server are up. Raises SystemFailureError after that time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = state_of(path()).server.state
        except (ControlError, UsageError) as error:  # it may not have begun yet
            found = str(error)
        if found == "running":
            return ExitCode.DONE
        if time.monotonic() >= deadline:
            raise SystemFailureError(f"the server was not ready within {seconds:g} s: {found}")
        time.sleep(_STEP_SECONDS)


def lines_of(state: State, rows: list[tuple[Service, Listening]], width: int) -> list[str]:
    """Return what people are shown of a server."""
    return [_headline(state), "", *table(rows, width), *_notes(state, rows)]


def table(rows: list[tuple[Service, Listening]], width: int) -> list[str]:
    """Return the lines of a table, none longer than a width that has room for the numbers."""
    columns = dict(_COLUMNS)
    cells = [[_word(FIELDS[field](*row)) for field in columns.values()] for row in rows]
    heads = list(columns)
    lines = [heads, *cells]
    keep = list(range(len(heads)))
    for name in _FIRST_TO_GO:
        if _width_of(lines, keep) > width:
            keep.remove(heads.index(name))
    excess = _width_of(lines, keep) - width
    for place in (heads.index("ADDRESS"), heads.index("SERVICE")):
        widest = max(len(line[place]) for line in lines)
        most = max(_LEAST_ADDRESS, widest - max(0, excess))
        excess -= max(0, widest - most)
        for line in lines:
            line[place] = _shortened(line[place], most)
    sizes = {place: max(len(line[place]) for line in lines) for place in keep}
    return [
        "  ".join(
            line[n].ljust(sizes[n]) if heads[n] in _TEXTS else line[n].rjust(sizes[n]) for n in keep
        ).rstrip()
        for line in lines
    ]


def _check(path: Callable[[], str]) -> int:
    try:
        state = state_of(path())
    except ControlError as error:
        _show(f"CRITICAL - {error}")
        return Health.CRITICAL
    except UsageError as error:
        _show(f"UNKNOWN - {error}")
        return Health.UNKNOWN
    verdict = judge(state)
    rows = _rows_of(state, None)
    numbers = {name: sum(_count(FIELDS[name](*row)) for row in rows) for name in _SUMMED}
    said = "; ".join(verdict.complaints) or (
        f"{len(state.services)} services, {numbers['busy']} of {numbers['max']} workers busy, "
        f"{numbers['queue']} clients wait"
    )
    # What stands behind the bar is for programs, so no complaint may hold one.
    text = f"{verdict.health.name} - {said}".replace("|", "/").replace("\n", " ")
    text += " | " + " ".join(f"{name}={value}{_SUMMED[name]}" for name, value in numbers.items())
    return verdict.health if _show(text) == ExitCode.DONE else Health.UNKNOWN


_SUMMED = {"busy": "", "idle": "", "max": "", "queue": "", "accepted": "c", "refused": "c"}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _rows_of(state: State, service: str | None) -> list[tuple[Service, Listening]]:
    names = [one.name for one in state.services]
    if service is not None and service not in names:
        raise UsageError(f"there is no service {service!r}; there are: {', '.join(names)}")
    chosen = [one for one in state.services if service in (None, one.name)]
    return [(one, listening) for one in chosen for listening in one.listeners]


def _names_in(fields: str | None) -> list[str] | None:
    if fields is None:
        return None
    names = fields.split(",")
    for name in names:
        if name not in FIELDS:
            raise UsageError(f"-o: there is no field {name!r}; there are: {', '.join(FIELDS)}")
    return names


def _headline(state: State) -> str:
    server = state.server
    words = [f"socketd {server.version}", f"pid {server.pid}", server.state]
    words.append(f"up {_age(server.answered_at - server.started_at)}")
    if server.file is not None:
        words.append(server.file)
    return ", ".join(words)


def _notes(state: State, rows: list[tuple[Service, Listening]]) -> list[str]:
    """Return a line for all that is not as it ought to be."""
    notes = []
    for what, attempts in (("reload", state.server.reloads), ("re-exec", state.server.reexecs)):
        if attempts.last is not None and attempts.last.errors:
            age = _age(state.server.answered_at - attempts.last.finished_at)
            notes += [f"the last {what} has failed, {age} ago: {e}" for e in attempts.last.errors]
    if state.server.faults:
        notes.append(f"{state.server.faults} faults of socketd: see its log, and report them")
    for service, one in rows:
        place = f"{service.name} {one.address}"
        if one.back_off is not None:
            pause = f"no worker is started for {one.back_off.seconds:g} s"
            notes.append(f"{place}: {pause}: {one.back_off.reason}")
        if one.level.reason:
            notes.append(f"{place}: {one.level.had} and not {one.level.wanted}: {one.level.reason}")
        if one.workers.is_set:
            sizes = f"min {one.workers.min} and max {one.workers.max}"
            notes.append(f"{place}: {sizes} until the next reload")
    return ["", *notes] if notes else []


def _width_of(lines: list[list[str]], keep: list[int]) -> int:
    return sum(max(len(line[n]) for line in lines) for n in keep) + 2 * (len(keep) - 1)


def _shortened(text: str, most: int) -> str:
    """Return a text with its middle left out: the ends tell one address from another."""
    if len(text) <= most:
        return text
    first = (most - 1) // 2
    return f"{text[:first]}…{text[len(text) - (most - 1 - first) :]}"


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}" if value < 1e6 else f"{value:.0f}"
    return _NONE if value is None else str(value)


def _age(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def _show(text: str) -> int:
    return ExitCode.DONE if console.show(text, "socketd") else ExitCode.SYSTEM
