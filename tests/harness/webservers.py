"""A real web server in front of ours: its configuration, its foreground process, its log.

Of a configuration that we ship nothing is changed but addresses, and how long it waits: what a test
shows of it holds for the file as it stands.
"""

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.clients import TIMEOUT_SECONDS, Place, connect
from harness.commands import listening_port
from harness.processes import ProcessView, all_processes
from harness.servers import clean_environment
from harness.waiting import CAP_SECONDS, wait_for

CONTRIB = Path(__file__).parents[2] / "contrib"
HOST = "127.0.0.1"
_PORT_ATTEMPTS = 5
_USER = "nobody"


@dataclass(frozen=True)
class Site:
    """Where one web server finds everything."""

    folder: Path
    snippet: Path
    place: Place

    @property
    def log(self) -> Path:
        """Return the file that the server logs its errors to."""
        return self.folder / "error.log"


def _nginx(site: Site) -> str:
    paths = "\n".join(
        f"    {name}_temp_path {site.folder}/{name};"
        for name in ("client_body", "scgi", "fastcgi", "proxy", "uwsgi")
    )
    return f"""
daemon off;
worker_processes 1;
pid {site.folder}/pid;
error_log {site.log} info;
events {{ worker_connections 512; }}
http {{
    access_log off;
{paths}
    include {site.snippet};
}}
"""


NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


# It carries bytes of any protocol.
def _nginx_stream(site: Site) -> str:
    return f"""
load_module {NGINX_STREAM};
daemon off;
worker_processes 1;
pid {site.folder}/pid;
error_log {site.log} info;
events {{ worker_connections 512; }}
stream {{
    include {site.snippet};
}}
"""


# What Debian's package enables that our files need, and what they name.
_APACHE_MODULES = (
    "mpm_event",
    "alias",
    "authz_core",
    "setenvif",
    "proxy",
    "proxy_scgi",
    "proxy_fcgi",
)


def _apache(site: Site) -> str:
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
        for name in _APACHE_MODULES
    )
    return f"""
ServerRoot {site.folder}
ServerName localhost
Listen {HOST}:{site.place[1]}
PidFile {site.folder}/pid
DefaultRuntimeDir {site.folder}
ErrorLog {site.log}
LogLevel info
{modules}
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
DocumentRoot {site.folder}
Include {site.snippet}
"""


def _lighttpd(site: Site) -> str:
    where = (
        f'server.bind = "{site.place}"'
        if isinstance(site.place, str)
        else f'server.bind = "{HOST}"\nserver.port = {site.place[1]}'
    )
    return f"""
{where}
server.document-root = "{site.folder}"
server.errorlog = "{site.log}"
server.pid-file = "{site.folder}/pid"
server.upload-dirs = ( "{site.folder}" )
include "{site.snippet}"
"""


# It does not include files: it takes several.
def _haproxy(_: Site) -> str:
    return """
global
    log stderr format raw local0
defaults
    mode http
    log global
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""


def _caddy(site: Site) -> str:
    return f"""
{{
    admin off
    auto_https off
    storage file_system {site.folder}
}}
import {site.snippet}
"""


@dataclass(frozen=True)
class Kind:
    """A web server."""

    command: str
    arguments: Callable[[Site, Path], list[str]]
    configuration: Callable[[Site], str]
    has_unix: bool
    """Whether it can listen on a UNIX socket, which nobody else can take."""


KINDS = {
    "nginx": Kind(
        "nginx",
        lambda site, file: ["-e", str(site.log), "-c", str(file)],
        _nginx,
        has_unix=True,
    ),
    "nginx-stream": Kind(
        "nginx",
        lambda site, file: ["-e", str(site.log), "-c", str(file)],
        _nginx_stream,
        has_unix=True,
    ),
    "apache": Kind(
        "apache2",
        lambda _, file: ["-D", "FOREGROUND", "-f", str(file)],
        _apache,
        has_unix=False,
    ),
    "lighttpd": Kind(
        "lighttpd",
        lambda _, file: ["-D", "-f", str(file)],
        _lighttpd,
        has_unix=True,
    ),
    "haproxy": Kind(
        "haproxy",
        lambda site, file: ["-db", "-f", str(file), "-f", str(site.snippet)],
        _haproxy,
        has_unix=True,
    ),
    "caddy": Kind(
        "caddy",
        lambda _, file: ["run", "--adapter", "caddyfile", "--config", str(file)],
        _caddy,
        has_unix=False,
    ),
}


# Those that we ship files for, and the protocols.
SHIPPED = {
    "apache": ("fastcgi", "scgi"),
    "caddy": ("fastcgi",),
    "haproxy": ("fastcgi",),
    "lighttpd": ("fastcgi", "scgi"),
    "nginx": ("fastcgi", "scgi"),
}


def find_command(kind: str) -> str | None:
    """Return the path of a web server, None if it is not installed."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
    return shutil.which(KINDS[kind].command, path=path)


def fitted(text: str, backend: Place, place: Place, patience_seconds: int) -> str:
    """Put addresses into a file that we ship; for TCP, take the line that is a comment in it."""
    text = re.sub(r"(timeout(?: server)?[\"=> ]+)60(?!\d)", rf"\g<1>{patience_seconds}", text)
    lines = []
    for line in text.splitlines():
        fitted = line
        if isinstance(backend, str):
            fitted = re.sub(r"/run/socketd/\w+\.sock", backend, line)
        elif re.match(r"\s*# \S.*127\.0\.0\.1", line):
            fitted = re.sub(r"\b400\d\b", str(backend[1]), line.replace("# ", "", 1))
        elif "/run/socketd/" in line and not line.startswith("#"):
            continue
        lines.append(fitted)
    path, port = (place, 80) if isinstance(place, str) else ("", place[1])
    for usual, own in (
        ("listen 80;", f"listen {f'unix:{path}' if path else f'{HOST}:{port}'};"),
        ("bind :80", f"bind {f'unix@{path}' if path else f'{HOST}:{port}'}"),
        ("http://:80 {", f"http://:{port} {{\nbind {HOST}"),
    ):
        lines = [line.replace(usual, own) for line in lines]
    return "\n".join(lines) + "\n"


class WebServer:
    """A running web server with one of our files in its configuration."""

    def __init__(
        self,
        kind: str,
        protocol: str,
        backend: Place,
        *,
        is_tcp: bool = False,
        patience_seconds: int = 60,
        snippet: Callable[[Place], str] | None = None,
    ) -> None:
        command = find_command(kind)
        assert command is not None, f"{kind} is not installed"
        self.kind = kind
        self.protocol = protocol
        self._snippet = snippet or partial(self._shipped, backend, patience_seconds)
        self.folder = Path(tempfile.mkdtemp(prefix=f"socketd-{kind}-"))
        self.process: subprocess.Popen[bytes] | None = None
        try:
            for _ in range(_PORT_ATTEMPTS):
                is_unix = KINDS[kind].has_unix and not is_tcp
                self.place = str(self.folder / "http") if is_unix else (HOST, _unused_port())
                if self._start(command):
                    return
            raise AssertionError(f"{kind} does not start:\n{self.log_text()}")
        except BaseException:
            self.close()
            raise

    def _shipped(self, backend: Place, patience_seconds: int, place: Place) -> str:
        """Return the file that we ship, with addresses of the test."""
        shipped = CONTRIB / self.kind / f"socketd-{self.protocol}.conf"
        return fitted(shipped.read_text(), backend, place, patience_seconds)

    def _start(self, command: str) -> bool:
        """Start the server; False if it has ended before it listened."""
        file, snippet = self.folder / "conf", self.folder / "snippet"
        self.site = Site(self.folder, snippet, self.place)
        snippet.write_text(self._snippet(self.place))
        file.write_text(KINDS[self.kind].configuration(self.site))
        is_root = os.geteuid() == 0
        if is_root:  # not as root, which web servers do not serve as
            shutil.chown(self.folder, _USER)
        # the log first: what it complains of before it has opened its own goes there too
        with open(self.site.log, "ab") as log:
            if is_root:
                shutil.chown(self.site.log, _USER)
            self.process = subprocess.Popen(
                [command, *KINDS[self.kind].arguments(self.site, file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(uuid.uuid4().hex, is_measured=False),
                start_new_session=True,
                cwd="/",
                user=_USER if is_root else None,
                group="nogroup" if is_root else None,
                extra_groups=[] if is_root else None,
            )
        wait_for(lambda: self._has_ended() or self._is_listening(), f"{self.kind} listens")
        return not self._has_ended()

    def _has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def _is_listening(self) -> bool:
        assert self.process is not None
        if isinstance(self.place, tuple):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                return listening_port(self.process.pid) == self.place[1]
            return False
        with contextlib.suppress(OSError), connect(self.place):
            return True
        return False

    def log_text(self) -> str:
        """Return what the server has logged so far."""
        file = self.folder / "error.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def wait_logged(self, text: str) -> None:
        """Wait until a text stands in the log."""
        wait_for(lambda: text in self.log_text(), f"{text!r} in the log of {self.kind}")

    def processes(self) -> list[ProcessView]:
        """Return what there is of the server."""
        assert self.process is not None
        return [one for one in all_processes() if one.session == self.process.pid]

    def close(self) -> None:
        """Stop the server; fail if it leaves a process behind."""
        try:
            if self.process is None:
                return
            if not self._has_ended():
                self.process.send_signal(signal.SIGTERM)
            self.process.wait(CAP_SECONDS)
            wait_for(lambda: not self.processes(), f"all of {self.kind} is gone", 5.0)
        finally:
            if self.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(CAP_SECONDS)
            shutil.rmtree(self.folder)


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class _Connection(http.client.HTTPConnection):
    """A connection to a place of ours, be it a path."""

    def __init__(self, place: Place) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self.place = place

    def connect(self) -> None:
        self.sock = connect(self.place)


@dataclass(frozen=True)
class Answer:
    """What a web server has answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def variables(self) -> dict[str, str]:
        """Return the body as the environment that it lists."""
        return dict(line.split("=", 1) for line in self.body.decode().splitlines())

    def all_headers(self, name: str) -> list[str]:
        """Return the values of a header, in their order."""
        return [value for found, value in self.headers if found.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """Return the value of a header that is there once, None if it is not there."""
        values = self.all_headers(name)
        assert len(values) <= 1, f"{name} more than once: {values}"
        return values[0] if values else None


@contextlib.contextmanager
def requesting(
    place: Place,
    path: str,
    *,
    method: str = "GET",
    body: bytes | Iterator[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """Send a request; a body that comes in parts is sent chunked.

    A server may answer, and close, before it has the body.
    """
    connection = _Connection(place)
    try:
        with contextlib.suppress(BrokenPipeError):
            connection.request(method, path, body, dict(headers or {}))
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def ask(place: Place, path: str, **more: object) -> Answer:
    """Send a request and return the whole answer."""
    with requesting(place, path, **more) as response:  # type: ignore[arg-type]  # its own options
        return Answer(response.status, response.getheaders(), response.read())


def own_command(name: str) -> str:
    """Return the path of one of our commands, as it is installed for the tests."""
    return str(Path(sys.executable).parent / name)
