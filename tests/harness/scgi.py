"""SCGI requests, as a web server writes them."""

import socket

from harness.clients import Place, connect, read_all


def head(variables: dict[str, str]) -> bytes:
    """Return a netstring of variables, in their order and as they are."""
    content = b"".join(f"{name}\0{value}\0".encode() for name, value in variables.items())
    return b"%d:%s," % (len(content), content)


def request(body: bytes = b"", /, **variables: str) -> bytes:
    """Return a whole request."""
    return head({"CONTENT_LENGTH": str(len(body)), "SCGI": "1", **variables}) + body


# A request that every front refuses: it says twice, and differently, where it ends.
REFUSED = b"41:CONTENT_LENGTH\x000\0SCGI\x001\0CONTENT_LENGTH\x001\0,"


def ask(place: Place, whole: bytes) -> bytes:
    """Send a request and return the answer; the sending side stays open, as a web server's does."""
    with connect(place) as connection:
        connection.sendall(whole)
        return read_all(connection)


def read_some(connection: socket.socket, size: int) -> bytes:
    """Read exactly so many bytes."""
    found = b""
    while len(found) < size:
        piece = connection.recv(size - len(found))
        assert piece, f"the connection ends after {found!r}"
        found += piece
    return found
