"""Fixtures of the tests about who may come in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.supervisors import Supervisor, supervising
from socketd.system.products import is_built

KINDS = ("python", "fork", "load", "read", "relay")
BEFORE_MAIN = ("python", "fork", "load")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return each way to a worker in turn: the Python one, and the native one at each level."""
    if request.param != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    return str(request.param)


@pytest.fixture(params=BEFORE_MAIN)
def early(request: pytest.FixtureRequest) -> str:
    """Return each way to a worker at which nothing of the program runs before a connection."""
    if request.param != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    return str(request.param)


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """Start supervisors of a text; they are stopped at the end and must leave nothing behind."""
    with supervising(tmp_path) as start:
        yield start
