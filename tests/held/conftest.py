"""Fixtures of the tests that hold programs."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.sanitized import ADDRESSES, IS_WANTED, Sanitized
from harness.servers import Server
from socketd.system.products import is_built

ON_A_SHORTCUT = pytest.mark.skipif(
    os.environ.get("SOCKETD_PLAIN") == "1", reason="shortcuts are left out"
)
Start = Callable[..., Server]
Compile = Callable[..., str]


@pytest.fixture
def start(sanitize: Callable[[str], Sanitized]) -> Iterator[Start]:
    """Start servers at a level of --ready; they must leave nothing behind."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    servers: list[Server] = []

    def start_server(
        level: str,
        program: str,
        *more: str,
        is_quiet: bool = True,
        prefix: Sequence[str] = (),
        **environment: str,
    ) -> Server:
        arguments = ["--log-level", "debug", "--ready", level, "-p", program]
        arguments += ["-W", "2", "-B", "127.0.0.1", "-s", "0", *more]
        if IS_WANTED:
            sanitized = sanitize(ADDRESSES)
            server = sanitized.serve(arguments, environment, list(prefix), is_quiet=is_quiet)
        else:
            # A measured interpreter would hold what it is measured with.
            server = Server(
                arguments, environment, list(prefix), is_quiet=is_quiet, is_measured=False
            )
        servers.append(server)
        return server

    with contextlib.ExitStack() as stack:
        yield start_server
        for server in servers:
            stack.callback(server.close)


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Return a function that compiles a C program and returns its path."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("programs")

    def compile_program(text: str, *flags: str, by: str = compiler) -> str:
        number = len(list(folder.iterdir()))
        source, product = folder / f"{number}.c", folder / f"program{number}"
        source.write_text(text)
        command = [by, "-D_GNU_SOURCE", "-O1", "-o", str(product), str(source), *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "cannot find -lc" in done.stderr:
            pytest.skip("no static libc")
        if missing := re.search(r"fatal error: (bsd|gnutls|nss)\S+: No such file", done.stderr):
            pytest.skip(f"the headers of lib{missing[1]} are not installed")

        assert done.returncode == 0, done.stderr

        return str(product)

    return compile_program


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes an executable script and returns its path."""

    def write(text: str, name: str = "script") -> str:
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
        return shlex.quote(str(path))

    return write


def ready(server: Server) -> str:
    """Return the level at which the first template of a server is held."""
    return str(server.wait_event("template_started")["ready"])


def reason(server: Server) -> str:
    """Return why a server had to take a lesser level."""
    return str(server.wait_event("template_fell_back")["reason"])


def reason_at_load(server: Server) -> str:
    """Return why a server had to take `load`, where its program repeats a line at its end."""
    assert exchange(server.place, b"a\n").endswith(b"a\n")
    why = reason(server)
    assert ready(server) == "load"
    return why
