"""Real git through real web servers: clones, fetches and pushes, however large."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.clients import Place
from harness.extent import by_extent
from harness.processes import all_processes
from harness.servers import Server
from harness.waiting import CAP_SECONDS, wait_for
from harness.webservers import (
    CONTRIB,
    HOST,
    KINDS,
    WebServer,
    find_command,
    fitted,
    own_command,
)

pytestmark = pytest.mark.slow

BACKEND = "/usr/lib/git-core/git-http-backend"
PUSHED_BYTES = 10 << 20
LARGE_BYTES = by_extent(PUSHED_BYTES, 64 << 20)
# What the files for web servers allow for a request, and what stands there instead here.
LIMITS = {"100m;": "300m;", "104857600": "314572800", "102400": "307200"}
BRANCHES = 30  # enough names for a request that git compresses


@dataclass(frozen=True)
class Way:
    """A web server, and how it reaches the program."""

    kind: str
    protocol: str
    listener: str
    level: str
    pushed_bytes: int = PUSHED_BYTES

    def __str__(self) -> str:
        """Name it in the list of tests."""
        return f"{self.kind}-{self.protocol}-{self.listener}-{self.level}"


WAYS = (
    Way("nginx", "fastcgi", "tcp", "load", LARGE_BYTES),
    Way("nginx", "fastcgi", "unix", "fork"),
    Way("nginx", "scgi", "tcp", "fork"),
    Way("nginx", "scgi", "unix", "load", LARGE_BYTES // 4),
    Way("apache", "fastcgi", "unix", "load"),
    Way("lighttpd", "scgi", "tcp", "load"),
)


@dataclass(frozen=True)
class Hosting:
    """Repositories below a folder, and the address of the web server in front of them."""

    folder: Path
    server: WebServer
    pushed_bytes: int

    def url(self, name: str) -> str:
        """Return the address of a repository."""
        assert isinstance(self.server.place, tuple)
        return f"http://{HOST}:{self.server.place[1]}/cgi-bin/{name}"


def git(*words: str, cwd: Path) -> str:
    """Run git as nobody's in particular; return what it says."""
    done = subprocess.run(
        ["git", "-c", "core.compression=0", *words],  # random bytes: it would only take time
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **{f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER")
               for what in ("NAME", "EMAIL")},
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=by_extent(CAP_SECONDS * 4, CAP_SECONDS * 20),
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(params=WAYS, ids=str)
def hosting(request: pytest.FixtureRequest) -> Iterator[Hosting]:
    """Run git's CGI program behind each web server; no process of it is left."""
    way: Way = request.param
    if find_command(way.kind) is None:
        pytest.skip(f"{KINDS[way.kind].command} is not installed")
    if shutil.which("git") is None or not os.path.exists(BACKEND):
        pytest.skip("git is not installed")
    with tempfile.TemporaryDirectory(prefix="socketd-git-") as folder:
        os.chmod(folder, 0o755)
        repositories = Path(folder, "repositories")
        git("init", "-q", "--bare", "-b", "main", str(repositories / "one.git"), cwd=Path(folder))
        git("config", "http.receivepack", "true", cwd=repositories / "one.git")
        path = f"{folder}/socket"
        backend = Server(
            [
                "--scgi" if way.protocol == "scgi" else "--fcgi",
                path if way.listener == "unix" else f"{HOST}:0",
                *("--ready", f"{way.level}!" if way.level != "fork" else way.level),
                *("--env", f"GIT_PROJECT_ROOT={repositories}", "--env", "GIT_HTTP_EXPORT_ALL=1"),
                BACKEND,
            ],
            command=(own_command("socketd"), "cgi", "--log-format", "json"),
            is_measured=False,
            is_quiet=False,
        )
        try:
            place = backend.place
            if way.listener == "unix":
                os.chmod(path, 0o777)

            def snippet(own: Place) -> str:
                file = CONTRIB / way.kind / f"socketd-{way.protocol}.conf"
                text = fitted(file.read_text(), place, own, patience_seconds=60)
                for usual, wanted in LIMITS.items():
                    text = text.replace(usual, wanted)
                return text

            server = WebServer(way.kind, way.protocol, place, is_tcp=True, snippet=snippet)
            try:
                yield Hosting(repositories, server, way.pushed_bytes)
                wait_for(lambda: not _running(), "every program has ended")
            finally:
                server.close()
        finally:
            backend.close()


def _running() -> list[str]:
    return [one.name for one in all_processes() if one.name.startswith("git-http-backend")]


def _commit(work: Path, name: str, content: bytes) -> None:
    (work / name).write_bytes(content)
    git("add", name, cwd=work)
    git("commit", "-q", "-m", name, cwd=work)


@pytest.mark.timeout(by_extent(60, 600))
def test_what_is_pushed_can_be_cloned_and_fetched(hosting: Hosting, tmp_path: Path) -> None:
    """A push of many MiB is complete; so are a clone, a shallow one, and a fetch of many names."""
    work, whole, shallow = tmp_path / "work", tmp_path / "whole", tmp_path / "shallow"
    git("init", "-q", "-b", "main", str(work), cwd=tmp_path)
    _commit(work, "small", b"a line\n")
    git("push", "-q", hosting.url("one.git"), "main", cwd=work)
    git("clone", "-q", hosting.url("one.git"), str(whole), cwd=tmp_path)
    _commit(work, "large", os.urandom(hosting.pushed_bytes))
    for number in range(BRANCHES):
        git("commit", "-q", "--allow-empty", "-m", str(number), cwd=work)
        git("branch", f"b{number}", cwd=work)
    git("push", "-q", "--all", hosting.url("one.git"), cwd=work)
    git("fetch", "-q", cwd=whole)
    git("clone", "-q", "--depth", "1", hosting.url("one.git"), str(shallow), cwd=tmp_path)

    newest = git("rev-parse", "main", cwd=work)
    git("merge", "-q", "--ff-only", "origin/main", cwd=whole)
    assert git("rev-parse", "HEAD", cwd=whole) == newest
    assert len(git("branch", "-r", cwd=whole).split("\n")) > BRANCHES
    assert (whole / "large").read_bytes() == (work / "large").read_bytes()
    assert git("rev-parse", "HEAD", cwd=shallow) == newest
    assert git("rev-list", "--count", "HEAD", cwd=shallow) == "1\n"
