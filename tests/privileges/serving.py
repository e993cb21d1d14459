"""Servers of the tests about what a program may do, and how they are asked as web servers are.

Owns where they listen. Must not know what a program may.
"""

import contextlib
from collections.abc import Callable, Iterator

from harness import fastcgi, scgi
from harness.servers import Server

HERE = ("-B", "127.0.0.1", "-l", "-s", "0")


@contextlib.contextmanager
def serving() -> Iterator[Callable[..., Server]]:
    """Have a function that starts servers, which have to leave nothing behind."""
    servers: list[Server] = []

    def start(*options: str, prefix: tuple[str, ...] = (), is_quiet: bool = True) -> Server:
        server = Server(
            [*options, *HERE], is_measured=False, prefix=list(prefix), is_quiet=is_quiet
        )
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


def web_answer(server: Server, front: str, **variables: str) -> bytes:
    """Return what a program answers to a request without a body."""
    if front == "scgi":
        return scgi.ask(server.place, scgi.request(**variables))
    return fastcgi.ask(server.place, {"REQUEST_METHOD": "GET", **variables}).body
