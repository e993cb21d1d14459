"""What is on the screen of somebody who watches a server.

Owns the model of `socketd top`: which table, which rows in which order, which question. Must not
know what changes it, nor how it is drawn. Pure.
"""

import enum
from collections.abc import Sequence
from typing import Any

from socketd.control.document import State, Worker
from socketd.dataclass import dataclass, field
from socketd.display.columns import LISTENERS, WORKERS, Column, Line
from socketd.display.fields import Row
from socketd.display.history import Place, Tracks, place_of
from socketd.display.messages import Name

# Lines that are not of the table: see picture.py, which draws them.
LISTENERS_AROUND = 6
WORKERS_AROUND = 11


class Notice(enum.Enum):
    """What kind of a line is above the keys."""

    NONE = enum.auto()
    DONE = enum.auto()
    TROUBLE = enum.auto()


@dataclass(frozen=True, slots=True)
class View:
    """How a table is looked at: the selected row, where it was, the first that is shown, the order.

    A selected row is a name and no place, so that it stays on its listener or worker whatever comes
    and goes around it. Without a column the order is the server's own.
    """

    selected: Name | None = None
    place: int = 0
    first: int = 0
    column: str | None = None
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """All that is on the screen, or decides about it.

    `entries` are what the present table has, in its order, and `names` tell them apart; `steps`
    keeps both, since a listener may have thousands of workers. `workers` are None until the server
    has told them.
    """

    width: int = 80
    height: int = 24
    service: str | None = None
    state: State | None = None
    rows: tuple[Row, ...] = ()
    tracks: Tracks = field(default_factory=dict)
    trouble: str = ""
    opened: Place | None = None
    workers: tuple[Worker, ...] | None = None
    of_listeners: View = View()
    of_workers: View = View(column="CONNECTED", is_descending=True)
    entries: tuple[Any, ...] = ()
    names: tuple[Name, ...] = ()
    find: str = ""
    is_finding: bool = False
    question: Worker | None = None
    notice: str = ""
    notice_kind: Notice = Notice.NONE
    is_paused: bool = False
    is_help: bool = False

    @property
    def view(self) -> View:
        """Return how the present table is looked at."""
        return self.of_listeners if self.opened is None else self.of_workers

    @property
    def body_height(self) -> int:
        """Return how many rows of the table there is room for."""
        return max(1, self.height - (LISTENERS_AROUND if self.opened is None else WORKERS_AROUND))

    @property
    def columns(self) -> Sequence[Column[Any]]:
        """Return the columns of the present table."""
        return LISTENERS if self.opened is None else WORKERS


def listeners(model: Model) -> list[Line]:
    """Return the listeners that are looked for, in order."""
    lines = [(row, model.tracks[place_of(row)]) for row in model.rows]
    if model.find:
        lines = [
            line for line in lines if any(model.find in text.lower() for text in place_of(line[0]))
        ]
    return _in_order(lines, LISTENERS, model.of_listeners)


def workers(model: Model) -> list[Worker]:
    """Return the workers of the opened listener that are looked for, in order."""
    found = list(model.workers or ())
    if model.find:
        found = [one for one in found if model.find in f"{one.pid} {one.state} {one.peer}".lower()]
    return _in_order(found, WORKERS, model.of_workers)


def name_of(worker: Worker) -> Name:
    """Return what tells a worker from all others of its listener, before and after it."""
    return worker.number, worker.pid


def ordered(model: Model) -> tuple[Any, ...]:
    """Return what the present table has, in its order."""
    return tuple(listeners(model) if model.opened is None else workers(model))


def names_of(model: Model) -> tuple[Name, ...]:
    """Return the names of all entries of the present table."""
    if model.opened is None:
        return tuple(place_of(row) for row, _ in model.entries)
    return tuple(name_of(one) for one in model.entries)


def _in_order(entries: list[Any], columns: Sequence[Column[Any]], view: View) -> list[Any]:
    for column in columns:
        if column.head == view.column:
            return sorted(entries, key=column.rank, reverse=view.is_descending)
    return entries
