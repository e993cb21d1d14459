"""One application behind one web server: by SCGI, FastCGI, fcgiwrap, and ours of that name.

Owns the configuration of the web server: the files that we ship, in which the path of the
application stands for that of a folder. The addresses of all are paths of UNIX sockets, so
that a request looks the same wherever it goes. Must not know an application by name.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from harness.clients import Place, connect
from harness.processes import MARK_NAME, kill_marked, marked
from harness.servers import Server
from harness.waiting import CAP_SECONDS, wait_for
from harness.webservers import CONTRIB, Answer, WebServer, ask, find_command, fitted, own_command
from web.application import Application, Installed, Request

PEER = "fcgiwrap"
OUR_PEER = "ours"  # called as that one, and found by the web server in the same way
OURS = ("scgi", "fastcgi", OUR_PEER)
_PEERS = (PEER, OUR_PEER)
WAYS = (*OURS, PEER)
SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"
_OUR_OWN = ("socketd", "socket", "fcgi2cgi")


@dataclass(frozen=True)
class Site:
    """A web server with an application behind it."""

    path: str
    server: WebServer
    backend: Server
    folder: Path

    def place(self, way: str) -> str:
        """Return where the web server listens for requests that go this way."""
        return f"{self.server.place}-{way}"

    def ask(self, way: str, request: Request) -> Answer:
        """Send a request."""
        return ask(
            self.place(way),
            self.path + request.path.format(folder=self.folder),
            method=request.method,
            body=request.body,
            headers=request.headers,
        )

    def programs(self) -> list[str]:
        """Return the names of the processes that belong to the application."""
        return [
            one.name
            for one in marked(self.backend.mark)
            if not one.name.startswith(_OUR_OWN) and one.pid != self.backend.pid
        ]


@contextlib.contextmanager
def serving(application: Application, kind: str, *options: str) -> Iterator[Site]:
    """Run an application behind a web server; nothing of it is left at the end."""
    for command, package in ((find_command(kind), kind), (_find_fcgiwrap(), "fcgiwrap")):
        if command is None:
            pytest.skip(f"{package} is not installed")
    if not os.path.exists(application.file):
        pytest.skip(f"{application.package} is not installed")
    with (
        tempfile.TemporaryDirectory(prefix="socketd-web-") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir()
        installed = application.install(data)
        user = application.user if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        path = f"/cgi-bin/{application.name}"
        (folder / "cgi-bin").mkdir()
        (folder / path[1:]).symlink_to(installed.program)
        sockets = {way: str(folder / way) for way in WAYS}
        given = installed.environment
        call = [str(_find_fcgiwrap()), "-c", "2", "-s", f"unix:{sockets[PEER]}"]
        stack.enter_context(_wrapping(call, sockets[PEER], given, user))
        call = _our_call(sockets[OUR_PEER], installed.program, user, (*given, MARK_NAME, "PATH"))
        stack.enter_context(_wrapping(call, sockets[OUR_PEER], given, None))
        if user:
            options = (*options, f"--user={user}")
        backend = _socketd(installed, sockets, options)
        stack.callback(backend.close)
        for way in ("scgi", "fastcgi"):
            wait_for(partial(_is_listening, sockets[way]), f"it listens for {way}")
        for way in _PEERS:
            os.chmod(sockets[way], 0o666)

        def snippet(place: Place) -> str:
            parts = [_SNIPPETS[kind](way, sockets[way], f"{place}-{way}", folder) for way in WAYS]
            rest = _NGINX_AT_REST.format(place=place) if kind == "nginx" else ""
            return "\n".join([rest, *parts]).replace("/cgi-bin", path)

        server = WebServer(kind, "scgi", backend.place, snippet=snippet)
        stack.callback(server.close)
        site = Site(path, server, backend, data)
        for way in WAYS:
            wait_for(partial(_is_listening, site.place(way)), f"{kind} listens for {way}")
        yield site
        wait_for(lambda: not site.programs(), "every program has ended")


def _is_listening(path: str) -> bool:
    with contextlib.suppress(OSError), connect(path):
        return True
    return False


def _find_fcgiwrap() -> str | None:
    return shutil.which("fcgiwrap", path=f"{SAFE_PATH}:/usr/sbin")


def _socketd(installed: Installed, sockets: dict[str, str], options: tuple[str, ...]) -> Server:
    """Run ours, which gives its mark to the programs too."""
    addresses = [f"--scgi={sockets['scgi']}", f"--fcgi={sockets['fastcgi']}", "--mode=0666"]
    given = [f"--env={name}={value}" for name, value in installed.environment.items()]
    return Server(
        [*addresses, "-W", "2", *options, f"--env={MARK_NAME}", *given, str(installed.program)],
        command=(own_command("socketd"), "cgi", "--log-format", "json"),
        is_measured=False,
        is_quiet=False,
    )


def _our_call(path: str, program: Path, user: str | None, names: Iterable[str]) -> list[str]:
    """Return the call of ours, and what that becomes where it has to be another user.

    Such a user may not enter the folder in which ours is for the tests.
    """
    if user is None:
        return [own_command("fcgiwrap"), "-c", "2", "-s", f"unix:{path}"]
    given = [f"--env={name}" for name in names]
    options = ["--scripts", f"/,{program}", "--user", f"{user}:nogroup", "--mode", "0666", *given]
    return [own_command("socketd"), "cgi", *options, "--fcgi", path]


@contextlib.contextmanager
def _wrapping(
    call: list[str], path: str, environment: Mapping[str, str], user: str | None
) -> Iterator[None]:
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        call,
        env={"PATH": SAFE_PATH, **environment, MARK_NAME: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        user=user,
        group="nogroup" if user else None,
        extra_groups=[] if user else None,
    )

    try:
        wait_for(partial(_is_listening, path), f"{call[0]} listens")
        yield
    finally:
        process.terminate()  # ours has other words where its environment was
        kill_marked(mark)
        process.wait(CAP_SECONDS)


def _shipped(kind: str, way: str, backend: str, place: str) -> str:
    protocol = "scgi" if way == "scgi" else "fastcgi"
    text = (CONTRIB / kind / f"socketd-{protocol}.conf").read_text()
    return fitted(text, backend, place, patience_seconds=60)


def _nginx(way: str, backend: str, place: str, folder: Path) -> str:
    text = _shipped("nginx", way, backend, place).replace("location /cgi-bin/", "location /cgi-bin")
    if way in _PEERS:
        file = f"fastcgi_param SCRIPT_FILENAME {folder}/cgi-bin;"
        text = text.replace("socketd_fastcgi", way)
        text = text.replace("fastcgi_keep_conn on;", f"fastcgi_keep_conn on;\n{file}")
    return text.replace("root /var/www/html;", f"root {folder};")


def _lighttpd(way: str, backend: str, place: str, folder: Path) -> str:
    text = _shipped("lighttpd", way, backend, place)
    _, _, rest = text.partition(")\n")  # modules are loaded outside of a condition
    return f"""
server.modules += ( "mod_{"scgi" if way == "scgi" else "fastcgi"}" )
$SERVER["socket"] == "{place}" {{
    server.document-root = "{folder}"
{rest}
}}
"""


_SNIPPETS = {"nginx": _nginx, "lighttpd": _lighttpd}
# What lets the harness see that it listens.
_NGINX_AT_REST = "server {{ listen unix:{place}; }}"
