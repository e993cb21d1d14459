"""A real git that clones, fetches and pushes by HTTP, through a web server and ours."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.extent import by_extent
from harness.processes import MARK_NAME, marked
from harness.servers import Server
from harness.waiting import wait_for
from harness.webservers import HOST, WebServer, find_command, own_command
from web.repositories import GIT_BACKEND, git_repository, run

pytestmark = pytest.mark.slow

_PAYLOAD_BYTES = by_extent(1 << 20, 5 << 20)
_WAYS = [(kind, way) for kind in ("nginx", "lighttpd") for way in ("scgi", "fastcgi")]


@dataclass(frozen=True)
class Remote:
    """A repository, and where it is found by HTTP."""

    bare: Path
    url: str
    folder: Path

    def head(self, branch: str = "main") -> str:
        """Return the last commit of the repository itself."""
        return run("git", "rev-parse", branch, cwd=self.bare).strip()

    def clone(self, name: str, *options: str) -> Path:
        """Clone it by HTTP."""
        target = self.folder / name
        run("git", "clone", "-q", *options, self.url, target, cwd=self.folder)
        return target


def _commit(clone: Path, branch: str, count: int) -> None:
    """Add commits to a branch of a clone, with a single process."""
    stream = "".join(
        f"commit refs/heads/{branch}\ncommitter A <a@localhost> {number} +0000\ndata 1\nx\n"
        + ("from refs/remotes/origin/main\n" if number == 0 else "")
        for number in range(count)
    )
    (clone / "stream").write_text(stream)
    run("/bin/sh", "-c", "git fast-import --quiet < stream", cwd=clone)


@pytest.fixture(scope="module", params=_WAYS, ids="-".join)
def remote(request: pytest.FixtureRequest) -> Iterator[Remote]:
    """Serve a repository; no program outlives a test."""
    kind, protocol = request.param
    if find_command(kind) is None:
        pytest.skip(f"{kind} is not installed")
    if not os.path.exists(GIT_BACKEND):
        pytest.skip("git is not installed")
    with (
        tempfile.TemporaryDirectory(prefix="socketd-web-") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        bare = git_repository(folder, _PAYLOAD_BYTES)
        run("git", "config", "http.receivepack", "true", cwd=bare)
        short = "scgi" if protocol == "scgi" else "fcgi"
        backend = Server(
            [
                f"--{short}={HOST}:0",
                f"--env=GIT_PROJECT_ROOT={bare.parent}",
                "--env=GIT_HTTP_EXPORT_ALL=1",
                f"--env=HOME={folder}",
                f"--env={MARK_NAME}",
                GIT_BACKEND,
            ],
            command=(own_command("socketd"), "cgi", "--log-format", "json"),
            is_measured=False,
        )
        stack.callback(backend.close)
        server = WebServer(kind, protocol, backend.place, is_tcp=True)
        stack.callback(server.close)
        yield Remote(bare, f"http://{HOST}:{server.place[1]}/cgi-bin/{bare.name}", folder)
        wait_for(
            lambda: not [one for one in marked(backend.mark) if one.name.startswith("git")],
            "every git has ended",
        )


def test_clone_is_the_repository(remote: Remote) -> None:
    """A clone has the commits, the files and the tags, and git finds it sound."""
    clone = remote.clone("clone")

    assert run("git", "rev-parse", "HEAD", cwd=clone).strip() == remote.head()
    assert run("git", "tag", cwd=clone).split() == ["v1"]
    run("git", "fsck", "--strict", cwd=clone)


def test_shallow_clone_has_one_commit(remote: Remote) -> None:
    """What a client asks for in several rounds, each a request with a body, is answered."""
    clone = remote.clone("shallow", "--depth=1")

    assert run("git", "rev-list", "--count", "HEAD", cwd=clone).strip() == "1"
    run("git", "fetch", "-q", "--unshallow", cwd=clone)
    assert run("git", "rev-list", "--count", "HEAD", cwd=clone).strip() == "3"


def test_fetch_brings_what_another_has_pushed(remote: Remote) -> None:
    """A push arrives, and a fetch of another clone, whose body is compressed, brings it."""
    first, second = remote.clone("first"), remote.clone("second")
    _commit(first, "pushed", 1)
    # git compresses a request that names so many things which it has
    _commit(second, "own", 40)

    run("git", "push", "-q", "origin", "pushed", cwd=first)
    run("git", "fetch", "-q", cwd=second)

    assert remote.head("pushed") == run("git", "rev-parse", "pushed", cwd=first).strip()
    assert run("git", "rev-parse", "origin/pushed", cwd=second).strip() == remote.head("pushed")
