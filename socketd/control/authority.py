"""What the control socket and a master are to each other.

Owns both interfaces, and what goes over them. Must not know how a master does any of it, nor who
asks.
"""

import enum
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from socketd.control.document import Lasting, Passing, Server, Service, WorkerList
from socketd.control.passing import ControlState
from socketd.dataclass import dataclass
from socketd.loop.sources import Sources
from socketd.loop.wheel import Wheel

Run = Callable[[Callable[[], object]], None]


class Later(enum.Enum):
    """An order whose outcome comes later; the value says what was done."""

    RELOAD = "reloaded"
    REEXEC = "replaced"
    STOP = "stopping"


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants done, and to what."""

    do: str
    service: str | None = None
    address: str | None = None
    pid: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    level: str | None = None


class Subject(NamedTuple):
    """A listener. `stamp` is another one whenever `lasting` may return something else.

    It is None if that may be so without an event. The service that it belongs to has no listeners
    in here.
    """

    listener: object
    stamp: object
    lasting: Callable[[], tuple[Service, Lasting]]


Seen = tuple[Subject, Passing]


class Authority(Protocol):
    """Who answers questions and carries out orders. Each method raises SocketdError to say no."""

    def survey(self) -> Iterator[Seen | Server]:
        """Yield each listener in a short step, and the server last; no step waits for anything."""
        ...

    def server(self) -> Server:
        """Return the server without its services."""
        ...

    def workers(self, service: str | None, address: str | None, start: int) -> WorkerList:
        """Return some workers of a listener, from a number on."""
        ...

    def order(self, order: Order) -> str | Later:
        """Carry out an order; return what was done, or that it is not over yet."""
        ...


class ControlSocket(Protocol):
    """The control socket as a master has it; see server.py."""

    file: str | None
    path: str | None

    def open(
        self,
        authority: Authority,
        sources: Sources,
        wheel: Wheel,
        run: Run,
        state: ControlState | None = None,
    ) -> None:
        """Begin to listen, or go on where another has stopped. Raises SocketdError."""
        ...

    def settle(self) -> None:
        """Be where the socket ought to be now."""
        ...

    def tell(self, about: Later, errors: list[str]) -> None:
        """Tell those who wait for an outcome what it is."""
        ...

    def state(self) -> ControlState | None:
        """Return what `open` wants to know."""
        ...

    def close(self) -> None:
        """Answer nobody any more."""
        ...
