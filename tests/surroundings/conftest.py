"""Fixtures of the tests that run commands in odd surroundings."""

import contextlib
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.processes import kill_marked, marked
from harness.servers import SOCKET, Outcome, Server, clean_environment
from harness.supervisors import SOCKETD
from harness.waiting import CAP_SECONDS

COMMANDS = {"socket": SOCKET, "socketd": SOCKETD}
NO_PROC = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that are stopped at the end, and must leave nothing behind."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, **options: object) -> Server:
            server = Server(list(arguments), **options)  # type: ignore[arg-type]  # options of Server
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def services(tmp_path: Path) -> Path:
    """Return a file with one service that echoes."""
    file = tmp_path / "services.toml"
    file.write_text(
        f'[service.echo]\nlisten = ["unix:{tmp_path}/echo.sock"]\nprogram = "cat"\n', "utf-8"
    )
    return file


@pytest.fixture
def no_proc() -> tuple[str, ...]:
    """Return what runs a command where /proc is empty."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    if subprocess.run([*NO_PROC, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("lacks CAP_SYS_ADMIN for a mount namespace")
    return NO_PROC


@pytest.fixture
def no_directory(tmp_path: Path) -> tuple[str, ...]:
    """Return what runs a command in a directory that has been deleted."""
    steps = 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"'
    return ("sh", "-c", steps, str(tmp_path / "gone"))


def attempt(
    *command: str,
    prefix: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
) -> Outcome:
    """Run `socket` or `socketd` to its end and check that it left no process behind."""
    mark = uuid.uuid4().hex
    name, *arguments = command
    try:
        done = subprocess.run(
            [*prefix, COMMANDS[name], *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=CAP_SECONDS,
            env=clean_environment(mark) | (environment or {}),
            start_new_session=True,
            check=False,
        )
        left = marked(mark)
    finally:
        kill_marked(mark)
    assert left == [], f"left alive: {left}"
    return Outcome(done.returncode, done.stdout or "", done.stderr)


def is_one_line(text: str, program: str) -> bool:
    """Tell whether a complaint is one line that begins with the program's name."""
    return text.startswith(f"{program}: ") and text.count("\n") == 1
