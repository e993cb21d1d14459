"""Servers that have no file have a control socket if their command line says where."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.servers import Server, run_socket
from harness.supervisors import SOCKETD, run_socketd
from harness.waiting import wait_for
from socketd.control.client import state_of
from socketd.system.products import is_built

CAT = ["-p", "cat", "-B", "127.0.0.1"]


@pytest.fixture
def control(tmp_path: Path) -> Iterator[str]:
    """Return a path, which is free again at the end."""
    yield str(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_server_of_socket_tells_what_it_does(control: str) -> None:
    """It is asked and told by the path; it has nothing to reload, and stops when it is told to."""
    server = Server(["-W", "2", "--control", control, *CAT, "-s", "0"])
    try:
        assert exchange(server.place, b"x") == b"x"
        wait_for(
            lambda: state_of(control).services[0].listeners[0].connections.closed["ok"] == 1,
            "it is counted",
        )
        assert state_of(control).server.file is None
        assert os.stat(control).st_mode & 0o777 == 0o600
        for words in (["reload"], ["reexec"]):
            outcome = run_socketd(*words, "--control", control)
            assert outcome.status == 15
            assert outcome.stderr.startswith("socketd: this server ")
        assert run_socketd("size", "socket", "--min", "3", "--control", control).status == 0
        assert run_socketd("stop", "--control", control).status == 0
        assert server.wait() == 0
    finally:
        server.close()


def test_server_of_cgi_keeps_its_socket(control: str, tmp_path: Path) -> None:
    """A reload and a re-exec leave it where the command line has it."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    command = (SOCKETD, "cgi", "--log-format", "json")
    server = Server(["--scgi", str(tmp_path / "s"), "--control", control, "cat"], command=command)
    try:
        server.wait_event("service_ready")
        for word in ("reload", "reexec"):
            assert run_socketd(word, "--control", control).status == 0
            assert state_of(control).server.control == control
        assert run_socketd("status", "--control", control).status == 0
    finally:
        server.close()


def test_path_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    """A server that was told where its socket is does not start without it; a client has none."""
    path = str(tmp_path / "missing" / "c")
    outcome = run_socket("--control", path, *CAT, "-s", "0")
    assert outcome.status == 1
    assert "its directory does not exist" in outcome.stderr
    outcome = run_socket("--control", path, "127.0.0.1", "9")
    assert outcome.status == 15
    assert "--control needs -s and -p" in outcome.stderr
