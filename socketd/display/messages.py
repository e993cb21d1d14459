"""What can happen to somebody who watches a server, and what can be done about it.

Owns the events and commands of `socketd top`. Must not know who sends or executes them.
"""

from socketd.control.document import State, Worker
from socketd.dataclass import dataclass
from socketd.display.history import Place

Name = Place | tuple[int, int | None]  # of a listener, or number and process of a worker


@dataclass(frozen=True, slots=True)
class Key:
    """Somebody has pressed a key: what it prints, or its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """Somebody has pointed at a row."""

    name: Name


@dataclass(frozen=True, slots=True)
class Sorted:
    """Somebody has pointed at the head of a column."""

    head: str


@dataclass(frozen=True, slots=True)
class Wheeled:
    """Somebody has turned the wheel, by so many notches downwards."""

    notches: int


@dataclass(frozen=True, slots=True)
class Resized:
    """The terminal has another size."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Heard:
    """The server has told its state."""

    state: State
    now_seconds: float


@dataclass(frozen=True, slots=True)
class Listed:
    """The server has told the workers of a listener."""

    place: Place
    workers: tuple[Worker, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """The server has told nothing, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """What has come of an order."""

    text: str
    is_done: bool


Event = Key | Chosen | Sorted | Wheeled | Resized | Heard | Listed | Lost | Told


@dataclass(frozen=True, slots=True)
class Look:
    """Ask for the workers of a listener as well, or of none."""

    place: Place | None


@dataclass(frozen=True, slots=True)
class End:
    """End the connection that a process serves."""

    pid: int


@dataclass(frozen=True, slots=True)
class Leave:
    """The person has seen enough."""


Command = Look | End | Leave
