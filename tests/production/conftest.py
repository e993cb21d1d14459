"""Fixtures of the tests that run `socketd run`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.supervisors import Supervisor
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
    supervisors: list[Supervisor] = []

    def start(text: str, *options: str, **more: object) -> Supervisor:
        file = tmp_path / f"services-{len(supervisors)}.toml"
        file.write_text(text)
        supervisors.append(Supervisor(file, *options, **more))  # type: ignore[arg-type]  # options of Supervisor
        return supervisors[-1]

    yield start
    for supervisor in supervisors:
        supervisor.server.close()
