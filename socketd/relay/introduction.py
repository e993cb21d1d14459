"""What a client says by the PROXY protocol before anything else: for whose connection it stands.

Owns the bytes, for the two ends of a connection of our own. Must not know who asked for them.

Client mode imports this only when it is needed, and of socket only the part in C.
"""

import _socket as socket

VERSIONS = ("1", "2")
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL = b"\x20\0\0\0"
_PROXY = b"\x21"
_TCP4 = b"\x11"
_TCP6 = b"\x21"


def introduction(connection: socket.socket, version: str) -> bytes:
    """Return the header with both ends of a connection, or with none of a UNIX socket's.

    Raises OSError if the connection is gone.
    """
    is_line = version == VERSIONS[0]
    if connection.family == socket.AF_UNIX:
        return b"PROXY UNKNOWN\r\n" if is_line else _SIGNATURE + _LOCAL
    ends = [connection.getsockname()[:2], connection.getpeername()[:2]]
    hosts = [host.partition("%")[0] for host, _ in ends]
    ports = [port for _, port in ends]
    is_ipv4 = connection.family == socket.AF_INET
    if is_line:
        kind = "TCP4" if is_ipv4 else "TCP6"
        return f"PROXY {kind} {hosts[0]} {hosts[1]} {ports[0]} {ports[1]}\r\n".encode()
    packed = [socket.inet_pton(connection.family, host) for host in hosts]
    content = b"".join([*packed, *(port.to_bytes(2, "big") for port in ports)])
    kinds = _PROXY + (_TCP4 if is_ipv4 else _TCP6)
    return _SIGNATURE + kinds + len(content).to_bytes(2, "big") + content
