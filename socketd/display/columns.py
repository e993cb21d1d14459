"""The two tables of `socketd top`: listeners, and the workers of one of them.

Owns columns, and by what each sorts. Must not know which rows are on the screen. Pure.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from socketd.control.document import Worker
from socketd.display.fields import FIELDS, NONE, Row, word
from socketd.display.fitting import Shape
from socketd.display.history import Track

_KIB = 1024.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TENTHS_BELOW = 100.0

Line = tuple[Row, Track]
_Entry = TypeVar("_Entry")


class Column(Generic[_Entry]):
    """A column: its head, what it sorts by, and what it shows of an entry.

    `is_text` also tells which end comes first where somebody sorts by it: of numbers the largest.
    """

    def __init__(
        self,
        head: str,
        value: Callable[[_Entry], object],
        text: Callable[[object], str] = word,
        *,
        is_text: bool = False,
    ) -> None:
        self.head = head
        self.is_text = is_text
        self._value = value
        self._text = text

    def cell(self, entry: _Entry) -> str:
        """Return what is shown."""
        return self._text(self._value(entry))

    def rank(self, entry: _Entry) -> tuple[bool, float, str]:
        """Return what sorts; what is not known is the least."""
        value = self._value(entry)
        if isinstance(value, int | float):
            return True, float(value), ""
        return value is not None, 0.0, str(value or "")


def rate(value: object) -> str:
    """Return so many in a second."""
    if not isinstance(value, int | float):
        return NONE
    return f"{value:.1f}" if value < _TENTHS_BELOW else f"{value:.0f}"


def span(value: object) -> str:
    """Return a time in few letters."""
    if not isinstance(value, int | float):
        return NONE
    if value < _MINUTE:
        return f"{value:.1f}s"
    whole = int(value)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR:02}h"


def size(value: object) -> str:
    """Return a number of bytes in few letters."""
    if not isinstance(value, int | float):
        return NONE
    number = float(value)
    for unit in "BKMG":
        if number < _KIB:
            return f"{number:.1f}{unit}" if unit in "MG" else f"{number:.0f}{unit}"
        number /= _KIB
    return f"{number:.1f}T"


def _field(head: str, name: str, *, is_text: bool = False) -> Column[Line]:
    return Column(head, lambda line: FIELDS[name](*line[0]), is_text=is_text)


LISTENERS: Sequence[Column[Line]] = (
    _field("SERVICE", "service", is_text=True),
    _field("ADDRESS", "address", is_text=True),
    _field("STATE", "state", is_text=True),
    _field("BUSY", "busy"),
    _field("IDLE", "idle"),
    _field("MAX", "max"),
    _field("QUEUE", "queue"),
    Column("CONN/S", lambda line: line[1].came_rate, rate),
    Column("FAIL/S", lambda line: line[1].failed_rate, rate),
    Column("REFUSED/S", lambda line: line[1].refused_rate, rate),
    _field("LEVEL", "level", is_text=True),
)
LISTENERS_SHAPE = Shape(
    texts=frozenset(one.head for one in LISTENERS if one.is_text),
    first_to_go=("LEVEL", "REFUSED/S", "FAIL/S", "IDLE", "STATE"),
    first_to_shrink=("ADDRESS", "SERVICE"),
    least=12,
    enough=19,  # an address of IPv4 and its port
)

WORKERS: Sequence[Column[Worker]] = (
    Column("NUMBER", lambda one: one.number),
    Column("PID", lambda one: one.pid),
    Column("STATE", lambda one: one.state, is_text=True),
    Column("CONNECTED", lambda one: one.connection_seconds, span),
    Column("CPU", lambda one: one.cpu_seconds, span),
    Column("MEMORY", lambda one: one.rss_bytes, size),
    Column("AGE", lambda one: one.age_seconds, span),
    Column("GENERATION", lambda one: one.generation),
    Column("CLIENT", lambda one: one.peer, is_text=True),
)
WORKERS_SHAPE = Shape(
    texts=frozenset(one.head for one in WORKERS if one.is_text),
    first_to_go=("GENERATION", "AGE", "NUMBER"),
    first_to_shrink=("CLIENT",),
    least=8,
    enough=21,
)
