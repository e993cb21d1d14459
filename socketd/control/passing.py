"""What a re-exec passes on of the control socket.

Owns the value. Must not know how it travels, nor what is said on the socket.
"""

from socketd.dataclass import dataclass
from socketd.loop.listeners import ListenerState


@dataclass(frozen=True, slots=True)
class ControlState:
    """The listener, its path, and the clients.

    `waiting` wait to hear what came of the re-exec, `others` have been told all that they asked,
    and `silent` have not said anything yet.
    """

    listener: ListenerState
    path: str
    waiting: tuple[int, ...]
    others: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()

    @property
    def fds(self) -> list[int]:
        """Return the descriptors that a successor needs."""
        own = () if self.listener.fd is None else (self.listener.fd,)
        return [*own, *self.waiting, *self.others, *self.silent]
