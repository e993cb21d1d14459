"""Fixtures of the tests that run real servers."""

import contextlib
import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.sanitized import ADDRESSES, IS_WANTED, Sanitized
from harness.servers import Server
from socketd.system.products import is_built

KINDS = ("native", "python")
STOP_LEVEL = "stop"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with each kind of worker, and at the levels of --ready that its mark names."""
    if "worker_kind" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("ready")
        levels = mark.args if mark is not None else ()
        kinds = levels if IS_WANTED else (*KINDS, *levels)
        metafunc.parametrize("worker_kind", kinds, indirect=True)


@pytest.fixture
def worker_kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of worker in turn, and each level: the contract is one."""
    kind = str(request.param)
    if kind != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    if kind == STOP_LEVEL and shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    return kind


def stop_first(command: str, path: Path) -> str:
    """Write a script that stops itself and then becomes what a command is; return its path.

    For bash: its variables are those that its programs get. It has to be told to become a program,
    which is to be the process that has the connection.
    """
    become = "exec " if re.fullmatch(r"(?!exit |exec |echo )[\w./ -]+", command) else ""
    path.write_text(f"#!{shutil.which('bash')}\nkill -STOP $$\n{become}{command}\n")
    path.chmod(0o755)
    return str(path)


def at_level(level: str, arguments: tuple[str, ...], path: Path) -> list[str]:
    """Return the arguments of a server at a level; at `stop` a program has to stop itself."""
    changed = list(arguments)
    if level == STOP_LEVEL:
        place = changed.index("-p") + 1
        # A shell between would wait for what has to stop itself, and be the one to be held.
        become = "exec " if "always" in arguments else ""
        changed[place] = become + stop_first(changed[place], path)
    return ["--ready", f"{level}!", *changed]


@pytest.fixture
def serve(
    worker_kind: str, open_folder: Path, sanitize: Callable[[str], Sanitized]
) -> Iterator[Callable[..., Server]]:
    """Start servers that are stopped at the end, and must leave nothing behind."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, **options: object) -> Server:
            if worker_kind in KINDS:
                changed = ["--worker", worker_kind, *arguments]
            else:
                path = open_folder / f"stops-{next(numbers)}"
                changed = at_level(worker_kind, arguments, path)
            make = sanitize(ADDRESSES).serve if IS_WANTED else Server
            server = make(changed, **options)  # type: ignore[arg-type]  # options of Server
            stack.callback(server.close)
            return server

        yield start
