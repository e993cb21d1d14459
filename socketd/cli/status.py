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
from socketd.control.document import State
from socketd.control.verdict import Health, judge
from socketd.dataclass import dataclass
from socketd.display.fields import FIELDS, Row, number, rows_of, word
from socketd.display.fitting import Shape, table
from socketd.display.wording import headline, notes_on, notes_on_server
from socketd.errors import ExitCode, SystemFailureError, UsageError

_STEP_SECONDS = 0.1
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
_SHAPE = Shape(
    texts=frozenset({"SERVICE", "ADDRESS", "STATE", "LEVEL"}),
    first_to_go=("LEVEL", "REFUSED", "FAILED", "ACCEPTED"),
    first_to_shrink=("ADDRESS", "SERVICE"),
    least=12,
    enough=40,
)


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
    rows = rows_of(state := state_of(path()), options.service)
    if names is not None:
        return _show("\n".join(" ".join(word(FIELDS[n](*row)) for n in names) for row in rows))
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


def lines_of(state: State, rows: list[Row], width: int) -> list[str]:
    """Return what people are shown of a server."""
    cells = [[word(FIELDS[field](*row)) for field in _COLUMNS.values()] for row in rows]
    notes = notes_on_server(state) + notes_on(rows)
    lines = [headline(state), "", *table(list(_COLUMNS), cells, _SHAPE, width)]
    return [*lines, "", *notes] if notes else lines


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
    rows = rows_of(state, None)
    numbers = {name: sum(number(row, name) for row in rows) for name in _SUMMED}
    said = "; ".join(verdict.complaints) or (
        f"{len(state.services)} services, {numbers['busy']} of {numbers['max']} workers busy, "
        f"{numbers['queue']} clients wait"
    )
    # What stands behind the bar is for programs, so no complaint may hold one.
    text = f"{verdict.health.name} - {said}".replace("|", "/").replace("\n", " ")
    text += " | " + " ".join(f"{name}={value}{_SUMMED[name]}" for name, value in numbers.items())
    return verdict.health if _show(text) == ExitCode.DONE else Health.UNKNOWN


_SUMMED = {"busy": "", "idle": "", "max": "", "queue": "", "accepted": "c", "refused": "c"}


def _names_in(fields: str | None) -> list[str] | None:
    if fields is None:
        return None
    names = fields.split(",")
    for name in names:
        if name not in FIELDS:
            raise UsageError(f"-o: there is no field {name!r}; there are: {', '.join(FIELDS)}")
    return names


def _show(text: str) -> int:
    return ExitCode.DONE if console.show(text, "socketd") else ExitCode.SYSTEM
