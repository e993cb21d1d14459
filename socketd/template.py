"""The native template: a process held still, from which workers are forked.

Owns that process: its start, the pipe that carries worker numbers to it, its replacement when it
dies. Must not know why a worker is wanted. native/template.c is the other side.

The template clones with CLONE_PARENT, so workers are children of the master and outlive it. A
number that it had been given but had not cloned yet is known by its record, which holds no pid;
those are given to its successor. The pipe holds every number there is, so writing never blocks.
"""

import array
import contextlib
import errno
import fcntl
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence

from socketd import log
from socketd.board import Board, SlotState, Step
from socketd.errors import SystemFailureError, describe_errno
from socketd.pool.backoff import BackOff
from socketd.privileges import Privileges, grant
from socketd.reaper import DeadChild
from socketd.spawner import WorkerPlan
from socketd.wheel import Timer, Wheel

EXECUTABLE = os.path.join(os.path.dirname(__file__), "native", "socketd-zygote")

_NUMBER = "I"
_SMALLEST_PIPE = 65536
_RESETTABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_STEADY_SECONDS = 1.0
# The descriptors of the template, in this order: native/zygote.c counts on them.
_FIRST_FD = 3
_ABOVE_FIXED_FDS = 16


def is_built() -> bool:
    """Tell whether the native template was compiled when the package was installed."""
    return os.access(EXECUTABLE, os.X_OK)


class NativeSpawner:
    """Has workers forked by the native template; see Spawner for the promises.

    Raises SystemFailureError if the first template cannot be started, or workers cannot be
    confined as the plan has it.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        board: Board,
        service: str,
        wheel: Wheel,
        clock: Callable[[], float] = time.monotonic,
        executable: str = EXECUTABLE,
    ) -> None:
        self._plan = plan
        self._board = board
        self._service = service
        self._wheel = wheel
        self._clock = clock
        self._executable = executable
        self._back_off = BackOff(seed=os.getpid())
        self._pid: int | None = None
        self._pipe_fd: int | None = None
        self._started_seconds = 0.0
        self._restart: Timer | None = None
        self._is_closed = False
        self._is_used = False
        self._privileges = grant(plan.confinement, plan.program.path)
        try:
            self._start()
        except OSError as error:
            why = describe_errno(error.errno or 0)
            raise SystemFailureError(f"cannot start {executable!r}: {why}") from error

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the template, if there is one."""
        return () if self._pid is None else (self._pid,)

    @property
    def is_gone(self) -> bool:
        """Tell whether no process of this spawner's own is left."""
        return self._pid is None

    def spawn(self, workers: Sequence[int]) -> None:
        """Hand the numbers to the template, or to its successor if there is none now."""
        self._is_used |= bool(workers)
        if self._pipe_fd is not None:
            with contextlib.suppress(BrokenPipeError):  # it has died; its end is being reported
                os.write(self._pipe_fd, array.array(_NUMBER, workers).tobytes())

    def close(self) -> None:
        """Let the template end; what it was not given in time is stillborn."""
        self._is_closed = True
        self._close_pipe()
        if self._restart is not None:
            self._wheel.cancel(self._restart)
            self._restart = None
        if self._pid is None:
            self._abandon_unborn()

    def bury(self, child: DeadChild) -> bool:
        """Take note of the template's end; tell whether the child was the template."""
        if child.pid != self._pid:
            return False
        self._pid = None
        self._close_pipe()
        if self._is_closed:
            self._abandon_unborn()
        else:
            if self._clock() - self._started_seconds > _STEADY_SECONDS:
                self._back_off.succeed(self._started_seconds)
            self._restart_later(f"ended with status {child.status}")
        return True

    def distrust(self, pid: int) -> None:
        """End the template if it is the one that was stopped: it would serve nobody."""
        if pid == self._pid:
            os.kill(pid, signal.SIGKILL)

    def _start(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        plan = self._plan
        sources = (self._board.fd, plan.listener.fileno(), reading, plan.doorbell_fd)
        try:
            os.set_blocking(reading, True)
            size = self._board.watched * array.array(_NUMBER).itemsize
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, max(size, _SMALLEST_PIPE))
            with contextlib.ExitStack() as copies:
                descriptors = []
                for fd in sources:
                    # posix_spawn duplicates in turn: no source may lie among the targets.
                    copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_FIXED_FDS)
                    copies.callback(os.close, copy)
                    descriptors.append(copy)
                self._pid = self._execute(descriptors)
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        self._pipe_fd = writing
        self._started_seconds = self._clock()
        log.emit("template_started", service=self._service, pid=self._pid)
        self.spawn(self._unborn())

    def _execute(self, descriptors: list[int]) -> int:
        plan = self._plan
        arguments = [
            f"socketd: {self._service}",  # what ps(1) shows first, also of idle workers
            "--master", str(plan.master_pid),
            "--stderr", plan.stderr.value,
            "--path", plan.program.path,
            *_options(self._privileges),
            "--", *plan.program.arguments,
        ]  # fmt: skip
        pid = os.posix_spawn(
            self._executable,
            arguments,
            plan.environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, fd, _FIRST_FD + place) for place, fd in enumerate(descriptors)
            ],
            setpgroup=0,
            setsigmask=(),
            setsigdef=_RESETTABLE,
        )
        if plan.soft_nofile is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            # Before any number is in the pipe: all workers are born with it.
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it has become another
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (plan.soft_nofile, hard))
        return pid

    def _restart_later(self, reason: str) -> None:
        now = self._clock()
        delay = self._back_off.fail(now)
        self._restart = self._wheel.add(now + delay, self._start_again)
        log.emit(
            "template_failed",
            service=self._service,
            reason=reason,
            delay_s=round(delay, 3),
            step=self._back_off.step,
        )

    def _start_again(self) -> None:
        self._restart = None
        try:
            self._start()
        except OSError as error:
            self._restart_later(f"cannot start: {describe_errno(error.errno or 0)}")

    def _unborn(self) -> list[int]:
        """Return the numbers that were asked for, of us, and have no process."""
        if not self._is_used:  # another one of our generation may be: we were only tried
            return []
        board, generation = self._board, self._plan.generation
        return [
            number
            for number in board.find(SlotState.STARTING)
            if not board.pid(number) and board.generation(number) == generation
        ]

    def _abandon_unborn(self) -> None:
        for number in self._unborn():
            self._board.write_failure(number, Step.FORK, errno.ECANCELED)
            self._board.set_state(number, SlotState.STILLBORN)

    def _close_pipe(self) -> None:
        if self._pipe_fd is not None:
            os.close(self._pipe_fd)
            self._pipe_fd = None


def _options(privileges: Privileges) -> list[str]:
    """Return the options by which the template is told what to give up."""
    options: list[tuple[str, str]] = []
    if privileges.identity is not None:
        who = privileges.identity
        options.append(("--uid", str(who.uid)))
        options.append(("--gid", str(who.gid)))
        options.append(("--groups", ",".join(map(str, who.groups))))
    if privileges.umask is not None:
        options.append(("--umask", f"{privileges.umask:03o}"))
    if privileges.directory is not None:
        options.append(("--directory", privileges.directory))
    if privileges.nice is not None:
        options.append(("--nice", str(privileges.nice)))
    for limit in privileges.limits:
        soft, hard = ("unlimited" if one is None else one for one in (limit.soft, limit.hard))
        options.append(("--limit", f"{limit.name}={soft}:{hard}"))
    if privileges.no_new_privs:
        options.append(("--no-new-privs", "yes"))
    return [word for option in options for word in option]
