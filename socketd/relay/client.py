"""A connection to a server: by name, by address or by path.

Owns the look-up, trying all addresses in turn, the local address, the time limit, and waiting until
a server is there. Must not know what the connection is for.

This module is on the path of client mode, which pays for every import: no dataclasses, no typing,
and of socket only the part in C, which has no enumerations.
"""

import _socket as socket
import errno
import time

from socketd.errors import ConnectError, UnknownHostError, UnknownServiceError, UsageError

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from collections.abc import Callable

_HIGHEST_PORT = 65535
_MOST_DIGITS = 9  # int() refuses thousands
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0

# The errors that a client gets while a server is still starting.
_NOT_YET = frozenset(
    {
        errno.EAGAIN,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOENT,
        errno.ETIMEDOUT,
    }
)

Candidate = tuple[int, tuple[str, int]]


def connect_tcp(
    host: str, port: str, local: str | None, limit_seconds: float | None
) -> socket.socket:
    """Connect to the first address of a host that answers, within the limit for all of them.

    Raises UsageError, UnknownServiceError or UnknownHostError for an unknown name, and ConnectError
    with the system's reason for the last address if there is no connection.
    """
    place = f"{host} port {port}" + (f" from {local}" if local else "")
    number = port_number(port)
    candidates = _look_up(host, number)
    sources = None if local is None else dict(reversed(_look_up(local, 0)))
    deadline = None if limit_seconds is None else time.monotonic() + limit_seconds
    reason = errno.EADDRNOTAVAIL  # no address of the host has the local address's family
    for family, address in candidates:
        if sources is not None and family not in sources:
            continue
        source = None if sources is None else sources[family]
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            reason = errno.ETIMEDOUT
            break
        try:
            return _open(family, address, source, left)
        except OSError as error:
            reason = _number_of(error)
    if reason == errno.EINVAL:
        from socketd.system.linklocal import ADVICE, is_without_interface

        used = [entry[1] for entry in candidates] + list((sources or {}).values())
        if any(map(is_without_interface, used)):
            raise ConnectError(reason, place, ADVICE)
    raise ConnectError(reason, place)


def connect_unix(path: str, limit_seconds: float | None) -> socket.socket:
    """Connect to a path, or to an abstract name: @ and no slash. Raises ConnectError."""
    name = path.replace("@", "\0", 1) if path.startswith("@") and "/" not in path else path
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if limit_seconds is not None:
            import struct

            # With a full queue a non-blocking connect fails at once, and a blocking one waits.
            limit = struct.pack("@ll", int(limit_seconds), int(limit_seconds % 1 * 1e6) or 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        connection.connect(name)
    except BlockingIOError:
        connection.close()
        raise ConnectError(errno.ETIMEDOUT, path) from None
    except OSError as error:
        connection.close()
        raise ConnectError(_number_of(error), path) from error
    return connection


def wait_for_server(
    connect: "Callable[[], socket.socket]", on_first_refusal: "Callable[[ConnectError], None]"
) -> socket.socket:
    """Try again until there is a connection. Raises ConnectError if waiting cannot help."""
    pause_seconds = _FIRST_PAUSE_SECONDS
    has_told = False
    while True:
        try:
            return connect()
        except ConnectError as error:
            if error.number not in _NOT_YET:
                raise
            if not has_told:
                on_first_refusal(error)
                has_told = True
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.5, _LONGEST_PAUSE_SECONDS)


def port_number(text: str) -> int:
    """Return the number of a port, or of a service's name.

    Raises UsageError for a number out of range, UnknownServiceError for an unknown name.
    """
    if text.isascii() and text.lstrip("-").isdecimal():
        is_short = text.isdecimal() and len(text) <= _MOST_DIGITS
        if not is_short or not 1 <= int(text) <= _HIGHEST_PORT:
            raise UsageError(f"port {text} is out of range: 1 to {_HIGHEST_PORT}")
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, UnicodeError):
        raise UnknownServiceError(
            f"unknown service {text!r}: give a port number or a name of /etc/services"
        ) from None


def port_name(number: int) -> str | None:
    """Return the name of the service on a port, if it has one."""
    try:
        return socket.getservbyport(number, "tcp")
    except OSError:
        return None


def _look_up(host: str, port: int) -> list[Candidate]:
    """Return families and addresses, in this machine's order of preference."""
    # For text Python would load the idna codec, whose tables cost more than all our modules.
    name = host.encode() if host.isascii() else host
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnknownHostError(f"unknown host {host}") from None
    return [(int(entry[0]), entry[4]) for entry in found]  # type: ignore[misc]  # typeshed: or bytes


def _open(
    family: int, address: tuple[str, int], source: tuple[str, int] | None, limit: float | None
) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        if source is not None:
            connection.bind(source)
        connection.settimeout(limit)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _number_of(error: OSError) -> int:
    """Return the errno, also for the two errors that Python raises without one."""
    if isinstance(error, TimeoutError):
        return errno.ETIMEDOUT
    return error.errno or errno.ENAMETOOLONG  # "AF_UNIX path too long"
