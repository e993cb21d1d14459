"""Fixtures of the tests that run real servers."""

from collections.abc import Callable, Iterator

import pytest

from harness.servers import Server
from socketd.template import is_built

KINDS = ("native", "python")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with each kind of worker, and at the levels of --ready that its mark names."""
    if "worker_kind" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("ready")
        levels = mark.args if mark is not None else ()
        metafunc.parametrize("worker_kind", [*KINDS, *levels], indirect=True)


@pytest.fixture
def worker_kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of worker in turn, and each level: the contract is one."""
    kind = str(request.param)
    if kind != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    return kind


@pytest.fixture
def serve(worker_kind: str) -> Iterator[Callable[..., Server]]:
    """Start servers that are stopped at the end, and must leave nothing behind."""
    servers: list[Server] = []

    def start(*arguments: str, **options: object) -> Server:
        is_level = worker_kind not in KINDS
        kind = ["--ready", f"{worker_kind}!"] if is_level else ["--worker", worker_kind]
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
