"""A master of nothing but the parts that the native template needs.

Owns the processes it starts and ends them all. Must not know what a test wants to prove.
"""

import array
import contextlib
import fcntl
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from harness.plans import NOBODY_S_PRIVILEGES, encoded, worker_plan
from socketd.programs.cgi import Front
from socketd.programs.privileges import Privileges
from socketd.settings.readiness import ReadyLevel
from socketd.workers.board import Board
from socketd.workers.layout import SlotState
from socketd.workers.plan import seal

CAP_SECONDS = 20.0
_STEP_SECONDS = 0.002
_FIRST_SPARE_FD = 100
BASE_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "KEPT": "as it was"}


def wait_until(is_true: Callable[[], bool], fact: str) -> None:
    """Look again and again until something is true; the only place where these tests poll."""
    deadline = time.monotonic() + CAP_SECONDS
    while not is_true():
        assert time.monotonic() < deadline, f"waited {CAP_SECONDS} s in vain: {fact}"
        time.sleep(_STEP_SECONDS)


def wait_readable(fd: int) -> None:
    """Wait until a descriptor has something to read."""
    assert select.select([fd], [], [], CAP_SECONDS)[0], "waited in vain for a descriptor"


def read_to_end(connection: socket.socket) -> bytes:
    """Return everything a peer sends until it is done."""
    connection.settimeout(CAP_SECONDS)
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def exchange(address: object, request: bytes = b"") -> bytes:
    """Connect over IPv4, send a request, finish sending, return the reply."""
    with socket.create_connection(address, CAP_SECONDS) as client:  # type: ignore[arg-type]  # getsockname() is Any
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return read_to_end(client)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Let the wake-up descriptor tell."""


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it leads no group yet
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


class FakeMaster:
    """A context that owns a board, a doorbell, one template and its workers."""

    def __init__(self, zygote: Path, capacity: int = 8) -> None:
        self.zygote = zygote
        self.board = Board(capacity)
        self.slots_read_fd, self.slots_fd = os.pipe2(os.O_CLOEXEC)
        self.doorbell_read_fd, self.doorbell_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.output_read_fd, self.output_fd = os.pipe2(os.O_CLOEXEC)
        self.zygote_pid = 0
        self._ended: set[int] = {0}

    def __enter__(self) -> Self:
        """Listen to the doorbell."""
        self._previous_handler = signal.signal(signal.SIGUSR1, _ignore)
        self._previous_fd = signal.set_wakeup_fd(self.doorbell_fd, warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything; fails when something outlives that, or has written what nobody read."""
        self.end_slots()
        try:
            if self.zygote_pid not in self._ended:
                self.wait_exit(self.zygote_pid)
        finally:
            workers = map(self.board.pid, range(self.board.capacity))
            left = {self.zygote_pid, *workers} - self._ended
            for pid in left:
                _kill(pid)
            for pid in left:
                self.wait_exit(pid)
            output = self.wait_output()
            signal.set_wakeup_fd(self._previous_fd)
            signal.signal(signal.SIGUSR1, self._previous_handler)
            for fd in (self.slots_read_fd, self.doorbell_read_fd, self.doorbell_fd):
                os.close(fd)
            os.close(self.output_read_fd)
            self.board.close()
        if kind is None:
            assert output == b""

    def start(
        self,
        listener: socket.socket | int,
        program: Sequence[str] = ("/bin/cat", "cat"),
        stderr: str = "socket",
        launcher: Sequence[str] = (),
        blocked: Iterable[signal.Signals] = (),
        front: Front | None = None,
        privileges: Privileges = NOBODY_S_PRIVILEGES,
        level: ReadyLevel = ReadyLevel.FORK,
    ) -> None:
        """Start the template; `program` is its path, then its arguments from the zeroth on."""
        fds = {4: listener if isinstance(listener, int) else listener.fileno()}
        content = encoded(worker_plan(program, stderr, front=front), privileges, level)
        self.start_raw(content, fds, launcher, blocked)

    def start_raw(
        self,
        content: bytes,
        fds: dict[int, int],
        launcher: Sequence[str] = (),
        blocked: Iterable[signal.Signals] = (),
    ) -> None:
        """Start the template with these bytes for a plan; a descriptor of -1 is closed there."""
        plan_fd = seal(content)
        null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        wanted = {
            0: null_fd,
            1: self.output_fd,
            2: self.output_fd,
            3: self.board.fd,
            5: self.slots_read_fd,
            6: self.doorbell_fd,
            7: plan_fd,
            **fds,
        }
        # Each goes out of the way first: one may stand where another is to be put.
        spare = {
            target: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_SPARE_FD)
            for target, fd in wanted.items()
            if fd >= 0
        }
        actions: list[tuple[int, int] | tuple[int, int, int]] = [
            (os.POSIX_SPAWN_DUP2, fd, target) for target, fd in spare.items()
        ]
        actions += [(os.POSIX_SPAWN_CLOSE, target) for target, fd in wanted.items() if fd < 0]
        command = [*launcher, str(self.zygote)]
        self.zygote_pid = os.posix_spawn(
            command[0],
            command,
            BASE_ENVIRONMENT,
            file_actions=actions,
            setpgroup=0,
            setsigmask=blocked,
        )
        for fd in (null_fd, plan_fd, *spare.values()):
            os.close(fd)

    def spawn(self, *numbers: int) -> None:
        """Ask for workers and wait until each waits for a connection or already has one."""
        self.ask(*numbers)
        for number in numbers:
            self.wait_state(number, SlotState.IDLE, SlotState.ACCEPTED)

    def ask(self, *numbers: int) -> None:
        """Ask for workers."""
        for number in numbers:
            self.board.claim(number, generation=1)
        os.write(self.slots_fd, array.array("I", numbers).tobytes())

    def end_slots(self) -> None:
        """Let the template see the end of its pipe."""
        if self.slots_fd >= 0:
            os.close(self.slots_fd)
            self.slots_fd = -1

    def wait_state(self, number: int, *states: SlotState) -> None:
        """Wait for a slot to reach one of the given states."""
        wait_until(lambda: self.board.state(number) in states, f"slot {number} in {states}")

    def wait_ring(self) -> bytes:
        """Wait until somebody has rung; return what came."""
        wait_readable(self.doorbell_read_fd)
        return os.read(self.doorbell_read_fd, 65536)

    def take_rings(self) -> bytes:
        """Return what has come until now."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.doorbell_read_fd, 65536)
        return b""

    def wait_exit(self, pid: int) -> int:
        """Wait for the end of a child; return its exit code, or minus the signal's number."""
        ended: list[int] = []

        def has_ended() -> bool:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                ended.append(os.waitstatus_to_exitcode(status))
            return bool(found)

        wait_until(has_ended, f"end of process {pid}")
        self._ended.add(pid)
        return ended[0]

    def wait_worker_exit(self, number: int) -> int:
        """Wait for the end of a worker; return its exit code."""
        wait_until(lambda: self.board.pid(number) > 0, f"birth of worker {number}")
        return self.wait_exit(self.board.pid(number))

    def wait_output(self) -> bytes:
        """Return what was written to the master's own output once all who could write are gone."""
        if self.output_fd >= 0:
            os.close(self.output_fd)
            self.output_fd = -1
        output = b""
        while True:
            wait_readable(self.output_read_fd)
            piece = os.read(self.output_read_fd, 65536)
            if not piece:
                return output
            output += piece
