"""Fixtures of the tests that run real servers."""

from collections.abc import Callable, Iterator

import pytest

from harness.servers import Server


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that are stopped at the end, and must leave nothing behind."""
    servers: list[Server] = []

    def start(*arguments: str, **options: object) -> Server:
        server = Server(list(arguments), **options)  # type: ignore[arg-type]  # options of Server
        servers.append(server)
        return server

    yield start
    errors = []
    for server in servers:
        try:
            server.close()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise errors[0]
