"""Clients: one exchange, or many at once."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Iterable, Iterator

TIMEOUT_SECONDS = 30.0

Place = tuple[str, int] | str


def connect(place: Place) -> socket.socket:
    """Connect to (host, port), to a path, or to an abstract name, which begins with @."""
    if isinstance(place, str):
        place = place.replace("@", "\0", 1) if place.startswith("@") else place
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(TIMEOUT_SECONDS)
        try:
            connection.connect(place)
        except OSError:
            connection.close()
            raise
        return connection
    return socket.create_connection(place, timeout=TIMEOUT_SECONDS)


def abstract_name() -> str:
    """Return the abstract name of a UNIX socket that nobody else has."""
    return f"@socketd-test-{os.getpid()}-{os.urandom(4).hex()}"


def read_all(connection: socket.socket) -> bytes:
    """Read to the end of the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def exchange(place: Place, payload: bytes = b"") -> bytes:
    """Send a payload, shut down the sending side, return the whole reply."""
    with connect(place) as connection:
        sender = threading.Thread(target=_send, args=(connection, payload))
        sender.start()
        try:
            return read_all(connection)
        finally:
            sender.join()


def _send(connection: socket.socket, payload: bytes) -> None:
    with contextlib.suppress(OSError):  # the reader reports how the connection ended
        connection.sendall(payload)
        connection.shutdown(socket.SHUT_WR)


def exchange_at_once(place: Place, payloads: Iterable[bytes]) -> list[bytes]:
    """Open a connection for every payload at the same time; return the replies in order."""

    async def one(payload: bytes) -> bytes:
        if isinstance(place, str):
            reader, writer = await asyncio.open_unix_connection(place)
        else:
            reader, writer = await asyncio.open_connection(*place)

        async def send() -> None:
            writer.write(payload)
            await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        reply = await reader.read(-1)
        await sending
        writer.close()
        await writer.wait_closed()
        return reply

    async def everything() -> list[bytes]:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return list(await asyncio.gather(*(one(payload) for payload in payloads)))

    return asyncio.run(everything())


@contextlib.contextmanager
def dribbling(connection: socket.socket, whole: bytes) -> Iterator[None]:
    """Send a byte every few milliseconds, until the block ends or nobody takes them."""
    is_over = threading.Event()

    def send() -> None:
        with contextlib.suppress(OSError):
            for byte in whole:
                if is_over.wait(0.02):
                    return
                connection.sendall(bytes([byte]))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        is_over.set()
        sender.join()
