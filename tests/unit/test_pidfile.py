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
from socketd.operations.pidfile import PidFile

_HOLDER = """
import signal, sys
from socketd.operations.pidfile import PidFile
PidFile(sys.argv[1])
print("ready", flush=True)
signal.pause()
"""
_PARENT = """
import os, signal, sys
from socketd.operations.pidfile import PidFile
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
    assert path.stat().st_mode & 0o777 == 0o600

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


@pytest.mark.parametrize("content", ["", "\n", "9999999999\n", "1", " 7 \n\n"])
def test_longer_content_is_replaced_whole(path: Path, content: str) -> None:
    """Nothing of a stale file shines through, whoever has written it; and nobody else reads it."""
    path.write_text(content)
    path.chmod(0o644)

    pid_file = PidFile(str(path))

    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    pid_file.remove()
    assert not path.exists()


@pytest.mark.parametrize(
    "content", ["precious", "1\n2\n", "99999999999\n", "-1\n", "1 # pid\n", "\0", " " * 100]
)
def test_file_that_is_no_pid_file_is_left_alone(path: Path, content: str) -> None:
    """A slip of the hand, --pidfile /etc/passwd, costs nothing."""
    path.write_text(content)
    path.chmod(0o644)

    with pytest.raises(SystemFailureError, match="it holds something other than a process id"):
        PidFile(str(path))

    assert path.read_text() == content
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("link", "it is a symbolic link; name the file itself"),
        ("dangling link", "it is a symbolic link; name the file itself"),
        ("hard link", "it is a hard link: the file has another name"),
        ("fifo", "it is not a regular file"),
        ("device", "it is not a regular file"),
    ],
)
def test_what_leads_elsewhere_is_not_written(path: Path, kind: str, why: str) -> None:
    """Even if what it leads to looks like a pid file."""
    other = path.with_name("other")
    if kind != "dangling link":
        other.write_text("1\n")
    match kind:
        case "hard link":
            path.hardlink_to(other)
        case "fifo":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/null")
        case _:
            path.symlink_to(other)

    with pytest.raises(SystemFailureError) as caught:
        PidFile(str(path))

    assert str(caught.value) == f"cannot write the pid file {str(path)!r}: {why}"
    assert os.path.lexists(path)
    assert not other.exists() if kind == "dangling link" else other.read_text() == "1\n"


_READER = """
import fcntl, signal, sys
file = open(sys.argv[1])
fcntl.lockf(file, fcntl.LOCK_SH)
print("ready", flush=True)
signal.pause()
"""


def test_reader_does_not_stop_the_next_start(path: Path) -> None:
    """Who may read a file may lock it for reading; that is no running server."""
    path.write_text("1\n")
    path.chmod(0o644)
    with subprocess.Popen(
        [sys.executable, "-c", _READER, str(path)], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"

        try:
            pid_file = PidFile(str(path))
            with pytest.raises(SystemFailureError, match="belongs to a running server"):
                in_another_process(path)
        finally:
            reader.kill()
    # Not before: to close any descriptor of the file gives the lock up (fcntl(2)).
    assert path.read_text() == f"{os.getpid()}\n"
    pid_file.remove()
    assert not path.exists()


def in_another_process(path: Path, prepare: str = "") -> None:
    """Make a pid file in another process. Raises SystemFailureError as that has."""
    script = (
        f"import sys\nfrom socketd.operations.pidfile import PidFile\n{prepare}\n"
        "try: PidFile(sys.argv[1])\nexcept Exception as error: print(error); sys.exit(3)\n"
    )
    # Where nothing can be written, what measures coverage could not write either, and would say so.
    environment = {key: text for key, text in os.environ.items() if "COV" not in key}
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.stderr == ""
    if done.returncode == 3:
        raise SystemFailureError(done.stdout.strip())


@pytest.mark.parametrize("is_stale", [False, True])
def test_no_file_is_left_where_nothing_can_be_written(path: Path, *, is_stale: bool) -> None:
    """A limit on the size of files is met like a full disk."""
    if is_stale:
        path.write_text("1\n")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"

    with pytest.raises(SystemFailureError, match=r"cannot write the pid file .*: File too large"):
        in_another_process(path, limit)

    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_no_file_is_left_on_a_full_disk(tmp_path: Path) -> None:
    """What cannot be written is not there."""
    script = (
        "from socketd.operations.pidfile import PidFile\n"
        "try: PidFile('pid')\nexcept Exception as error: print(error)\n"
    )
    steps = (
        'mount -t tmpfs -o size=4k none . && cd "$PWD" && head -c 4096 /dev/zero > full && '
        f'{sys.executable} -c "$SCRIPT" && ls'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", steps],
        cwd=tmp_path,
        env={**os.environ, "SCRIPT": script},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "cannot write the pid file 'pid': No space left on device\nfull\n"


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


def test_link_to_our_own_file_is_not_removed(path: Path) -> None:
    """Nor is the file, wherever it is by then."""
    pid_file = PidFile(str(path))
    moved = path.rename(path.with_name("moved"))
    path.symlink_to(moved)

    pid_file.remove()

    assert path.is_symlink()
    assert moved.exists()


def test_lock_is_gone_after_a_failure(path: Path, holder: subprocess.Popen[str]) -> None:
    """A refused attempt leaves no descriptor behind."""
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(SystemFailureError):
        PidFile(str(path))

    assert len(os.listdir("/proc/self/fd")) == before
    with path.open("r+") as file, pytest.raises(BlockingIOError):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert holder.poll() is None
