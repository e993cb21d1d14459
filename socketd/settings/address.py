"""Addresses from text and to text.

Owns the text forms. Must not know sockets: names are resolved elsewhere.
"""

from socketd.dataclass import dataclass
from socketd.errors import UsageError
from socketd.settings.tcp_options import USUAL_OPTIONS, TcpOptions

_HIGHEST_PORT = 65535
_MOST_DIGITS = 9  # int() refuses thousands
_SERVICE = r"[A-Za-z][A-Za-z0-9-]*"
_TCP = r"(?:(?:\[(?P<v6>[^\[\]\s\0]+)\]|(?P<host>[^\[\]:\s\0]+)):)?(?P<port>[^:]+)"
LISTEN_FORMS = (
    "tcp:HOST:PORT, tcp:[IPV6]:PORT, tcp:PORT for all addresses, unix:/PATH, unix:@NAME or fd:NAME"
)


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP port, a number or a service name, on one host or (None) on all addresses."""

    host: str | None
    port: str
    options: TcpOptions = USUAL_OPTIONS

    def __str__(self) -> str:
        """Return the form for error lines: `127.0.0.1 port 7000`."""
        return f"port {self.port}" if self.host is None else f"{self.host} port {self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A path in the file system, and who may use it; None leaves that to the umask."""

    path: str
    mode: int | None = None
    owner: str | None = None
    group: str | None = None

    def __str__(self) -> str:
        """Return the path."""
        return self.path


@dataclass(frozen=True, slots=True)
class AbstractAddress:
    """A name of a UNIX socket that is in no file system: neither owner nor mode keep anybody away.

    It is gone with its last socket. See unix(7), "Abstract sockets".
    """

    name: str

    def __str__(self) -> str:
        """Return the name as people write it: `@name`."""
        return f"@{self.name}"


@dataclass(frozen=True, slots=True)
class InheritedAddress:
    """A socket that a service manager bound, by the name of its descriptor.

    Several descriptors may have the same name; `position` counts them from 0.
    """

    name: str
    position: int = 0
    options: TcpOptions = USUAL_OPTIONS

    def __str__(self) -> str:
        """Return the form for error lines: `passed socket 'web'`."""
        return f"passed socket {self.name!r}"


Address = TcpAddress | UnixAddress | AbstractAddress | InheritedAddress


def parse_operand(text: str, host: str | None) -> Address:
    """Read the last operand of the classic command line.

    It is a port, or a path if it has a slash, or else an abstract name if it begins with @. Raises
    UsageError for an empty text or name, a port number beyond 65535, and a host together with a
    path or name.
    """
    if "/" in text:
        if host is not None:
            raise UsageError(f"-B {host!r} does not apply to the UNIX path {text!r}")
        return UnixAddress(text)
    if text.startswith("@"):
        if host is not None:
            raise UsageError(f"-B {host!r} does not apply to the abstract name {text!r}")
        if text == "@":
            raise UsageError("the abstract name '@' is empty: put a name behind the @")
        return AbstractAddress(text.removeprefix("@"))
    if not text:
        raise UsageError("the port is empty: give a number, a service name or a path")
    if _is_digits(text.lstrip("-")) and not _is_port(text):
        raise UsageError(f"port {text} is out of range: 0 to {_HIGHEST_PORT}")
    return TcpAddress(host, text)


def parse_listen(text: str) -> Address:
    """Read an address of a configuration file; `place_of` is the way back.

    Raises UsageError for anything but `tcp:HOST:PORT`, `tcp:PORT`, `unix:/PATH`, `unix:@NAME` and
    `fd:NAME`.
    """
    import re  # which a command line needs nothing of

    scheme, _, rest = text.partition(":")
    if scheme == "tcp" and (found := re.fullmatch(_TCP, rest)):
        port = found["port"]
        if _is_port(port) or re.fullmatch(_SERVICE, port):
            return TcpAddress(found["v6"] or found["host"], port)
    if scheme == "unix" and rest.startswith("/") and "\0" not in rest:
        return UnixAddress(rest)
    if scheme == "unix" and rest.startswith("@") and rest != "@" and "\0" not in rest:
        return AbstractAddress(rest.removeprefix("@"))
    if scheme == "fd" and rest and ":" not in rest:  # which separates names
        return InheritedAddress(rest)
    raise UsageError(f"{text!r} is not {LISTEN_FORMS}")


def place_of(address: Address) -> str:
    """Return the text of an address, the same text exactly for the same place."""
    if isinstance(address, UnixAddress | AbstractAddress):
        return f"unix:{address}"
    if isinstance(address, InheritedAddress):
        return f"fd:{address.name}" + (f":{address.position}" if address.position else "")
    if address.host is None:
        return f"tcp:{address.port}"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"tcp:{host}:{address.port}"


def _is_port(text: str) -> bool:
    return _is_digits(text) and len(text) <= _MOST_DIGITS and int(text) <= _HIGHEST_PORT


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()  # which alone accepts digits of any script
