"""Re-exec: the next version of this program, first proven in a child, then put in our place.

Owns the child, the descriptors and the signal mask that go through exec. Must not know what is
passed on: the caller says how it is written down.

execve(2) keeps the process id, the children, descriptors without close-on-exec, pending signals
and the mask. All signals are blocked across it: SIGUSR1, with which workers ring, would end a
process that has no handler yet. What comes meanwhile stays pending. The pipe of a template that
serves stays open: it makes workers for the next version until that has a template of its own. Other
templates read end of file, make what they had been asked for, and end.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

from socketd import __version__
from socketd.control.passing import ControlState
from socketd.dataclass import dataclass, field
from socketd.errors import describe_refusal
from socketd.loop.reaper import DeadChild
from socketd.loop.wheel import Timer, Wheel
from socketd.master.agreement import SNAPSHOT_VARIABLE
from socketd.master.endpoints import EndpointSnapshot
from socketd.master.faults import describe
from socketd.master.history import History
from socketd.operations import log
from socketd.system.scheduling import stop_yielding, yield_to_children
from socketd.workers import kin

_PROOF_SECONDS = 30.0
_MOST_COMPLAINT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a master leaves to its successor; `version` is that of the program it ran."""

    endpoints: list[EndpointSnapshot]
    doorbell: tuple[int, int]
    crashes: int = 0
    version: str = __version__
    history: History = field(default_factory=History)
    control: ControlState | None = None
    sensed: dict[str, int] = field(default_factory=dict)
    log_level: log.LogLevel = field(default_factory=log.level)

    @property
    def fds(self) -> list[int]:
        """Return the descriptors that must live through exec."""
        listeners = [endpoint.listener.fd for endpoint in self.endpoints]
        states = [one.state for one in self.endpoints if one.state is not None]
        own = [fd for state in states for fd in state.processes.fds]
        control = () if self.control is None else self.control.fds
        return [fd for fd in (*listeners, *own, *self.doorbell, *control) if fd is not None]


@dataclass(frozen=True, slots=True)
class NextVersion:
    """How a successor is started: the command that proves it, and the one that becomes it.

    `write` puts a snapshot into bytes; `keep` are further descriptors that it speaks of.
    """

    proof: tuple[str, ...]
    command: tuple[str, ...]
    write: Callable[[Snapshot], bytes]
    keep: tuple[int, ...] = ()


class Successor:
    """The next version of this program."""

    def __init__(self, next_version: NextVersion) -> None:
        self.is_proven = False
        self.on_failed: Callable[[str], None] = lambda _: None
        self._next = next_version
        self._pid: int | None = None
        self._complaints_fd = -1
        self._deadline: Timer | None = None
        self._wheel: Wheel | None = None

    def prove(self, wheel: Wheel) -> None:
        """Start a child that tries whether the next version would come up; one at a time."""
        if self._pid is not None:
            return
        self._wheel = wheel
        log.emit("reexec_started", command=" ".join(self._next.command))
        try:
            self._pid = self._start_proof()
        except OSError as error:
            self._fail(f"cannot run {self._next.proof[0]!r}: {describe_refusal(error.errno or 0)}")
        else:
            self._deadline = wheel.add(time.monotonic() + _PROOF_SECONDS, self._lose_patience)

    def _start_proof(self) -> int:
        with contextlib.ExitStack() as undoing, contextlib.ExitStack() as closing:
            self._complaints_fd = os.memfd_create("socketd-proof", os.MFD_CLOEXEC)
            undoing.callback(os.close, self._complaints_fd)
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            closing.callback(os.close, null)
            pid = os.posix_spawn(
                self._next.proof[0],
                self._next.proof,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, self._complaints_fd, 1),
                    (os.POSIX_SPAWN_DUP2, self._complaints_fd, 2),
                ],
                setpgroup=0,
                setsigmask=(),
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
            undoing.pop_all()
            return pid

    def is_candidate(self, pid: int) -> bool:
        """Tell whether it is the child."""
        return pid == self._pid

    def on_exit(self, child: DeadChild) -> None:
        """Take note of the child's verdict."""
        self._pid = None
        if self._deadline is not None and self._wheel is not None:
            self._wheel.cancel(self._deadline)
        complaints = os.pread(self._complaints_fd, _MOST_COMPLAINT_BYTES, 0)
        os.close(self._complaints_fd)
        if child.status == 0:
            self.is_proven = True
        else:
            text = "; ".join(complaints.decode(errors="replace").split("\n")).strip("; ")
            self._fail(f"the new version would not start (status {child.status}): {text}")

    def replace(self, settle: Callable[[], Snapshot]) -> None:
        """Become the successor; return only if that cannot be, with everything as it was."""
        self.is_proven = False
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        fds: list[int] = []
        try:
            snapshot = settle()
            with open(os.memfd_create("socketd-snapshot", 0), "w+b") as file:
                file.write(self._next.write(snapshot))
                file.flush()
                fds += [*snapshot.fds, *self._next.keep]
                for fd in fds:
                    os.set_inheritable(fd, True)
                sys.stdout.flush()
                sys.stderr.flush()
                environment = {**os.environ, SNAPSHOT_VARIABLE: str(file.fileno())}
                stop_yielding()
                os.execve(self._next.command[0], self._next.command, environment)
        except OSError as error:
            self._fail(f"cannot become the new version: {describe_refusal(error.errno or 0)}")
        except Exception as error:
            self._fail(f"a bug in socketd: {describe(error)}")
            raise
        finally:
            yield_to_children()
            for fd in fds:
                with contextlib.suppress(OSError):
                    os.set_inheritable(fd, False)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Give the child up: there will be no successor."""
        if self._pid is not None:
            self._lose_patience()

    def _lose_patience(self) -> None:
        self._deadline = None
        if self._pid is not None:
            kin.end(self._pid)

    def _fail(self, reason: str) -> None:
        log.emit("reexec_failed", reason=reason)
        self.on_failed(reason)
