"""Addresses as people write them, and back.

Owns the text forms. Must not know sockets: names are resolved elsewhere.
"""

from dataclasses import dataclass

from socketd.errors import UsageError

_HIGHEST_PORT = 65535
_MOST_DIGITS = 9  # int() refuses thousands


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP port, a number or a service name, on one host or (None) on all addresses."""

    host: str | None
    port: str

    def __str__(self) -> str:
        """Return the form for error lines: `127.0.0.1 port 7000`."""
        return f"port {self.port}" if self.host is None else f"{self.host} port {self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A path in the file system."""

    path: str

    def __str__(self) -> str:
        """Return the path."""
        return self.path


@dataclass(frozen=True, slots=True)
class InheritedAddress:
    """Whatever a service manager has bound, by the name that it gave the descriptor."""

    name: str

    def __str__(self) -> str:
        """Return the form for error lines: `passed socket 'web'`."""
        return f"passed socket {self.name!r}"


Address = TcpAddress | UnixAddress | InheritedAddress


def parse_operand(text: str, host: str | None) -> Address:
    """Read the last operand of the classic command line: a port, or a path if it has a slash.

    Raises UsageError for an empty text, a port number beyond 65535, and a host beside a path.
    """
    if "/" in text:
        if host is not None:
            raise UsageError(f"-B {host} does not apply to the UNIX path {text!r}")
        return UnixAddress(text)
    if not text:
        raise UsageError("the port is empty: give a number, a service name or a path")
    if text.lstrip("-").isdecimal() and not _is_port(text):
        raise UsageError(f"port {text} is out of range: 0 to {_HIGHEST_PORT}")
    return TcpAddress(host, text)


def _is_port(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS and int(text) <= _HIGHEST_PORT
