"""Fixtures of the tests of fronts: the wrapper, servers, programs."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness import scgi
from harness.native import build_variant
from harness.servers import Server
from socketd.system.products import is_built

# What a program answers that shows what it has been given.
SHOW = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
env -0 | tr '\\0\\n' '\\n ' | grep -v -e '^PWD=' -e '^OLDPWD=' -e '^SHLVL=' -e '^_=' | sort
echo "in $(pwd)"
echo "body $(head -c "$CONTENT_LENGTH")"
"""

HERE = ("-B", "127.0.0.1", "-s", "0")
Start = Callable[..., Server]
Script = Callable[..., str]


def answered(*command: str, **variables: str) -> str:
    """Return the answer of a wrapper to a request with these variables."""
    done = subprocess.run(
        command,
        input=scgi.request(**variables),
        capture_output=True,
        check=False,
        timeout=30,
    )
    return done.stdout.decode()


@pytest.fixture(scope="session")
def scgi2cgi(native_build: str) -> str:
    """Return the wrapper as shipped, or as one that checks its own memory."""
    names = {"SCGI": "scgi2cgi", "FCGI": "fcgi2cgi"}
    folder = build_variant(native_build, "wrappers", "sanitize-wrappers", **names)
    return str(folder / "scgi2cgi")


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Return a function that writes an executable script and returns its path."""

    def write(text: str = SHOW, name: str = "show.cgi", mode: int = 0o755) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers with an SCGI front; they must leave nothing behind."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    servers: list[Server] = []

    def start_server(
        *arguments: str, is_quiet: bool = True, where: Sequence[str] = HERE, **environment: str
    ) -> Server:
        server = Server(
            ["--front", "scgi", "-W", "2", *where, *arguments],
            environment=environment,
            is_quiet=is_quiet,
            is_measured=False,
        )
        servers.append(server)
        return server

    with contextlib.ExitStack() as stack:
        yield start_server
        for server in servers:
            stack.callback(server.close)
