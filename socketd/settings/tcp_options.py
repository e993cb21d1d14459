"""What an operator sets about a TCP listener and the connections that come by it.

Owns the values. Must not know sockets.
"""

from socketd.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Keepalive:
    """When the kernel asks a silent peer whether it is still there; None leaves it to the system.

    Seconds: of silence before the first question, and between two. `count` questions without an
    answer end the connection.
    """

    idle_seconds: int
    interval_seconds: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """Options of a TCP listener; the last three are those of each accepted connection, too.

    `defer_seconds` is how long the kernel keeps a connection back that has sent no byte.
    """

    is_freebind: bool = False
    is_reuseport: bool = False
    interface: str | None = None
    defer_seconds: float | None = None
    keepalive: Keepalive | None = None
    user_timeout_seconds: float | None = None
    is_nodelay: bool = False


USUAL_OPTIONS = TcpOptions()
