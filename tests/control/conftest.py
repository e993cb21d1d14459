"""Fixtures of the tests of the control socket: servers of a text, and where each is asked."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.supervisors import Supervisor
from socketd.system.products import is_built


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """Start servers of a text, each with its control socket beside its file."""
    supervisors: list[Supervisor] = []
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")

    def start(text: str, **more: object) -> Supervisor:
        number = len(supervisors)
        file = tmp_path / f"{number}.toml"
        file.write_text(f'control = "{control_of(tmp_path, number)}"\n{text}')
        supervisors.append(Supervisor(file, **more))  # type: ignore[arg-type]  # options of Supervisor
        supervisors[-1].wait_ready()
        return supervisors[-1]

    yield start
    for supervisor in supervisors:
        supervisor.server.close()


def control_of(folder: Path, number: int = 0) -> str:
    """Return the path of the control socket of a server."""
    return str(folder / f"{number}.control")
