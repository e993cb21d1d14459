"""What one client moves through a CGI program: a clone of a repository, a large body, an answer.

Owns the table of transfers and their round. Must not know a backend by name, nor how one is run.
"""

import http.client
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.cgi import PROGRAMS, Backend, CgiProgram, Tools, compile_c, find
from bench.launch import BenchError
from bench.results import Record
from bench.servers import HOST
from bench.web import Web, serving_all

MEASUREMENT = "cgi-transfer"
MIB = 1 << 20
LARGE_BYTES = 100 * MIB
_PAYLOAD_BYTES = MIB
_GIT_BACKEND = "/usr/lib/git-core/git-http-backend"
_PERSON = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "bench"), ("EMAIL", "bench@localhost"))
}


@dataclass(frozen=True, slots=True)
class Transfer:
    """One thing that is moved, and how often in a round."""

    title: str
    program: CgiProgram
    move: Callable[[int, str], None]
    """Move it through the web server's port and a backend's location."""
    times: int


def _make_repository(path: str) -> None:
    """Make a program of git, and beside it a repository that does not compress."""
    os.symlink(_GIT_BACKEND, path)
    folder = os.path.dirname(path)
    work = os.path.join(folder, "work")
    os.mkdir(work)
    for number in range(10):
        with open(os.path.join(work, f"file{number}"), "wb") as file:
            file.write(os.urandom(_PAYLOAD_BYTES // 10))
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        _git(words, work)
    _git(["clone", "-q", "--bare", work, os.path.join(folder, "one.git")], folder)


def _git(words: list[str], folder: str) -> None:
    around = {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, **_PERSON}
    done = subprocess.run(
        ["git", *words], cwd=folder, env=around, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"git: {done.stderr.strip()}")


def _clone(port: int, key: str) -> None:
    with tempfile.TemporaryDirectory(prefix="socketd-clone-") as folder:
        _git(["clone", "-q", f"http://{HOST}:{port}/{key}/one.git", "clone"], folder)


def _up(port: int, key: str) -> None:
    answer = _exchange(port, "POST", f"/{key}", bytes(LARGE_BYTES))
    if int(answer[:20]) != LARGE_BYTES:
        raise BenchError(f"{answer!r} of {LARGE_BYTES} bytes have arrived")


def _down(port: int, key: str) -> None:
    size = len(_exchange(port, "GET", f"/{key}?{LARGE_BYTES}", None))
    if size != LARGE_BYTES:
        raise BenchError(f"{size} of {LARGE_BYTES} bytes have arrived")


def _exchange(port: int, method: str, path: str, body: bytes | None) -> bytes:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise BenchError(f"status {answer.status}")
        return answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{method}: {error}") from error
    finally:
        connection.close()


_TRANSFER = CgiProgram(
    "transfer",
    "a program that moves bytes",
    lambda path: compile_c(os.path.join(PROGRAMS, "transfer.c"), path),
    ready=("?10", b"x" * 10),
)
TRANSFERS = {
    "git": Transfer(
        "`git clone` of a repository of 1 MB",
        CgiProgram(
            "git",
            "git http-backend",
            _make_repository,
            ready=("/one.git/HEAD", b"ref: "),
            variables=(("GIT_PROJECT_ROOT", "{folder}"), ("GIT_HTTP_EXPORT_ALL", "1")),
            has_path=True,
        ),
        _clone,
        times=5,
    ),
    "up": Transfer("100 MiB up", _TRANSFER, _up, times=3),
    "down": Transfer("100 MiB down", _TRANSFER, _down, times=3),
}


def measure_round(
    number: int, backends: list[Backend], tools: Tools, say: Callable[[str], None]
) -> list[Record]:
    """Measure each transfer with each backend that has them, in turns."""
    records = []
    chosen = [one for one in backends if one.has_transfers]
    for key, transfer in TRANSFERS.items():
        if key == "git" and not (find("git") and os.path.exists(_GIT_BACKEND)):
            say("git is not measured: it is not installed")
            continue
        say(f"round {number + 1}: {MEASUREMENT} {key}")
        with serving_all(chosen, transfer.program, tools) as web:
            records += [
                Record(MEASUREMENT, key, 1, 1, one, number, values, {}, failure=failure)
                for one, (values, failure) in _measure(transfer, chosen, web).items()
            ]
    return records


def _measure(
    transfer: Transfer, backends: list[Backend], web: Web
) -> dict[str, tuple[dict[str, float], str | None]]:
    taken: dict[str, list[float]] = {one.key: [] for one in backends}
    failures = dict(web.failures)
    for turn in range(transfer.times):
        first = turn % max(1, len(backends))
        for one in backends[first:] + backends[:first]:
            if one.key in failures:
                continue
            begun = time.monotonic()
            try:
                transfer.move(web.port, one.key)
            except (BenchError, ValueError) as error:
                failures[one.key] = str(error)
            taken[one.key].append((time.monotonic() - begun) * 1e6)
    return {
        key: ({}, failures[key])
        if key in failures
        else ({"wall_us": statistics.median(times)}, None)
        for key, times in taken.items()
    }
