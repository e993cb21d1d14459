"""What a server of a file says on a terminal."""

import os
import pty
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.clients import connect
from harness.processes import kill_marked
from harness.servers import clean_environment
from harness.supervisors import SOCKETD
from harness.waiting import CAP_SECONDS

TWO = """
[service.one]
listen = ["unix:{folder}/one"]
program = "cat"
[service.two]
listen = ["unix:{folder}/two"]
program = "cat"
"""


class Screen:
    """A terminal, and the server that it belongs to."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self._fd = fd
        self.text = ""

    def wait(self, text: str, count: int = 1) -> None:
        """Wait until a text was written so often."""
        while self.text.count(text) < count:
            ready, _, _ = select.select([self._fd], [], [], CAP_SECONDS)
            assert ready, f"no {text!r} on the terminal: {self.text!r}"
            self.text += os.read(self._fd, 4096).decode()

    def wait_end(self) -> int:
        """Wait for the end of the server, and return its exit code."""
        try:
            while piece := os.read(self._fd, 4096):
                self.text += piece.decode()
        except OSError:
            pass  # a terminal that nobody has open any more
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def on_a_terminal(file: Path, mark: str) -> Iterator[Screen]:
    """Serve a file in the foreground of a terminal."""
    environment = clean_environment(mark)
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(SOCKETD, [SOCKETD, "run", str(file)], environment)
    try:
        yield Screen(pid, fd)
    finally:
        kill_marked(mark)
        os.close(fd)


def test_terminal_shows_whose_line_it_is_what_a_reload_did_and_how_many_are_left(
    tmp_path: Path, mark: str
) -> None:
    """The number of connections that a stop waits for is drawn over, and gone in the end."""
    file = tmp_path / "services.toml"
    file.write_text(TWO.format(folder=tmp_path))
    with on_a_terminal(file, mark) as screen:
        screen.wait("one: unix: bound to ")
        screen.wait("two: unix: bound to ")
        assert ", ready at " in screen.text
        with connect(str(tmp_path / "one")) as first, connect(str(tmp_path / "two")) as second:
            for connection in (first, second):
                connection.sendall(b"x")
                assert connection.recv(1) == b"x"
            os.kill(screen.pid, signal.SIGHUP)
            screen.wait("reloaded: 2 listeners; 0 added, 0 changed, 0 removed")
            os.kill(screen.pid, signal.SIGTERM)
            screen.wait("\r\x1b[Kstopping: 2 connections left")
            second.close()
            screen.wait("\r\x1b[Ktwo: connection closed")
            screen.wait("stopping: 1 connection left")
        assert screen.wait_end() == 0
    assert screen.text.endswith("\r\x1b[Kone: connection closed\r\n")
