"""The pid file: it belongs to one living process."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from socketd.errors import ExitCode, SystemFailureError
from socketd.pidfile import PidFile

_HOLDER = """
import signal, sys
from socketd.pidfile import PidFile
PidFile(sys.argv[1])
print("ready", flush=True)
signal.pause()
"""
_PARENT = """
import os, signal, sys
from socketd.pidfile import PidFile
PidFile(sys.argv[1])
child = os.fork()
if not child:
    os.close(1)
    signal.pause()
print(child)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the pid file goes."""
    return tmp_path / "pid"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Lend another process that holds the pid file."""
    command = [sys.executable, "-c", _HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_file_names_this_process_and_is_removed(path: Path) -> None:
    """While it is there, the file holds our pid and a newline."""
    pid_file = PidFile(str(path))

    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o022 == 0

    pid_file.remove()
    assert not path.exists()


def test_file_of_a_running_server_is_refused(path: Path, holder: subprocess.Popen[str]) -> None:
    """The file stays as it is, and the error says what to do."""
    with pytest.raises(SystemFailureError, match="belongs to a running server; stop it") as caught:
        PidFile(str(path))

    assert caught.value.exit_code == ExitCode.SYSTEM
    assert path.read_text() == f"{holder.pid}\n"


def test_file_of_a_killed_server_is_taken_over(path: Path, holder: subprocess.Popen[str]) -> None:
    """The lock goes with its owner, so what is left behind is no obstacle."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert path.read_text() == f"{holder.pid}\n"

    pid_file = PidFile(str(path))

    assert path.read_text() == f"{os.getpid()}\n"
    pid_file.remove()


def test_longer_content_is_replaced_whole(path: Path) -> None:
    """Nothing of a stale file shines through."""
    path.write_text("99999999999\nnonsense\n")

    pid_file = PidFile(str(path))

    assert path.read_text() == f"{os.getpid()}\n"
    pid_file.remove()


def test_child_does_not_hold_the_lock(path: Path) -> None:
    """A worker that outlives the server does not keep its pid file."""
    command = [sys.executable, "-c", _PARENT, str(path)]
    child = int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    try:
        PidFile(str(path)).remove()
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("name", "why"), [("missing/pid", "No such file or directory"), ("", "Is a directory")]
)
def test_file_that_cannot_be_written_is_an_error(tmp_path: Path, name: str, why: str) -> None:
    """The error names the path and the system's reason."""
    path = str(tmp_path / name)

    with pytest.raises(SystemFailureError) as caught:
        PidFile(path)

    assert str(caught.value) == f"cannot write the pid file {path!r}: {why}"


def test_file_that_somebody_has_removed_is_no_error(path: Path) -> None:
    """A stop does not fail because the file is gone already."""
    pid_file = PidFile(str(path))
    path.unlink()

    pid_file.remove()

    assert not path.exists()


def test_file_of_somebody_else_is_left_alone(path: Path) -> None:
    """A file that has taken the place of ours is another server's."""
    pid_file = PidFile(str(path))
    path.unlink()
    path.write_text("1\n")

    pid_file.remove()

    assert path.read_text() == "1\n"


def test_lock_is_gone_after_a_failure(path: Path, holder: subprocess.Popen[str]) -> None:
    """A refused attempt leaves no descriptor behind."""
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(SystemFailureError):
        PidFile(str(path))

    assert len(os.listdir("/proc/self/fd")) == before
    with path.open("r+") as file, pytest.raises(BlockingIOError):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert holder.poll() is None
