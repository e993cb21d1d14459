"""The terminal that a server was started on is the operator's, not its programs'."""

import os
import pty
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.processes import kill_marked, marked
from harness.servers import SOCKET, clean_environment
from harness.waiting import wait_for
from socketd.system.products import is_built

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("perl") is None, reason="perl is not installed"),
]

# TIOCSTI is 0x5412 on every machine but a few: it types a character for whoever reads there.
PROGRAM = """
kill STOP => $$ if "{level}" eq "stop";
$line = <STDIN>;
print "opened\\n" if open(my $tty, "+<", "/dev/tty");
my $key = "x";
print "typed\\n" if ioctl(STDERR, 0x5412, $key);
print "shown\\n" if -t STDERR;
"""
NATIVE_LEVELS = ("fork", "load", "read", "stop", "relay")


@pytest.fixture(params=[*NATIVE_LEVELS, "python"])
def level(request: pytest.FixtureRequest) -> str:
    """Return each way in which a program gets to run."""
    if request.param != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    return str(request.param)


@pytest.fixture
def mark() -> Iterator[str]:
    """Return a mark that nobody may bear at the end."""
    mark = uuid.uuid4().hex
    yield mark
    left = marked(mark)
    kill_marked(mark)
    assert left == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Lend a folder into which every user may look."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_program_cannot_type_into_the_terminal_of_its_server(
    level: str, mark: str, open_folder: Path
) -> None:
    """It may print there if it was told so; but its session has no terminal, nor can it get one."""
    chosen = ["--worker", "python"] if level == "python" else ["--ready", f"{level}!"]
    path = str(open_folder / "socket")
    script = open_folder / "program"
    script.write_text(PROGRAM.replace("{level}", level))
    if os.geteuid() == 0:
        chosen += ["--user", "nobody"]
    terminal, ours = pty.openpty()
    command = [
        SOCKET,
        *chosen,
        "-W",
        "1",
        "-s",
        "--stderr",
        "inherit",
        "-v",
        "--log-file",
        f"{path}.log",
    ]
    with subprocess.Popen(
        ["setsid", "--ctty", *command, "-p", f"perl {script}", path],
        stdin=ours,
        stdout=ours,
        stderr=ours,
        env=clean_environment(mark),
    ) as server:
        os.close(ours)
        log = Path(f"{path}.log")
        wait_for(lambda: log.exists() and "service_ready" in log.read_text(), "the service is up")

        said = exchange(path, b"\n").decode().split()

        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    os.close(terminal)
    assert said == ["shown"], said
