"""From the settings of a listener to its address.

Owns which of them go with which kind of address. Must not know how a setting is written, nor
sockets.
"""

from collections.abc import Sequence

from socketd.dataclass import replace
from socketd.settings.address import AbstractAddress, Address, InheritedAddress, UnixAddress
from socketd.settings.tcp_options import Keepalive, TcpOptions
from socketd.settings.values import Problem, Values

USUAL_MODE = 0o660  # of a UNIX socket's path, unless the front end uses the umask
_OF_A_PATH = ("listen.mode", "listen.owner", "listen.group")
_OF_BINDING = ("listen.freebind", "listen.reuseport", "listen.interface")
_OF_TCP = (*_OF_BINDING, "listen.defer_accept", "listen.keepalive", "listen.user_timeout",
           "listen.nodelay")  # fmt: skip
_OF_TRAFFIC = ("timeouts.idle", "timeouts.first_byte")


def completed(address: Address, values: Values, usual_mode: int | None) -> Address:
    """Return an address with what was set about its listener; see `misplaced`."""
    if isinstance(address, AbstractAddress):
        return address
    if not isinstance(address, UnixAddress):
        return replace(address, options=_options(values))
    mode = values.number("listen.mode")
    return replace(
        address,
        mode=usual_mode if mode is None else mode,
        owner=values.text("listen.owner"),
        group=values.text("listen.group"),
    )


def misplaced(address: Address, values: Values) -> list[Problem]:
    """Return what was set and does not go with this kind of address, and why."""
    problems = []
    for key in (*_OF_A_PATH, *_OF_TCP):
        why = _why_not(key, address) if values.has(key) else ""
        if why:
            problems.append(Problem(key, why))
    return problems


def untimed(addresses: Sequence[Address], values: Values) -> list[Problem]:
    """Return the limits on what a connection carries that were set where none can be seen."""
    of_unix = [one for one in addresses if isinstance(one, UnixAddress | AbstractAddress)]
    if not addresses or len(of_unix) < len(addresses):
        return []
    why = f"is for TCP: of a UNIX socket as {addresses[0]} the kernel does not tell what it carries"
    return [Problem(key, why) for key in _OF_TRAFFIC if values.has(key)]


def _why_not(key: str, address: Address) -> str:
    if key in _OF_A_PATH:
        if isinstance(address, UnixAddress):
            return ""
        if isinstance(address, AbstractAddress):
            return (
                f"is for the path of a UNIX socket; the abstract name {address} has no owner "
                "and no mode: whoever shares this machine's network may connect"
            )
        return f"is for the path of a UNIX socket, which {address} is not"
    if isinstance(address, UnixAddress | AbstractAddress):
        return f"is for TCP, and {address} is a UNIX socket"
    if key in _OF_BINDING and isinstance(address, InheritedAddress):
        return f"is decided when a socket is bound: set it where {address} is"
    return ""


def _options(values: Values) -> TcpOptions:
    keepalive = values.get("listen.keepalive")
    assert keepalive is None or isinstance(keepalive, tuple)
    return TcpOptions(
        is_freebind=values.is_on("listen.freebind"),
        is_reuseport=values.is_on("listen.reuseport"),
        interface=values.text("listen.interface"),
        defer_seconds=values.limit_seconds("listen.defer_accept"),
        keepalive=None if keepalive is None else Keepalive(*keepalive),
        user_timeout_seconds=values.limit_seconds("listen.user_timeout"),
        is_nodelay=values.is_on("listen.nodelay"),
    )
