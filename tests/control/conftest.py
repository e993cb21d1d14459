"""Fixtures of the tests of the control socket: servers of a text, and where each is asked.

What each of them tells again of a listener, whatever a test does to it, is compared with what is
so now.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import portraits
from harness.supervisors import Supervisor
from socketd.system.products import is_built


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """Start servers of a text, each with its control socket beside its file."""
    supervisors: list[Supervisor] = []
    checked = (sys.executable, str(portraits.__file__))
    told_again = tmp_path / "told-again"
    told_again.touch()
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")

    def start(text: str, **more: object) -> Supervisor:
        number = len(supervisors)
        file = tmp_path / f"{number}.toml"
        file.write_text(f'control = "{control_of(tmp_path, number)}"\n{text}')
        environment = {portraits.VARIABLE: str(told_again), **more.pop("environment", {})}  # type: ignore[dict-item]  # options of Supervisor
        supervisors.append(Supervisor(file, prefix=checked, environment=environment, **more))  # type: ignore[arg-type]  # the same
        supervisors[-1].wait_ready()
        return supervisors[-1]

    yield start
    for supervisor in supervisors:
        supervisor.server.close()
    assert not [line for line in told_again.read_text().splitlines() if line != "again"]


def control_of(folder: Path, number: int = 0) -> str:
    """Return the path of the control socket of a server."""
    return str(folder / f"{number}.control")
