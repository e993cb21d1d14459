"""Our command `fcgiwrap`, and the program of that name, each behind a socket of its own."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.commands import Command
from harness.fastcgi import Answer, Peer, request
from harness.waiting import wait_for
from socketd.system.products import is_built

OURS = str(Path(sys.executable).parent / "fcgiwrap")
THEIRS = "/usr/sbin/fcgiwrap"
ROOT = Path(__file__).parents[2]


@dataclass
class Wrap:
    """One of both, running."""

    place: Path
    command: Command

    def ask(self, body: bytes = b"", /, **params: str) -> Answer:
        """Return the answer to a request, on a connection of its own."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30.0)
            wait_for(lambda: self._connect(connection), f"{self.place} is served")
            peer = Peer(connection)
            length = {"CONTENT_LENGTH": str(len(body))} if body else {}
            peer.send(request({"REQUEST_METHOD": "GET", **length, **params}, body))
            return peer.read_answer()

    def _connect(self, connection: socket.socket) -> bool:
        try:
            connection.connect(str(self.place))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True


@contextlib.contextmanager
def running(
    executable: str, place: Path, *options: str, cwd: Path | None = None, **environment: str
) -> Iterator[Wrap]:
    """Run one of both, at a path."""
    command = Command(
        "-s",
        f"unix:{place}",
        *options,
        executable=executable,
        cwd=cwd,
        **environment,  # type: ignore[arg-type]  # variables
    )
    try:
        yield Wrap(place, command)
        command.process.terminate()
        command.wait()
    finally:
        command.close()


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Wrap]:
    """Run ours, as Debian's unit calls it."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    with running(OURS, tmp_path / "ours.sock", "-f", cwd=tmp_path, MODE="of the server") as wrap:
        yield wrap


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Wrap]:
    """Run the other, in the same way."""
    if not os.access(THEIRS, os.X_OK):
        pytest.skip("no fcgiwrap")
    with running(THEIRS, tmp_path / "theirs.sock", "-f", cwd=tmp_path, MODE="of the server") as one:
        yield one
