"""Asking a control socket as anybody can: by bytes."""

import socket
from collections.abc import Callable
from pathlib import Path

from harness.supervisors import Supervisor
from harness.waiting import CAP_SECONDS, wait_for
from socketd.control.client import Connection, state_of
from socketd.control.document import Listening, State


def path_of(server: Supervisor) -> str:
    """Return the path of the control socket of a server."""
    return str(server.file.with_suffix(".control"))


def state(server: Supervisor) -> State:
    """Return the state of a server."""
    return state_of(path_of(server))


def listening(server: Supervisor, service: str = "s", position: int = 0) -> Listening:
    """Return what one listener of a server does."""
    (found,) = [one for one in state(server).services if one.name == service]
    return found.listeners[position]


def asked(server: Supervisor) -> Connection:
    """Return a connection to the control socket of a server."""
    return Connection(path_of(server))


def connected(path: str | Path) -> socket.socket:
    """Return a bare connection."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.settimeout(CAP_SECONDS)
    return connection


def say(path: str | Path, words: bytes, *, is_all: bool = True) -> bytes:
    """Say something, and return all that comes until the server closes the connection."""
    with connected(path) as connection:
        connection.sendall(words)
        if is_all:
            connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)


def when(
    server: Supervisor,
    is_so: Callable[[Listening], object],
    service: str = "s",
    position: int = 0,
) -> Listening:
    """Wait until something is so of a listener, and return what it does then."""
    found: list[Listening] = []

    def look() -> bool:
        found[:] = [listening(server, service, position)]
        return bool(is_so(found[0]))

    try:
        wait_for(look, f"listener {position} of {service} is as wanted")
    except AssertionError as error:
        raise AssertionError(f"{error}: {found}") from None
    return found[0]


def closed(count: int) -> Callable[[Listening], bool]:
    """Return what is so when so many connections are over."""
    return lambda one: sum(one.connections.closed.values()) == count
