"""The terminal that a server was started on is the operator's, not its programs'."""

import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.reach import skip_if_out_of_reach
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
HELD_LEVELS = ("load", "read", "stop")


@pytest.fixture(params=["fork", *HELD_LEVELS, "relay", "python"])
def level(request: pytest.FixtureRequest) -> str:
    """Return each way in which a program gets to run."""
    if request.param != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    if request.param in HELD_LEVELS:
        skip_if_out_of_reach()
    return str(request.param)


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
