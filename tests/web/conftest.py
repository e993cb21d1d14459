"""CGI programs, one of ours that runs them, and a real web server in front of it."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.clients import Place
from harness.extent import by_extent
from harness.servers import Server
from harness.waiting import wait_for
from harness.webservers import HOST, KINDS, WebServer, find_command, own_command

EXAMPLES = Path(__file__).parents[2] / "examples" / "cgi"
_OURS = ("socketd-zygote", "fcgi2cgi")
_HELD = ("socketd-held", "socketd-worker", "socketd-fastcgi", "socketd-copy")
COMPLAINT = "it has gone wrong"
LARGE_BYTES = by_extent(8 << 20, 50 << 20)
_TEXT = r"Content-Type: text/plain\r\n\r\n"
_SCRIPTS = {
    "sum": f"""sum=$(head -c "$CONTENT_LENGTH" | sha256sum) && printf '{_TEXT}%s' "$sum" """,
    "large": f"printf '{_TEXT}'; yes 0123456789abcde | head -c {LARGE_BYTES}",
    "endless": f"printf '{_TEXT}'; exec yes 2>/dev/null",
    "status": r"printf 'Status: 418 Teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n' && "
    f"printf '{_TEXT}short and stout'",
    "elsewhere": r"printf 'Location: http://localhost/x\r\n\r\n'",
    "away": r"printf 'Status: 303 See Other\r\nLocation: http://localhost/x\r\n\r\n'",
    "parent": f"printf '{_TEXT}%s' $PPID",
    "silent": "exit 0",
    "mute": "exec sleep 30",
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

        So do those that have yet to become it, or to start it, and those that are held.
        """
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                folder, file = (os.readlink(f"/proc/{name}/{what}") for what in ("cwd", "exe"))
                called = Path(f"/proc/{name}/comm").read_text().strip()
                is_ours = os.path.basename(file) in _OURS or called in _HELD
                if folder == str(self.programs) and not is_ours:
                    found.append(int(name))
        return found


# Not the whole product: each server with each protocol, each of these with both listeners, and
# every way of ours to run the programs behind each protocol.
COMBINATIONS = (
    Combination("nginx", "scgi", "tcp", "front"),
    Combination("nginx", "scgi", "unix", "wrapper"),
    Combination("nginx", "fastcgi", "tcp", "wrapper"),
    Combination("nginx", "fastcgi", "unix", "command"),
    Combination("apache", "scgi", "tcp", "wrapper"),
    Combination("apache", "scgi", "unix", "command"),
    Combination("apache", "fastcgi", "tcp", "front"),
    Combination("apache", "fastcgi", "unix", "wrapper"),
    Combination("lighttpd", "scgi", "tcp", "command"),
    Combination("lighttpd", "scgi", "unix", "front"),
    Combination("lighttpd", "fastcgi", "tcp", "wrapper"),
    Combination("lighttpd", "fastcgi", "unix", "command"),
    Combination("caddy", "fastcgi", "tcp", "front"),
    Combination("caddy", "fastcgi", "unix", "wrapper"),
    Combination("haproxy", "fastcgi", "tcp", "wrapper"),
    Combination("haproxy", "fastcgi", "unix", "front"),
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


def _start_backend(one: Combination, programs: Path, folder: str) -> Server:
    """Run the programs in one of the ways that there are."""
    short = "scgi" if one.protocol == "scgi" else "fcgi"
    path = f"{folder}/socket" if one.listener == "unix" else None
    where = ["-s", path] if path else ["-B", HOST, "-s", "0"]
    if one.backend == "command":
        arguments = [f"--{short}", path or f"{HOST}:0", "--root", str(programs)]
        command = (own_command("socketd"), "cgi", "--log-format", "json")
        return Server(arguments, command=command, is_measured=False, is_quiet=False)
    if one.backend in ("front", "program"):
        what = (
            ["--root", str(programs)] if one.backend == "front" else ["-p", f"{programs}/emit-env"]
        )
        arguments = ["--front", short, *what, "-W", "4", *where]
    else:  # as it has always been done
        program = f"{own_command(f'{short}2cgi')} --root {programs}"
        arguments = [*where, "-f", "-q", "-l", "-p", program]
    return Server(arguments, is_measured=False, is_quiet=False)


@pytest.fixture(scope="session")
def webs(programs: Path) -> Iterator[Callable[[Combination], Web]]:
    """Return a function that runs each web server once; nothing of any is left at the end."""
    running: dict[Combination, Web] = {}
    with contextlib.ExitStack() as stack:

        def get(one: Combination) -> Web:
            if one not in running:
                running[one] = stack.enter_context(serving(one, programs))
            return running[one]

        yield get


@pytest.fixture(params=COMBINATIONS, ids=str)
def web(request: pytest.FixtureRequest, webs: Callable[[Combination], Web]) -> Iterator[Web]:
    """Return each web server in turn with what we ship for it; no program outlives a test."""
    served = webs(request.param)
    yield served
    wait_for(lambda: not served.running(), "every program has ended")


@contextlib.contextmanager
def serving(one: Combination, programs: Path, patience_seconds: int = 60) -> Iterator[Web]:
    """Run one of ours and a web server in front of it."""
    if find_command(one.kind) is None:
        pytest.skip(f"{KINDS[one.kind].command} is not installed")
    # not below pytest's folder, which is for one user: the web server's is another
    with tempfile.TemporaryDirectory(prefix="socketd-web-") as folder:
        os.chmod(folder, 0o755)
        backend = _start_backend(one, programs, folder)
        try:
            if one.listener == "unix":
                os.chmod(str(backend.place), 0o777)
            server = WebServer(
                one.kind, one.protocol, backend.place, patience_seconds=patience_seconds
            )
            try:
                served = Web(one, server, backend, programs)
                yield served
                wait_for(lambda: not served.running(), "every program has ended")
                assert set(backend.noise) <= {COMPLAINT}
            finally:
                server.close()
        finally:
            backend.close()
