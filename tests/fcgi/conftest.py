"""The build of fcgi2cgi, and connections to it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.native import build_variant

from .wrappers import Wrapper

Start = Callable[..., Wrapper]
Script = Callable[[str], str]


@pytest.fixture(scope="session")
def fcgi2cgi(native_build: str) -> Path:
    """Return the program as shipped, or as one that checks its own memory."""
    names = {"SCGI": "scgi2cgi", "FCGI": "fcgi2cgi"}
    return build_variant(native_build, "wrappers", "sanitize-wrappers", **names) / "fcgi2cgi"


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
