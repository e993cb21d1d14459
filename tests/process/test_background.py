"""`-b`: the command returns when the service is up, and the service is on its own from then on."""

import os
import re
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.boards import BoardView
from harness.clients import exchange
from harness.processes import kill_marked, marked, view
from harness.servers import SOCKET, clean_environment, run_socket
from harness.waiting import CAP_SECONDS, wait_for

pytestmark = pytest.mark.slow

WORKERS = 4
# As a login does: its own session, the terminal as the controlling one, and a shell that stays.
LOGIN = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv("/bin/sh", ["sh", "-c", '"$@"; echo "status $?."; read line', "sh", *sys.argv[1:]])
"""
# Prints the status of the command, then that of the server, whose parent it becomes.
WATCHER = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
print(subprocess.call(sys.argv[1:]), flush=True)
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


class Daemon:
    """A server in the background: started in a directory of its own, known by its pid file."""

    def __init__(self, folder: Path, worker_kind: str) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.pid_file = folder / "pid"
        self.log = folder / "log"
        self._options = ["-b", "-W", str(WORKERS), "--worker", worker_kind, "--pidfile", "pid"]

    def command(self, *arguments: str) -> list[str]:
        """Return what is typed."""
        return [SOCKET, *self._options, *(arguments or ("-p", "cat", "-B", "127.0.0.1", "-s", "0"))]

    def start(self, *arguments: str) -> None:
        """Start it with stdout and stderr in a file; return when the command has."""
        with self.log.open("wb") as log:
            done = subprocess.run(
                self.command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(self.mark),
                cwd=self.folder,
                timeout=CAP_SECONDS,
                check=False,
            )
        assert done.returncode == 0, self.log.read_text()

    @property
    def pid(self) -> int:
        """Return what the pid file says."""
        return int(self.pid_file.read_text())

    def stop(self) -> None:
        """Stop it, and wait until every process and the pid file are gone."""
        os.kill(self.pid, signal.SIGTERM)
        wait_for(lambda: not marked(self.mark), "every process of the server is gone")
        assert not self.pid_file.exists()


def port_in(text: str) -> int:
    """Return the port that a server says to listen on."""
    found = re.search(r"^inet: listening on port (\d+)\r?$", text, re.MULTILINE)
    assert found is not None, text
    return int(found[1])


def targets(pid: int) -> list[str]:
    """Return what a process has as its stdin, stdout and stderr."""
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)]


def terminal_of(pid: int) -> int:
    """Return the device number of a process's controlling terminal, 0 if it has none."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rpartition(")")[2].split()[4])


@pytest.fixture
def daemon(tmp_path: Path, worker_kind: str) -> Iterator[Daemon]:
    """Lend a server that is not running yet; nothing of it survives the test."""
    daemon = Daemon(tmp_path, worker_kind)
    yield daemon
    left = marked(daemon.mark)
    kill_marked(daemon.mark)
    assert left == [], f"left alive: {left}"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Lend both ends of a pseudo-terminal; the first is the user's, closed by the test."""
    master, slave = os.openpty()
    yield master, slave
    os.close(slave)


def read_until(fd: int, end: str) -> str:
    """Read from a terminal up to a pattern."""
    text = ""
    while not re.search(end, text):
        assert select.select([fd], [], [], CAP_SECONDS)[0], f"no {end!r} in {text!r}"
        text += os.read(fd, 4096).decode()
    return text


def test_command_returns_once_the_pool_is_up(daemon: Daemon) -> None:
    """When the command has returned, all workers wait and a client is served at once."""
    for _ in range(5):
        daemon.start()

        assert BoardView(daemon.pid).idle == WORKERS
        place = ("127.0.0.1", port_in(daemon.log.read_text()))
        assert exchange(place, b"at once") == b"at once"
        daemon.stop()


def test_server_is_on_its_own(daemon: Daemon) -> None:
    """Its own session, no terminal, the root directory; files it was given are left alone."""
    daemon.start()

    found = view(daemon.pid)

    assert found is not None
    assert (found.session, found.group) == (daemon.pid, daemon.pid)
    assert terminal_of(daemon.pid) == 0
    assert os.readlink(f"/proc/{daemon.pid}/cwd") == "/"
    assert targets(daemon.pid) == [os.devnull, str(daemon.log), str(daemon.log)]
    daemon.stop()


def test_server_survives_its_terminal(daemon: Daemon, terminal: tuple[int, int]) -> None:
    """Started from a terminal it has let go of it before the command returns."""
    master, slave = terminal
    shell = subprocess.Popen(
        [sys.executable, "-IS", "-c", LOGIN, *daemon.command()],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=clean_environment(daemon.mark),
        cwd=daemon.folder,
    )
    text = read_until(master, r"status \d+\.")
    assert "status 0." in text
    port = port_in(text)
    pid = daemon.pid
    assert targets(pid) == [os.devnull] * 3
    family = [one.pid for one in marked(daemon.mark) if pid in (one.pid, one.parent)]
    assert len(family) > WORKERS
    held = {target for one in family for target in targets(one) if target != os.devnull}
    assert all(target.startswith("socket:") for target in held)  # in place of a connection
    assert (terminal_of(shell.pid) != 0, terminal_of(pid)) == (True, 0)

    os.close(master)

    assert shell.wait(CAP_SECONDS) != 0
    assert exchange(("127.0.0.1", port), b"still here") == b"still here"
    assert daemon.pid == pid
    daemon.stop()


def test_only_what_is_a_terminal_is_let_go_of(daemon: Daemon, terminal: tuple[int, int]) -> None:
    """A log file as stderr stays, beside a terminal as stdin and stdout."""
    master, slave = terminal
    with daemon.log.open("wb") as log:
        subprocess.run(
            daemon.command(),
            stdin=slave,
            stdout=slave,
            stderr=log,
            env=clean_environment(daemon.mark),
            cwd=daemon.folder,
            timeout=CAP_SECONDS,
            check=True,
        )

    assert targets(daemon.pid) == [os.devnull, os.devnull, str(daemon.log)]
    os.close(master)
    daemon.stop()


def test_failure_is_told_on_the_terminal(daemon: Daemon, terminal: tuple[int, int]) -> None:
    """Until the service is up its errors are seen by whoever has started it."""
    master, slave = terminal
    done = subprocess.run(
        daemon.command("-p", "cat", "-B", "203.0.113.1", "-s", "0"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=clean_environment(daemon.mark),
        cwd=daemon.folder,
        timeout=CAP_SECONDS,
        check=False,
    )

    assert done.returncode == 1
    line = read_until(master, "\n")
    assert line.startswith("socket: server socket: Cannot assign requested address: 203.0.113.1")
    os.close(master)
    assert not daemon.pid_file.exists()


def test_failure_of_the_last_step_is_told(daemon: Daemon) -> None:
    """A reason that only the server can find becomes the command's own exit code."""
    daemon.start()
    port = port_in(daemon.log.read_text())

    in_use = run_socket("-b", "-p", "cat", "-B", "127.0.0.1", "-s", str(port))
    locked = run_socket(
        "-b", "-p", "cat", "-B", "127.0.0.1", "-s", "0", "--pidfile", str(daemon.pid_file)
    )
    missing = run_socket("-b", "-p", "no-such-program", "-B", "127.0.0.1", "-s", "0")

    assert (in_use.status, locked.status, missing.status) == (1, 71, 127)
    assert in_use.stderr.startswith("socket: server socket: Address already in use: 127.0.0.1 port")
    assert locked.stderr.startswith(f"socket: pid file '{daemon.pid_file}' belongs to a running")
    assert missing.stderr == "socket: cannot run 'no-such-program': it is not on PATH\n"
    daemon.stop()


def test_relative_paths_are_those_of_the_launch_directory(daemon: Daemon) -> None:
    """Socket, program and pid file are found and removed although the server is elsewhere."""
    program = daemon.folder / "tool"
    program.write_text('#!/bin/sh\necho "$1"; pwd\n')
    program.chmod(0o755)
    path = daemon.folder / "s"

    daemon.start("-p", "./tool word", "-s", "./s")

    assert exchange(str(path)) == b"word\n/\n"
    assert daemon.pid_file.exists()
    daemon.stop()
    assert not path.exists()
    assert sorted(one.name for one in daemon.folder.iterdir()) == ["log", "tool"]


def test_stopped_server_ends_with_success(daemon: Daemon) -> None:
    """SIGTERM ends the server with 0, and its log with the last event."""
    with daemon.log.open("wb") as log:
        watcher = subprocess.Popen(
            [sys.executable, "-c", WATCHER, *daemon.command(), "-v", "--log-format", "json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=clean_environment(daemon.mark),
            cwd=daemon.folder,
        )
    with watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == b"0\n"

        daemon.stop()

        assert watcher.stdout.readline() == b"0\n"
    assert '"event": "stopped"' in daemon.log.read_text().splitlines()[-1]
