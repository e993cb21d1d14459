"""The launch line with our SCGI wrapper, as it has always been."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness import scgi
from harness.processes import marked
from harness.servers import SOCKET, Server, clean_environment
from harness.waiting import wait_for
from socketd.programs.cgi import Folders, FrontKind, unwrap
from socketd.programs.command import Program
from socketd.system.products import is_built

from .conftest import Script

pytestmark = pytest.mark.slow

WRAPPER = str(Path(sys.executable).parent / "scgi2cgi")
DOCUMENT = scgi.head(
    {
        "CONTENT_LENGTH": "27",
        "SCGI": "1",
        "REQUEST_METHOD": "POST",
        "REQUEST_URI": "/deepthought",
    }
)


@pytest.fixture(autouse=True)
def built() -> None:
    """Skip where nothing native was built."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")


@pytest.mark.parametrize("more", ["", "--stderr inherit"])
def test_line_as_it_is_written_serves_in_the_background(
    script: Script, mark: str, more: str
) -> None:
    """The example of the protocol's document brings its body back, and SIGTERM ends it."""
    program = script("#!/bin/sh\nprintf '\\r\\n'; echo oops >&2; head -c $CONTENT_LENGTH\n")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pid_file = Path(program).with_name("pid")
    line = f'{SOCKET} -B 127.0.0.1 -s {port} -b -f -q -l {more} -p "{WRAPPER} {program}"'
    started = subprocess.run(
        ["sh", "-c", f"{line} --pidfile {pid_file}"],
        env=clean_environment(mark),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert started.returncode == 0
    try:
        body = b"What is the answer to life?"
        for _ in range(3):
            assert scgi.ask(("127.0.0.1", port), DOCUMENT + body) == b"\r\n" + body
    finally:
        subprocess.run(["kill", pid_file.read_text().strip()], check=True)
    wait_for(lambda: not marked(mark), "the server has ended")


@pytest.mark.parametrize(
    "form", ["plain", "with a variable", "by a shell", "elsewhere", "as a user", "through a relay"]
)
def test_every_form_of_the_line_does_the_same(script: Script, form: str) -> None:
    """Whether a worker does what the wrapper does, or the wrapper, is not to be seen."""
    program = script()
    if form == "as a user" and os.getuid() != 0:
        pytest.skip("only root can change user")
    command, more = {
        "plain": (f"{WRAPPER} {program}", []),
        "with a variable": (f"{WRAPPER} --env MODE=x {program}", []),
        "by a shell": (f"true; {WRAPPER} {program}", []),
        "elsewhere": (f"{WRAPPER} {program}", ["--directory", "/"]),
        "as a user": (f"{WRAPPER} {program}", ["--user", "root"]),
        "through a relay": (f"{WRAPPER} {program}", ["-r"]),
    }[form]
    if form == "through a relay":
        more = ["--worker", "python"]
    server = Server(["-f", "-l", *more, "-p", command, "-B", "127.0.0.1", "-s", "0"])
    with contextlib.closing(server):
        answer = scgi.ask(server.place, scgi.request(b"body", HTTP_A="b")).decode()
        lines = answer.replace("\r\n", "\n").splitlines()
        refused = scgi.ask(server.place, scgi.REFUSED)

    assert lines[:3] == ["Content-Type: text/plain", "", "CONTENT_LENGTH=4"]
    assert "HOME=" not in answer
    assert ("MODE=x" in lines) == (form == "with a variable")
    assert lines[-2:] == [f"in {Path(program).parent}", "body body"]
    assert refused.startswith(b"Status: 400 ")


def test_call_of_the_wrapper_is_seen_through(script: Script, tmp_path: Path) -> None:
    """A program with its arguments, or a folder; what else there may be is left to the wrapper."""
    program = script()

    def call(*arguments: str, path: str = WRAPPER) -> Program | Folders | None:
        found = unwrap(Program(path, ("scgi2cgi", *arguments)))
        fcgi = path.replace("scgi2cgi", "fcgi2cgi")
        other = unwrap(Program(fcgi, ("fcgi2cgi", *arguments)))
        if found is None:
            assert other is None
            return None
        assert other == (FrontKind.FCGI, found[1])
        assert found[0] is FrontKind.SCGI
        return found[1]

    assert call(program, "-a", "b") == Program(program, (program, "-a", "b"))
    assert call("--root", str(tmp_path)) == Folders(str(tmp_path))
    assert call("--scripts", "/srv/a,/srv/b") == Folders(scripts=("/srv/a", "/srv/b"))
    assert call("--scripts", "/srv/a,b") is None
    assert call("--root", "/nowhere") is None
    assert call("--root", "tmp") is None
    assert call("--env", "A=b", program) is None
    assert call("/nowhere/program") is None
    assert call() is None
    assert call(program, path=shutil.which("cat") or "/bin/cat") is None
