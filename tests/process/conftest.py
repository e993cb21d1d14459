"""Fixtures of the tests that run real servers."""

from collections.abc import Callable, Iterator

import pytest

from harness.servers import Server
from socketd.template import is_built


@pytest.fixture(params=["native", "python"])
def worker_kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of worker in turn: the contract is one."""
    kind = str(request.param)
    if kind == "native" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    return kind


@pytest.fixture
def serve(worker_kind: str) -> Iterator[Callable[..., Server]]:
    """Start servers that are stopped at the end, and must leave nothing behind."""
    servers: list[Server] = []

    def start(*arguments: str, **options: object) -> Server:
        kind = ["--worker", worker_kind]
        server = Server([*kind, *arguments], **options)  # type: ignore[arg-type]  # options of Server
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
