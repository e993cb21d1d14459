"""--stderr syslog: each connection has a socket of its own, which is nobody else's to spoil."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clients import Place, exchange

from .conftest import Compile, Start
from .sources import program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a /dev of its own"),
]

LEVELS = pytest.mark.parametrize("level", ["fork", "load", "read", "stop", "relay", "python"])
TIMEOUT_SECONDS = 10
# What stands in /dev stays as it is for everybody else.
_OWN_DEV = """
set -e
mount --make-rprivate /
mkdir "$0/dev"
mount --rbind /dev "$0/dev"
mount -t tmpfs none /dev
for name in full null random tty urandom zero; do
    touch /dev/$name
    mount --bind "$0/dev/$name" /dev/$name
done
mkdir /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s "$0/log" /dev/log
exec "$@"
"""
# Prints what it reads to its standard error, by way of a duplicate, and then does harm to that.
_BODY = """
char line[99]; long n = 0; int twin = dup(2);
if (count > 3) raise(SIGSTOP);
n = read(0, line, sizeof line);
write(*line == 't' ? twin : 2, line, n);
struct sockaddr_un other = {AF_UNIX, ""}; strcpy(other.sun_path, words[2]);
if (*words[1] == 's') shutdown(2, SHUT_RDWR);
if (*words[1] == 'c') connect(2, (void *)&other, sizeof other);
write(1, "done", 4);
"""


class Log:
    """Whoever takes the system's log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "log"
        self._socket = self._bind()

    @property
    def prefix(self) -> list[str]:
        """Return what a command is run by so that this is its system's log."""
        return ["unshare", "--mount", "sh", "-c", _OWN_DEV, str(self.folder)]

    def receive(self) -> bytes:
        """Return the next message."""
        return self._socket.recv(4096)

    def restart(self) -> None:
        """Be another socket at the same place."""
        self.close()
        self.path.unlink()
        self._socket = self._bind()

    def close(self) -> None:
        """Take no more."""
        self._socket.close()

    def _bind(self) -> socket.socket:
        taker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        taker.settimeout(TIMEOUT_SECONDS)
        taker.bind(str(self.path))
        return taker


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """Return the system's log."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0:
        pytest.skip("lacks CAP_SYS_ADMIN")
    with contextlib.closing(Log(tmp_path)) as log:
        yield log


def options(level: str) -> tuple[str, ...]:
    """Return the options of a level, or of the workers in Python."""
    if level == "python":
        return ("--worker", "python", "--stderr", "syslog")
    return ("--stderr", "syslog")


def serve(start: Start, log: Log, path: str, harm: str, level: str) -> Place:
    """Start a server whose program does harm to its standard error."""
    command = f"{path} {harm} {log.folder}/elsewhere{' stop' if level == 'stop' else ''}"
    ready = "fork" if level == "python" else f"{level}!"
    return start(ready, command, *options(level), prefix=log.prefix).place


@pytest.fixture
def spoiler(compile_c: Compile) -> str:
    """Return the program."""
    return compile_c(program(_BODY, "#include <sys/un.h>"))


@LEVELS
@pytest.mark.parametrize("harm", ["shutdown", "connect"])
def test_what_one_program_does_to_its_log_no_other_one_feels(
    start: Start, log: Log, spoiler: str, level: str, harm: str
) -> None:
    """After a program that has shut it down, or led it elsewhere, the next is heard as before."""
    place = serve(start, log, spoiler, harm, level)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(str(log.folder / "elsewhere"))
        for word in (b"one", b"two", b"three", b"twin"):
            assert exchange(place, word) == b"done"
            assert log.receive() == word


@pytest.mark.parametrize("level", ["fork", "load", "read", "stop", "python"])
def test_a_log_that_has_been_restarted_is_written_to(
    start: Start, log: Log, spoiler: str, level: str
) -> None:
    """The socket is opened when there is a connection, except for a program that runs before."""
    place = serve(start, log, spoiler, "none", level)
    assert exchange(place, b"one") == b"done"
    assert log.receive() == b"one"

    log.restart()

    assert exchange(place, b"two") == b"done"
    assert log.receive() == b"two"
