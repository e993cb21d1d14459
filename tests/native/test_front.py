"""A worker of the native template that takes requests off its connections."""

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import scgi
from socketd.programs.cgi import Folders, Front
from socketd.workers.layout import SlotState

from .fake_master import FakeMaster


def start(
    master: FakeMaster, listener: socket.socket, program: Sequence[str], root: str | None = None
) -> None:
    """Start the template with a front and one worker."""
    master.start(listener, program, front=Front(10.0, Folders(root) if root else None))
    master.spawn(0)


def ask(listener: socket.socket, whole: bytes) -> bytes:
    """Return the answer to a request."""
    return scgi.ask(listener.getsockname(), whole)


@pytest.mark.shipped
@pytest.mark.parametrize("body", [b"", b"the body"])
def test_program_gets_its_request(master: FakeMaster, listener: socket.socket, body: bytes) -> None:
    """Its environment is the template's and the request's, with nothing of the connection."""
    start(master, listener, ("/bin/sh", "sh", "-c", "env; head -c $CONTENT_LENGTH; echo ."))

    answer = ask(listener, scgi.request(body, REMOTE_ADDR="192.0.2.7")).decode()

    lines = answer.splitlines()
    assert "KEPT=as it was" in lines
    assert "REMOTE_ADDR=192.0.2.7" in lines
    assert "TCPREMOTEIP" not in answer
    assert lines[-1] == f"{body.decode()}."
    assert master.wait_worker_exit(0) == 0


def test_refusal_is_an_answer_and_a_status(master: FakeMaster, listener: socket.socket) -> None:
    """The worker leaves with 65, and no failure is on its record."""
    start(master, listener, ("/bin/cat", "cat"))

    assert ask(listener, b"GET / HTTP/1.0\r\n\r\n........").startswith(b"Status: 400 ")
    assert master.wait_worker_exit(0) == 65
    assert master.board.state(0) == SlotState.ACCEPTED
    assert master.board.record(0).step == 0


def test_request_chooses_its_program(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """With a root there is no other program, and what cannot be run is an answer."""
    program = tmp_path / "here"
    program.write_text('echo "$SCRIPT_NAME in $(pwd)"\n')
    program.chmod(0o755)
    start(master, listener, (str(tmp_path), str(tmp_path)), root=str(tmp_path))
    master.spawn(1)

    assert ask(listener, scgi.request(PATH_INFO="/here/x")) == b"/here in %s\n" % bytes(tmp_path)
    assert ask(listener, scgi.request(PATH_INFO="/there")).startswith(b"Status: 404 ")
    assert sorted(master.wait_worker_exit(number) for number in (0, 1)) == [0, 65]
