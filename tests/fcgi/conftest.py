"""The builds of fcgi2cgi, and connections to it."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .wrappers import Wrapper

NATIVE = Path(__file__).parents[2] / "native"

Start = Callable[..., Wrapper]
Script = Callable[[str], str]


def _build(target: str, folder: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    make = shutil.which("make")
    if compiler is None or make is None:
        pytest.skip("no C compiler or no make")
    product = folder / "fcgi2cgi"
    names = [f"FCGI={product}", f"SCGI={folder / 'scgi2cgi'}", f"CC={compiler}"]
    done = subprocess.run(
        [make, "-C", str(NATIVE), target, *names], capture_output=True, text=True, check=False
    )
    if "cannot find" in done.stderr and target == "sanitize-wrappers":
        pytest.skip("the C compiler has no sanitizers")

    assert done.returncode == 0, done.stderr

    return product


@pytest.fixture(scope="session", params=["wrappers", "sanitize-wrappers"])
def fcgi2cgi(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program as shipped, then as one that checks its own memory."""
    return _build(request.param, tmp_path_factory.mktemp("fcgi2cgi"))


@pytest.fixture(params=["unix", "tcp"])
def family(request: pytest.FixtureRequest) -> str:
    """Return each kind of connection in turn."""
    return str(request.param)


@pytest.fixture
def start(fcgi2cgi: Path) -> Iterator[Start]:
    """Start the program with a connection; its end is waited for, and it must leave nothing."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str, **options: object) -> Wrapper:
            wrapper = Wrapper(fcgi2cgi, *arguments, **options)  # type: ignore[arg-type]  # its options
            stack.callback(wrapper.close)
            return wrapper

        yield begin


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Write shell scripts that are CGI programs."""
    count = iter(range(100))

    def write(text: str) -> str:
        path = tmp_path / f"script-{next(count)}.cgi"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write
