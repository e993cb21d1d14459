"""`-b` from a command substitution, a remote shell, a Makefile: it returns, and lets go."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.processes import marked
from harness.servers import SOCKET, clean_environment
from harness.waiting import CAP_SECONDS, wait_for

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return where the server of a test listens; its pid file is beside it."""
    return str(tmp_path / "s")


@pytest.fixture
def command(path: str) -> list[str]:
    """Return the command line of a server in the background."""
    return [SOCKET, "-b", "--pidfile", f"{path}.pid", "-p", "cat", "-W", "2", "-s", path]


@pytest.fixture
def run(mark: str, path: str) -> Iterator[Run]:
    """Run something to the end of its output; the server that it has left is stopped at the end."""

    def to_end(*words: str, **options: object) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(  # type: ignore[call-overload,no-any-return]  # options of run
            words,
            env=clean_environment(mark),
            timeout=CAP_SECONDS,
            check=False,
            **options,
        )

    yield to_end
    if os.path.exists(f"{path}.pid"):
        os.kill(int(Path(f"{path}.pid").read_text("ascii")), signal.SIGTERM)
    wait_for(lambda: not marked(mark), "every process of the server is gone")


def test_output_ends_with_the_command(run: Run, command: list[str], path: str) -> None:
    """Whoever reads stdout and stderr to their end, as `x=$(...)` does, waits for no server."""
    done = run(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert exchange(path, b"hello") == b"hello"


def test_socket_of_a_remote_shell_ends_with_the_command(
    run: Run, command: list[str], path: str
) -> None:
    """A remote shell may have sockets in place of pipes, the same one on 0, 1 and 2."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = run(*command, stdin=theirs, stdout=theirs, stderr=theirs)
        theirs.close()
        ours.settimeout(CAP_SECONDS)

        assert (done.returncode, ours.recv(1)) == (0, b"")
    assert exchange(path, b"hello") == b"hello"


def test_other_descriptors_end_with_the_command(run: Run, command: list[str], path: str) -> None:
    """So does a pipe of a test runner, or the jobs of make, that came along as another one."""
    reading, writing = os.pipe()
    done = run(*command, pass_fds=(writing,), stdin=subprocess.DEVNULL)
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert (done.returncode, pipe.read()) == (0, b"")
    assert exchange(path, b"hello") == b"hello"


def test_make_ends_with_the_command(
    run: Run, command: list[str], path: str, tmp_path: Path
) -> None:
    """A recipe that starts a server is over when the server is up."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    (tmp_path / "Makefile").write_text(f"start:\n\t@{' '.join(command)}\n", "utf-8")
    done = run("make", "-s", "-j2", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    assert (done.returncode, done.stdout) == (0, b"")
    assert exchange(path, b"hello") == b"hello"


def test_failure_is_told_through_the_pipe(run: Run, command: list[str]) -> None:
    """Until the service is up its errors go to whoever has started it."""
    done = run(*command[:-1], "/nonexistent/s", stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    assert done.returncode == 1
    assert done.stderr.startswith(b"socket: server socket: No such file or directory")
    assert done.stderr.count(b"\n") == 1


def test_log_in_a_file_is_kept(run: Run, command: list[str], path: str, tmp_path: Path) -> None:
    """A file on stderr is meant to hold the log, whatever 0 and 1 are."""
    with (tmp_path / "log").open("wb") as log:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        done = run(*command, "-v", stderr=log, **options)
    exchange(path, b"hello")

    assert (done.returncode, done.stdout) == (0, b"")
    wait_for(
        lambda: "connection closed" in (tmp_path / "log").read_text("utf-8"), "the end in the log"
    )


def test_log_file_is_written_behind_a_pipe(
    run: Run, command: list[str], path: str, tmp_path: Path
) -> None:
    """--log-file is how a log outlives the pipe that stderr was."""
    done = run(*command, "-v", "--log-file", str(tmp_path / "log"), stderr=subprocess.PIPE)
    exchange(path, b"hello")

    assert (done.returncode, done.stderr) == (0, b"")
    wait_for(
        lambda: "connection_closed" in (tmp_path / "log").read_text("utf-8"), "the end in the log"
    )


def test_server_without_a_program_keeps_what_it_relays(run: Run, path: str) -> None:
    """Its stdin is what it is there for; stderr is let go of."""
    reading, writing = os.pipe()
    words = (SOCKET, "-b", "--pidfile", f"{path}.pid", "-w", "-s", path)
    done = run(*words, stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.close(reading)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(CAP_SECONDS)
        client.connect(path)
        os.write(writing, b"from the pipe")
        os.close(writing)
        received = b"".join(iter(lambda: client.recv(100), b""))

    assert (done.returncode, done.stderr, received) == (0, b"", b"from the pipe")
