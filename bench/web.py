"""A web server in front of CGI backends: nginx, one location for each, and wrk to load them.

Owns nginx's configuration and the reading of wrk's answer. Must not know any backend by name.
"""

import contextlib
import http.client
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.cgi import AT_ONCE, Backend, CgiLaunch, CgiProgram, Tools, find
from bench.launch import BenchError, unused_port
from bench.processes import end_all, wait_until
from bench.servers import HOST

NEEDED = {"nginx": "nginx-light", "wrk": "wrk", "fcgiwrap": "fcgiwrap"}
_START_SECONDS = 30
_SETTLE_SECONDS = 0.5
_ERRORS = {
    "not 2xx": r"Non-2xx or 3xx responses: (\d+)",
    "connect": r"Socket errors: connect (\d+)",
    "read": r"Socket errors:.* read (\d+)",
    "write": r"Socket errors:.* write (\d+)",
    "timeout": r"Socket errors:.* timeout (\d+)",
}
_UNIT_US = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}
_PARAMETERS = {
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SERVER_PROTOCOL": "$server_protocol",
    "REQUEST_METHOD": "$request_method",
    "REQUEST_URI": "$request_uri",
    "SCRIPT_NAME": "$uri",
    "QUERY_STRING": "$query_string",
    "REMOTE_ADDR": "$remote_addr",
    "SERVER_NAME": "$server_name",
    "SERVER_PORT": "$server_port",
}


@dataclass(frozen=True, slots=True)
class WebLoad:
    """What one run of wrk saw."""

    per_second: float
    p50_us: float
    p99_us: float
    errors: dict[str, int]


@dataclass(frozen=True, slots=True)
class Web:
    """A running nginx, and what does not answer behind it."""

    port: int
    failures: dict[str, str]
    """By backend, why it is not to be measured."""
    path: str
    """What is asked for, behind the location of a backend."""


@contextlib.contextmanager
def serving_all(backends: list[Backend], program: CgiProgram, tools: Tools) -> Iterator[Web]:
    """Run backends and nginx in front of them; leave no process below this one and no file."""
    with tempfile.TemporaryDirectory(prefix="socketd-bench-") as directory:
        path = os.path.join(directory, "program")
        try:
            program.make(path)
        except (OSError, subprocess.CalledProcessError) as error:
            raise BenchError(f"cannot make {program.title}: {error}") from error
        launches = {
            one.key: CgiLaunch(tools, path, unused_port(), directory, one.key, program)
            for one in backends
        }
        try:
            for one in backends:
                launch = launches[one.key]
                for command in one.commands(launch):
                    _start(command, directory, one.key, launch.environment)
            port = unused_port()
            configuration = os.path.join(directory, "nginx.conf")
            with open(configuration, "w", encoding="utf-8") as file:
                file.write(_configuration(backends, launches, port, directory, program))
            log = os.path.join(directory, "nginx.log")
            _start(["nginx", "-e", log, "-c", configuration], directory, "nginx")
            deadline = time.monotonic() + _START_SECONDS
            failures = {
                one.key: f"it does not answer: {_tail(directory, one.key)}"
                for one in backends
                if not _comes_up(port, one.key, program, deadline)
            }
            time.sleep(_SETTLE_SECONDS)  # so that no pool is still growing
            yield Web(port, failures, program.path)
        finally:
            end_all()


def load(web: Web, key: str, seconds: int) -> WebLoad:
    """Request what one backend answers, so many at once, for a time."""
    url = f"http://{HOST}:{web.port}/{key}{web.path}?name=value"
    command = [find("wrk") or "wrk", "-t1", f"-c{AT_ONCE}", f"-d{seconds}s", "--latency", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise BenchError(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    return read_wrk(done.stdout)


def read_wrk(text: str) -> WebLoad:
    """Read what wrk has printed; raise BenchError if nothing was answered."""
    errors = {
        name: int(found[1])
        for name, pattern in _ERRORS.items()
        if (found := re.search(pattern, text)) and int(found[1])
    }
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    shares = dict(re.findall(r"(50|99)%\s+([\d.]+(?:us|ms|s|m))\b", text))
    if rate is None or float(rate[1]) == 0 or len(shares) < len(("50", "99")):
        raise BenchError(f"nothing was answered: {errors}")
    return WebLoad(float(rate[1]), _us(shares["50"]), _us(shares["99"]), errors)


def _us(text: str) -> float:
    number = text.rstrip("mus")
    return float(number) * _UNIT_US[text[len(number) :]]


def _configuration(
    backends: list[Backend],
    launches: dict[str, CgiLaunch],
    port: int,
    directory: str,
    program: CgiProgram,
) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "".join(
        f"{name}_temp_path {directory}/{name};\n"
        for name in ("client_body", "fastcgi", "scgi", "proxy", "uwsgi")
    )
    upstreams, locations = [], []
    for one in backends:
        launch = launches[one.key]
        keep = f"keepalive {2 * AT_ONCE};" if one.is_kept else ""
        upstreams.append(f"upstream {one.key} {{ server {HOST}:{launch.port}; {keep} }}")
        parameters = {**_PARAMETERS, "SCRIPT_FILENAME": launch.program, "DOCUMENT_ROOT": directory}
        if program.has_path:
            parameters["SCRIPT_NAME"] = "$fastcgi_script_name"
            parameters["PATH_INFO"] = "$fastcgi_path_info"
            parameters["CONTENT_TYPE"] = "$content_type"
        if one.protocol == "scgi":
            parameters["SCGI"] = "1"
        else:
            parameters["CONTENT_LENGTH"] = "$content_length"
        lines = [f"{one.protocol}_param {name} {value};" for name, value in parameters.items()]
        lines += [f"{one.protocol}_pass {one.key};", "fastcgi_keep_conn on;" if one.is_kept else ""]
        if program.has_path:
            lines.append(f"fastcgi_split_path_info ^(/{one.key})(/?.*)$;")
        match = "" if program.has_path else "= "
        locations.append(f"location {match}/{one.key} {{ {' '.join(lines)} }}")
    joined = "\n".join([*upstreams, f"server {{ listen {HOST}:{port} backlog=4096;", *locations])
    return f"""
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
access_log off;
client_max_body_size 0;
{paths}{joined}
}}
}}
"""


def _start(
    command: list[str], directory: str, key: str, environment: dict[str, str] | None = None
) -> None:
    with open(os.path.join(directory, f"{key}.stderr"), "ab") as stderr:
        try:
            subprocess.Popen(
                [find(command[0]) or command[0], *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        except OSError as error:
            stderr.write(f"{error}\n".encode())


def _comes_up(port: int, key: str, program: CgiProgram, deadline: float) -> bool:
    """Wait for the first answer, until a moment that all backends of a run have in common."""
    left = max(0.0, deadline - time.monotonic())
    return wait_until(lambda: _answers(port, key, program), left)


def _answers(port: int, key: str, program: CgiProgram) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        path, beginning = program.ready
        connection.request("GET", f"/{key}{path}")
        answer = connection.getresponse()
        return answer.status == http.client.OK and answer.read().startswith(beginning)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tail(directory: str, key: str) -> str:
    with contextlib.suppress(OSError):
        path = os.path.join(directory, f"{key}.stderr")
        with open(path, encoding="utf-8", errors="replace") as file:
            return " ".join(file.read().split())[-300:]
    return ""
