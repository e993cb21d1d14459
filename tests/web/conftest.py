"""CGI programs, one of ours that runs them, and a real web server in front of it."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.clients import Place
from harness.servers import Server
from harness.waiting import wait_for
from harness.webservers import HOST, KINDS, WebServer, find_command, own_command

EXAMPLES = Path(__file__).parents[2] / "examples" / "cgi"
COMPLAINT = "it has gone wrong"
_TEXT = r"Content-Type: text/plain\r\n\r\n"
# Each reads its body before it answers: nginx stops sending once an answer has begun.
_SCRIPTS = {
    "sum": f"""sum=$(head -c "$CONTENT_LENGTH" | sha256sum) && printf '{_TEXT}%s' "$sum" """,
    "large": f"printf '{_TEXT}'; yes 0123456789abcde | head -c 52428800",
    "endless": f"printf '{_TEXT}'; exec yes 2>/dev/null",
    "status": r"printf 'Status: 418 Teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n' && "
    f"printf '{_TEXT}short and stout'",
    "away": r"printf 'Status: 303 See Other\r\nLocation: http://localhost/x\r\n\r\n'",
    "silent": "exit 0",
    "crash": f"echo {COMPLAINT} >&2; kill -SEGV $$",
    "junk": "echo nothing like a header; echo; echo more",
}


@dataclass(frozen=True)
class Combination:
    """One way from a client to a program."""

    kind: str
    protocol: str
    listener: str
    backend: str

    def __str__(self) -> str:
        """Name it in the list of tests."""
        return f"{self.kind}-{self.protocol}-{self.listener}-{self.backend}"


@dataclass(frozen=True)
class Web:
    """A web server, and ours behind it."""

    way: Combination
    server: WebServer
    backend: Server
    programs: Path

    @property
    def kind(self) -> str:
        """Return the web server's name."""
        return self.way.kind

    @property
    def is_apache_scgi(self) -> bool:
        """Tell whether this is the one that sends less than the others."""
        return (self.way.kind, self.way.protocol) == ("apache", "scgi")

    @property
    def place(self) -> Place:
        """Return where the web server listens."""
        return self.server.place

    def running(self) -> list[int]:
        """Return the processes of CGI programs: each runs in the folder of its program.

        So do workers that wait for a connection, but those are not the program yet.
        """
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                folder, file = (os.readlink(f"/proc/{name}/{what}") for what in ("cwd", "exe"))
                if folder == str(self.programs) and os.path.basename(file) != "socketd-zygote":
                    found.append(int(name))
        return found


# Not the whole product: each server with each protocol, each of these with both listeners, and
# every way of ours to run the programs behind each protocol.
COMBINATIONS = (
    Combination("nginx", "scgi", "tcp", "front"),
    Combination("nginx", "scgi", "unix", "wrapper"),
    Combination("apache", "scgi", "tcp", "wrapper"),
    Combination("apache", "scgi", "unix", "front"),
    Combination("lighttpd", "scgi", "tcp", "front"),
    Combination("lighttpd", "scgi", "unix", "wrapper"),
)
ONE_OF_EACH = tuple({(one.kind, one.protocol): one for one in COMBINATIONS}.values())


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of CGI programs, and one file in it that is none."""
    folder = tmp_path_factory.mktemp("cgi-bin")
    for name, script in _SCRIPTS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    shutil.copy(EXAMPLES / "emit-env.cgi", folder / "emit-env")
    (folder / "letter").write_text("no program\n")
    return folder


def _arguments(one: Combination, programs: Path, where: list[str]) -> list[str]:
    short = "scgi" if one.protocol == "scgi" else "fcgi"
    if one.backend == "front":
        return ["--front", short, "--root", str(programs), "-W", "4", *where]
    return ["-f", "-q", "-l", "-p", f"{own_command(f'{short}2cgi')} --root {programs}", *where]


@pytest.fixture(scope="module", params=COMBINATIONS, ids=str)
def web(
    request: pytest.FixtureRequest, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Web]:
    """Run each web server with what we ship for it; nothing of it is left at the end."""
    one: Combination = request.param
    if find_command(one.kind) is None:
        pytest.skip(f"{KINDS[one.kind].command} is not installed")
    folder = tmp_path_factory.mktemp("backend")
    is_unix = one.listener == "unix"
    where = ["-s", f"{folder}/socket"] if is_unix else ["-B", HOST, "-s", "0"]
    backend = Server(_arguments(one, programs, where), is_measured=False, is_quiet=False)
    try:
        if is_unix:
            _open_to_all(backend.place)
        server = WebServer(one.kind, one.protocol, backend.place)
        try:
            served = Web(one, server, backend, programs)
            yield served
            wait_for(lambda: not served.running(), "every program has ended")
            assert set(backend.noise) <= {COMPLAINT}
        finally:
            server.close()
    finally:
        backend.close()


def _open_to_all(place: Place) -> None:
    """Let the web server's user reach a UNIX socket, below the folders of the tests' user."""
    assert isinstance(place, str)
    os.chmod(place, 0o777)
    folder = Path(place).parent
    while folder.stat().st_uid == os.geteuid() and folder != folder.parent:
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o001)
        folder = folder.parent
