"""A `socket` server as a test runs it: started, watched through its log, stopped, cleaned up."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.boards import BoardView
from harness.clients import Place, exchange
from harness.processes import MARK_NAME, children_of, count_descriptors, kill_marked, marked
from harness.waiting import CAP_SECONDS, wait_for

SOCKET = str(Path(sys.executable).parent / "socket")

# pipe(7): the most an ordinary user may have. A server drops log lines rather than wait for us.
_LOG_PIPE_BYTES = 1 << 20
_LAST_LINES_SECONDS = 1.0

# The names of the processes that workers are copied from.
TEMPLATES = ("socketd-zygote", "socketd-held")

Line = dict[str, Any]


@dataclass
class Outcome:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


def clean_environment(mark: str, *, is_measured: bool = True) -> dict[str, str]:
    """Return an environment with nothing of the developer's in it, and a mark.

    A measured process, and each it forks, writes its coverage to a file when it ends.
    """
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "SOCKETD_PLAIN")}
    if is_measured:
        kept |= {k: v for k, v in os.environ.items() if "COV" in k}
    return kept | {MARK_NAME: mark}


@dataclass
class Server:
    """A running server with JSON log lines on stderr."""

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    prefix: list[str] = field(default_factory=list)
    is_quiet: bool = True
    is_measured: bool = True
    cwd: str | None = None
    pass_fds: tuple[int, ...] = ()
    command: tuple[str, ...] = (SOCKET, "-v", "--log-format", "json")

    def __post_init__(self) -> None:
        """Start the process and the reader of its log."""
        self.mark = uuid.uuid4().hex
        self.lines: list[Line] = []
        self.noise: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [*self.prefix, *self.command, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=clean_environment(self.mark, is_measured=self.is_measured) | self.environment,
            start_new_session=True,
            cwd=self.cwd,
            pass_fds=self.pass_fds,
            pipesize=_LOG_PIPE_BYTES,
        )
        self._reader = threading.Thread(target=self._read_log)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Return the master's process id."""
        return self.process.pid

    @property
    def place(self) -> Place:
        """Return where to connect."""
        line = self.wait_event("service_ready")
        if line["port"] is None:
            return str(line["address"])
        host = line["address"]
        return ("::1" if host == "::" else str(host)), int(line["port"])

    @property
    def board(self) -> BoardView:
        """Return a view of the board."""
        self.wait_event("service_ready")
        return BoardView(self.pid)

    def events(self, event: str) -> list[Line]:
        """Return the lines of one event so far."""
        with self._changed:
            return [line for line in self.lines if line["event"] == event]

    def wait_event(
        self,
        event: str,
        condition: Callable[[Line], bool] = lambda _: True,
        cap_seconds: float = CAP_SECONDS,
    ) -> Line:
        """Wait for a log line of an event that meets a condition."""
        deadline = time.monotonic() + cap_seconds
        with self._changed:
            while True:
                for line in self.lines:
                    if line["event"] == event and condition(line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or (not self._reader.is_alive() and not self._changed.wait(0.01)):
                    raise AssertionError(f"no {event} in the log:\n{self.log_text()}")
                self._changed.wait(left)

    def wait_any(self, events: Sequence[str], count: int) -> Line:
        """Wait until there are so many lines of any of the events, and return the last of them."""
        deadline = time.monotonic() + CAP_SECONDS
        with self._changed:
            while True:
                found = [line for line in self.lines if line["event"] in events]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AssertionError(f"no {count} {events} in the log:\n{self.log_text()}")
                self._changed.wait(left)

    def wait_statuses(self, count: int) -> list[int]:
        """Wait until so many connections have ended, and return how, in the order of the log."""
        self.wait_any(["connection_closed"], count)
        return [line["status"] for line in self.events("connection_closed")]

    def wait_settled(self, idle: int) -> None:
        """Wait until nobody is busy, exactly `idle` workers wait, and no child is a zombie."""
        board = self.board
        wait_for(
            lambda: (board.idle, board.alive, len(self.workers())) == (idle, idle, idle),
            f"settled at {idle} idle workers",
        )

    def count_at_rest(self, idle: int) -> int:
        """Return how many descriptors the master has when its start is behind it.

        Workers may be idle before the master has closed what it has passed to their template. It
        has by the time it tells of a connection.
        """
        exchange(self.place, b"")
        self.wait_statuses(1)
        self.wait_settled(idle)
        return count_descriptors(self.pid)

    def workers(self) -> list[int]:
        """Return the pids of the master's children that are workers, zombies included."""
        return [one.pid for one in children_of(self.pid) if one.name not in TEMPLATES]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the master."""
        self.process.send_signal(number)

    def stop(self, cap_seconds: float = CAP_SECONDS) -> int:
        """Send SIGTERM and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(cap_seconds)

    def wait(self, cap_seconds: float = CAP_SECONDS) -> int:
        """Return the exit code of a server that is about to end, when its log has been read.

        What it leaves behind may keep the log open, so there is an end to that.
        """
        status = self.process.wait(cap_seconds)
        self._reader.join(_LAST_LINES_SECONDS)
        return status

    def close(self) -> None:
        """Stop whatever is left and fail if the server did not leave everything clean."""
        was_running = self.process.poll() is None
        if was_running:
            self.signal(signal.SIGTERM)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.wait()
        try:
            wait_for(lambda: not marked(self.mark), "every process of the server is gone", 5.0)
        except AssertionError as error:
            left = marked(self.mark)
            kill_marked(self.mark)
            raise AssertionError(f"left alive: {left}\n{self.log_text()}") from error
        finally:
            self._reader.join()
            assert self.process.stderr is not None
            self.process.stderr.close()
        if self.is_quiet:
            assert self.noise == [], f"unexpected lines on stderr:\n{self.log_text()}"
            # What a program dies of is no matter of the server.
            loud = [
                line
                for line in self.lines
                if line["level"] in ("warning", "error") and line["event"] != "program_killed"
            ]
            assert loud == [], f"warnings in the log: {loud}\n{self.log_text()}"

    def log_text(self) -> str:
        """Return the whole log, for a failure message."""
        return "\n".join([*self.noise, *(json.dumps(line) for line in self.lines[-60:])])

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            with self._changed:
                try:
                    self.lines.append(json.loads(raw))
                except ValueError:
                    self.noise.append(raw.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


def run_socket(*arguments: str, cap_seconds: float = CAP_SECONDS, **environment: str) -> Outcome:
    """Run `socket` to its end and check that it left no process behind."""
    mark = uuid.uuid4().hex
    try:
        done = subprocess.run(
            [SOCKET, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=cap_seconds,
            env=clean_environment(mark) | environment,
            start_new_session=True,
            check=False,
        )
        left = marked(mark)
    finally:
        kill_marked(mark)
    assert left == [], f"left alive: {left}"
    return Outcome(done.returncode, done.stdout, done.stderr)
