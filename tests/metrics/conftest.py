"""Fixtures: the program behind a socket, as `[metrics]` runs it, and a state for it to tell."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.controls import ControlSocket, controlled, example
from harness.servers import Server
from harness.supervisors import Supervisor, supervising
from metrics.serving import serve


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, ControlSocket]]:
    """Serve one for all tests of a module: each copy of it answers one request."""
    path = tmp_path_factory.mktemp("control") / "control"
    with controlled(path) as control:
        server = serve(path)
        try:
            yield server, control
        finally:
            server.close()


@pytest.fixture
def control(running: tuple[Server, ControlSocket]) -> ControlSocket:
    """Return the control socket that is asked, with the example as its state."""
    socket = running[1]
    socket.document, socket.raw = example(), None
    return socket


@pytest.fixture
def metrics(running: tuple[Server, ControlSocket], control: ControlSocket) -> Server:
    """Return the server that answers."""
    assert control is running[1]
    return running[0]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[[str], Supervisor]]:
    """Start supervisors of a text."""
    with supervising(tmp_path) as start:
        yield start
