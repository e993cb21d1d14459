"""A program with another root directory: where it is found, what it sees, what is refused."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from privileges.serving import HERE, serving, web_answer

from harness.clients import exchange
from harness.servers import Outcome, Server, run_socket
from socketd.config.confined import NOT_HELD
from socketd.programs.needs import needed_files
from socketd.system import landlock
from socketd.system.products import is_built

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root directory"),
]

KINDS = {
    "fork": ("--worker", "native"),
    "relay": ("--ready", "relay!"),
    "python": ("--worker", "python"),
}


@pytest.fixture
def jail(tmp_path: Path) -> Path:
    """Make a directory with a shell and some programs in it, and a link that leads nowhere else."""
    root = tmp_path / "jail"
    (root / "bin").mkdir(parents=True)
    (root / "dev").mkdir()
    for program in ("sh", "cat", "ls", "id"):
        path = shutil.which(program)
        assert path is not None
        for number, one in enumerate(needed_files(path, is_listing=True)):
            target = root / "bin" / program if number == 0 else root / one.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(one, target)
    os.mknod(root / "dev" / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.chmod(root / "dev" / "null", 0o666)
    (root / "inside").write_text("inside\n")
    # From outside it leads to another program, or to none.
    (root / "bin" / "show").symlink_to("/bin/cat")
    for folder in (root, *tmp_path.parents, tmp_path):
        folder.chmod(folder.stat().st_mode | 0o011)
    return root


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers."""
    with serving() as start:
        yield start


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_is_found_inside_and_sees_nothing_else(
    serve: Callable[..., Server], jail: Path, kind: str
) -> None:
    """By its path there, by a link that is resolved there, and with a shell that is there."""
    if kind != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    options = (*KINDS[kind], "--chroot", str(jail))

    shown = exchange(serve(*options, "-p", "/bin/show /inside -").place, b"x")
    listed = exchange(serve(*options, "-p", "read x; cd /; ls; ls ..").place, b"\n")

    assert shown == b"inside\nx"
    names = sorted(os.listdir(jail))
    assert listed.decode().split() == [*names, *names]


@pytest.mark.parametrize("kind", KINDS)
def test_user_and_directory_are_applied_inside(
    serve: Callable[..., Server], jail: Path, kind: str
) -> None:
    """The root directory needs root, so it is changed before the user is."""
    (jail / "home").mkdir(mode=0o755)
    (jail / "home" / "here").write_text("")
    options = ("--chroot", str(jail), "--user", "nobody", "--directory", "/home")

    server = serve(*KINDS[kind], *options, "-p", "read x; id -u; ls")

    assert exchange(server.place, b"\n").split() == [b"65534", b"here"]


@pytest.mark.parametrize("kind", KINDS)
def test_paths_in_reach_are_inside(serve: Callable[..., Server], jail: Path, kind: str) -> None:
    """Also a link is resolved there."""
    if not landlock.version() >= landlock.FOR_PATHS:
        pytest.skip("the kernel has no Landlock for paths")
    (jail / "secret").write_text("secret")
    (jail / "named").symlink_to("/inside")
    read = ",".join(["/bin", "/named", *(f"/{name}" for name in os.listdir(jail) if "lib" in name)])
    options = ("--chroot", str(jail), "--read-paths", read, "--stderr", "socket")

    server = serve(*KINDS[kind], *options, "-p", "read x; cat /inside /secret")

    assert exchange(server.place, b"\n") == b"inside\ncat: /secret: Permission denied\n"


@pytest.mark.parametrize("front", ["scgi", "fcgi"])
def test_programs_of_a_web_server_are_inside(
    serve: Callable[..., Server], jail: Path, front: str
) -> None:
    """One program, and a folder of them."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    (jail / "cgi").mkdir()
    script = jail / "cgi" / "one.cgi"
    script.write_text("#!/bin/sh\nprintf 'Status: 200\\r\\n\\r\\n'; cat /inside\n")
    script.chmod(0o755)
    options = ("--front", front, "--chroot", str(jail))

    assert answer(serve(*options, "-p", "/cgi/one.cgi"), front) == b"inside\n"
    assert answer(serve(*options, "--root", "/cgi"), front) == b"inside\n"


def answer(server: Server, front: str) -> bytes:
    """Return the body of an answer."""
    whole = web_answer(server, front, PATH_INFO="/one.cgi")
    return whole.partition(b"\r\n\r\n")[2] if front == "scgi" else whole


REFUSED = {
    "no folder": (
        ("--chroot", "/no/such", "-p", "cat"), 15, "--chroot: '/no/such' is not a directory",
    ),
    "program outside": (
        ("--chroot", "{jail}", "-p", "sleep 9"), 127,
        "cannot run 'sleep': it is not on PATH below '{jail}'",
    ),
    "path outside": (
        ("--chroot", "{jail}", "-p", "/usr/bin/env"), 127,
        "cannot run '/usr/bin/env': there is no such file below '{jail}'",
    ),
    "held": (
        ("--chroot", "{jail}", "--ready", "load", "-p", "cat"), 15,
        f"--ready load: {NOT_HELD}",
    ),
    "wrapped": (
        ("--chroot", "{jail}", "--front", "fcgi", "--worker", "python", "-p", "cat"), 15,
        "--chroot: with --worker python a wrapper reads requests, which is not below that",
    ),
    "no null": (
        ("--chroot", "{bare}", "--stderr", "null", "-p", "/cat"), 15,
        "--chroot: '{bare}' has no dev/null (try: mknod -m 666 {bare}/dev/null c 1 3)",
    ),
    "directory": (
        ("--chroot", "{jail}", "--directory", "/usr/games", "-p", "cat"), 71,
        "cannot enter the directory '/usr/games': No such file or directory",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_one_line(jail: Path, tmp_path: Path, name: str) -> None:
    """Before anything is served, with what to do where that is not plain."""
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(jail / "bin" / "cat", bare / "cat")
    options, status, said = REFUSED[name]
    places = {"jail": jail, "bare": bare}

    outcome = run_socket(*(one.format(**places) for one in options), *HERE)

    assert outcome == Outcome(status, "", f"socket: {said.format(**places)}\n")
