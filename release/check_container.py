"""Whether a server works as in a container, in a tree where it is installed.

What a container runtime does that matters here is done by hand, so no such runtime is needed: the
server has the number 1 among processes of its own, the root is read only but for /dev/shm, and its
user has no name, no home and no rights. Owns that, and what is asked of the server.
"""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
USER = 65532
_SECONDS = 60.0
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FILE = """
[service.echo]
listen = "unix:/dev/shm/echo.sock"
program = ["cat"]
workers.min = 2

# Leaves a process behind, which only process 1 can reap.
[service.leaver]
listen = "unix:/dev/shm/leaver.sock"
program = ["sh", "-c", "sleep 0.2 </dev/null >/dev/null 2>&1 & cat"]
workers.min = 1
"""
# Mounts are those of the new namespace only.
_ENTER = """
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
mount -o remount,bind,ro "$1"
shift
exec "$@"
"""


_ASKER = (
    "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/dev/shm/{}.sock');"
    "s.sendall(b'hello'); s.shutdown(1); print(s.makefile().read())"
)


def environment_of_image() -> dict[str, str]:
    """Return what the Dockerfile has in ENV."""
    text = (ROOT / "Dockerfile").read_text()
    lines = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    found = dict(pair.split("=", 1) for line in lines for pair in line.split())
    return {**found, "PATH": found["PATH"].replace("$PATH", _PATH)}


def words_of_image(instruction: str) -> list[str]:
    """Return the words in brackets behind an instruction; the health check's has spaces before."""
    text = (ROOT / "Dockerfile").read_text()
    found = re.search(rf"^{instruction} \[(.*)\]$", text, re.MULTILINE)
    assert found is not None, instruction
    return re.findall(r'"([^"]*)"', found[1])


def _inside(tree: Path, pid: int, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command where a process is, as its user."""
    enter = ["nsenter", f"--target={pid}", "--mount", "--pid"]
    become = ["chroot", f"--userspec={USER}:{USER}", str(tree)]
    return subprocess.run(
        [*enter, *become, *command],
        env=environment_of_image(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )


@contextlib.contextmanager
def running(tree: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Start what the image starts; yield the process here, and the number of the server here."""
    become = ["chroot", f"--userspec={USER}:{USER}", str(tree)]
    started = [*words_of_image("ENTRYPOINT"), *words_of_image("CMD"), "--log-format", "json"]
    command = [*become, *started]
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    outer = subprocess.Popen(
        [*unshare, "sh", "-ec", _ENTER, "sh", str(tree), *command],
        env=environment_of_image(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert outer.stderr is not None
    try:
        said = []
        for line in outer.stderr:
            said.append(line)
            if "service_ready" in line:
                break
        else:
            raise AssertionError("".join(said))
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        yield outer, int(children[0])
    finally:
        outer.kill()
        outer.communicate()


def _left_over(server: int) -> list[str]:
    """Return the children of a server that are `sleep`, dead or alive, until there are none."""
    deadline = time.monotonic() + _SECONDS
    while True:
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        found = []
        for child in children:
            with contextlib.suppress(OSError):
                found.append(Path(f"/proc/{child}/stat").read_text())
        left = [stat for stat in found if "(sleep)" in stat]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def check(tree: Path) -> list[str]:
    """Return what is wrong, in a tree with the environment /opt/socketd."""
    (tree / "etc" / "socketd.toml").write_text(_FILE)
    wrong = []
    with running(tree) as (outer, server):
        status = Path(f"/proc/{server}/status").read_text()
        own = re.findall(r"^NSpid:\t.*\t(\d+)$|^Uid:\t(\d+)\t", status, re.MULTILINE)
        if {"".join(pair) for pair in own} != {"1", str(USER)}:
            wrong.append(f"not number 1, or another user: {own}")
        health = _inside(tree, server, *words_of_image(r"\s+CMD"))
        if health.returncode != 0:
            wrong.append(f"health: {health.returncode} {health.stdout}{health.stderr}")
        for name in ("echo", "leaver"):
            answer = _inside(tree, server, "python3", "-c", _ASKER.format(name))
            if answer.stdout != "hello\n":
                wrong.append(f"no answer of {name}: {answer.stderr}")
        if left := _left_over(server):
            wrong.append(f"nobody has reaped {left}")
        if _inside(tree, server, "touch", "/opt/socketd/x").returncode == 0:
            wrong.append("the root is not read only")
        os.kill(server, 15)
        if outer.wait(_SECONDS) != 0:
            wrong.append(f"SIGTERM ended it with {outer.returncode}")
    return wrong
