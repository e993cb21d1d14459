"""Fixtures of the tests that run `socketd run`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.supervisors import Supervisor, supervising
from socketd.system.products import is_built


@pytest.fixture(params=["native", "python"])
def worker_kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of worker in turn: the contract is one."""
    kind = str(request.param)
    if kind == "native" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    return kind


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """Start supervisors of a text; they are stopped at the end and must leave nothing behind."""
    with supervising(tmp_path) as start:
        yield start
