"""How a template is started: the zygote, or the user's program with our object in it.

Owns the two calls and the descriptors that pass. Must not know when a program is held, nor what
becomes of a template. native/zygote/zygote.c and native/hold/ are the other side.

The zygote gets its descriptors at fixed numbers. A program that is to be held gets one end of a
socket pair in place of the connection, and nothing else of ours: the descriptors follow when it is
held, so neither what it starts before nor who takes its descriptors can have them.
"""

import array
import contextlib
import fcntl
import os
import resource
import signal
import socket
import stat
import termios
from collections.abc import Iterator, Sequence

from socketd.dataclass import dataclass, field
from socketd.errors import SocketdError
from socketd.loop.doorbell import open_anew
from socketd.programs.command import Program
from socketd.programs.exec_rules import start_by
from socketd.programs.execution import Execution, execute, execute_confined
from socketd.programs.loadable import why_not_loadable
from socketd.programs.privileges import CannotApplyError, Privileges
from socketd.programs.reach import make_ruleset
from socketd.programs.trial_request import UnusableRequestError, open_request
from socketd.settings.readiness import ReadyLevel
from socketd.settings.stderr import StderrTarget, open_stderr
from socketd.system import cgroup
from socketd.system.descriptors import copy_above
from socketd.system.products import HOLD_OBJECT, as_first_used, is_as_first_used
from socketd.workers import kin
from socketd.workers.board import Board
from socketd.workers.groups import SlotGroups
from socketd.workers.plan import encode, encode_first_call, seal
from socketd.workers.spawner import WorkerPlan

# Programs do not use the last real-time signals; native/hold is told the number.
HOLD_SIGNAL = signal.SIGRTMAX - 3

NUMBER = "I"
_SMALLEST_PIPE = 65536
_MOST_MS = 2**31 - 1
# The descriptors of the zygote, in this order: native/zygote/zygote.c counts on them.
_FIRST_FD = 3
_RULESET_FD = 8
_GROUPS_FD = 9
_ABOVE_FIXED_FDS = 16
# As in native/hold/handover.c.
_HAS_NOTHING_MORE, _HAS_GROUPS, _HAS_REQUEST = 0, 1, 2
ABOVE_STANDARD_FDS = 3


class NotHeldError(SocketdError):
    """A program cannot be held; the text says why."""


@dataclass(slots=True)
class Template:
    """A process that workers are forked from, or will be; `pipe_fd` takes their numbers.

    As long as a program is on its way, `handover` is what it will be given, of which `passed` is
    then no longer ours, and `more` says what is among it that need not be; `answer_fd` is where it
    says that it is held, or why not. `stand_in` is its input then, which we keep to see what the
    program does to it. `canary` tells whether each worker has a stack canary of its own, or why it
    has that of its template. `warm_up` is what a copy has made of a request, if there was one: its
    exit code, and the bytes of its answer. `groups` are those that its workers are born in.
    """

    pid: int
    pipe_fd: int
    level: ReadyLevel
    answer_fd: int = -1
    handover: list[int] = field(default_factory=list)
    passed: list[int] = field(default_factory=list)
    more: int = _HAS_NOTHING_MORE
    groups: SlotGroups | None = None
    descriptors: str = ""
    canary: str = "own"
    warm_up: tuple[int, int] | None = None
    stand_in: socket.socket | None = None

    def ask_for(self, numbers: Sequence[int]) -> bool:
        """Write numbers into the pipe; tell whether they had room, as they have if it reads."""
        orders = numbers if self.groups is None else map(self.groups.order, numbers)
        content = array.array(NUMBER, orders).tobytes()
        try:
            return os.write(self.pipe_fd, content) == len(content)
        except BlockingIOError:
            return False

    @property
    def input_inode(self) -> int:
        """Return what the input of a program on its way is known by."""
        return 0 if self.stand_in is None else os.fstat(self.stand_in.fileno()).st_ino

    @property
    def has_read_all(self) -> bool:
        """Tell whether nothing waits in the pipe; not for one that is closed."""
        unread = array.array("i", (0,))
        fcntl.ioctl(self.pipe_fd, termios.FIONREAD, unread)
        return unread[0] == 0

    def hand_over(self, channel: socket.socket) -> None:
        """Give the program what a template needs; it has it from then on, and we no longer."""
        socket.send_fds(channel, [bytes((self.more,))], self.handover)
        self._let_go()

    def settle(self) -> None:
        """Close what only a program on its way needs."""
        self._let_go()
        if self.stand_in is not None:
            self.stand_in.close()
            self.stand_in = None
        if self.answer_fd >= 0:
            os.close(self.answer_fd)
            self.answer_fd = -1

    def close(self) -> None:
        """Close every descriptor that is left: the template ends when it has read its pipe."""
        self.settle()
        if self.pipe_fd >= 0:
            os.close(self.pipe_fd)
            self.pipe_fd = -1

    def _let_go(self) -> None:
        while self.passed:
            os.close(self.passed.pop())


def _slots_pipe(board: Board) -> tuple[int, int]:
    """Make a pipe that holds every number there is, so that the master never waits to write."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.set_blocking(reading, True)
        size = board.watched * array.array(NUMBER).itemsize
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, max(size, _SMALLEST_PIPE))
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    return reading, writing


def _copy_above(fd: int, lowest: int, copies: contextlib.ExitStack) -> int:
    # posix_spawn duplicates in turn: no source may lie among the targets.
    copy = copy_above(fd, lowest)
    copies.callback(os.close, copy)
    return copy


def launch_zygote(
    plan: WorkerPlan, board: Board, executable: str, privileges: Privileges, service: str
) -> Template:
    """Start our own template. Raises OSError."""
    board.write_header()
    is_relaying = plan.settings.readiness.level is ReadyLevel.RELAY
    level = ReadyLevel.RELAY if is_relaying else ReadyLevel.FORK
    reading, writing = _slots_pipe(board)
    arguments = (f"socketd: {service}",)  # what ps(1) shows first, also of idle workers
    try:
        with contextlib.ExitStack() as copies:
            bell_fd = open_anew(plan.doorbell_fd)
            copies.callback(os.close, bell_fd)
            plan_fd = seal(encode(plan, privileges, level))
            copies.callback(os.close, plan_fd)
            sources = dict(
                enumerate((board.fd, plan.listener.fileno(), reading, bell_fd, plan_fd), _FIRST_FD)
            )
            if privileges.boundary is not None:
                sources[_RULESET_FD] = make_ruleset(privileges.boundary, privileges.chroot)
                copies.callback(os.close, sources[_RULESET_FD])
            if plan.groups is not None:
                sources[_GROUPS_FD] = os.open(plan.groups.path, os.O_PATH | os.O_CLOEXEC)
                copies.callback(os.close, sources[_GROUPS_FD])
            targets = {
                target: _copy_above(fd, _ABOVE_FIXED_FDS, copies) for target, fd in sources.items()
            }
            path = as_first_used(executable)
            pid = execute(Execution(path, arguments, plan.settings.environment, targets))
            if plan.groups is not None:
                _put_into(plan.groups.template, pid)
    except OSError:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    if plan.settings.soft_nofile is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Before any number is in the pipe: all workers are born with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has become another
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (plan.settings.soft_nofile, hard))
    return Template(pid, writing, level, groups=plan.groups)


def _put_into(group: str, pid: int) -> None:
    """Put a template into a group that has not been asked for any worker yet. Raises OSError."""
    try:
        cgroup.enter(group, pid)
    except ProcessLookupError:
        return  # it has ended, which is reported
    except OSError:
        kin.send(pid, signal.SIGKILL)
        raise


def launch_held(
    plan: WorkerPlan, board: Board, level: ReadyLevel, privileges: Privileges
) -> Template:
    """Start the user's program to be held at a level. Raises NotHeldError."""
    with refusing(plan):
        return _launch_held(plan, board, level, privileges)


@contextlib.contextmanager
def refusing(plan: WorkerPlan) -> Iterator[None]:
    """Raise NotHeldError for a program that nothing can be preloaded into, or whose start fails."""
    reason = _why_not(plan.settings.program.path)
    if reason is not None:
        raise NotHeldError(reason)
    try:
        yield
    except CannotApplyError as error:
        raise NotHeldError(f"cannot {error.attempt}: {error.strerror}") from error
    except OSError as error:
        raise NotHeldError(f"it cannot be started: {error.strerror}") from error


def _why_not(path: str) -> str | None:
    if not os.path.exists("/proc/self"):
        return "/proc is not mounted, so it cannot be seen how far it has got"
    if not os.access(HOLD_OBJECT, os.R_OK):
        return "the object that holds it was not built when socketd was installed"
    if not is_as_first_used(HOLD_OBJECT):
        return (
            "another version of socketd has been installed; SIGUSR2 to `socketd run` or a restart "
            "brings it in"
        )
    if ":" in HOLD_OBJECT or " " in HOLD_OBJECT:
        return f"LD_PRELOAD cannot name {HOLD_OBJECT!r}"
    return why_not_loadable(path, HOLD_OBJECT)


def _launch_held(
    plan: WorkerPlan, board: Board, level: ReadyLevel, privileges: Privileges
) -> Template:
    board.write_header()
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as copies:
        reading, writing = _slots_pipe(board)
        undo.callback(os.close, reading)
        undo.callback(os.close, writing)
        answer_fd, answering = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        undo.callback(os.close, answer_fd)
        undo.callback(os.close, answering)
        # What the program writes waits at the other end; see native/hold/hold.c.
        capture, stand_in = socket.socketpair()
        undo.callback(capture.close)
        undo.callback(stand_in.close)
        bell_fd = open_anew(plan.doorbell_fd)
        undo.callback(os.close, bell_fd)
        plan_fd = seal(encode(plan, privileges, level))
        undo.callback(os.close, plan_fd)
        more = _HAS_NOTHING_MORE
        passed = [reading, bell_fd, -1, answering, plan_fd]
        if plan.groups is not None:
            passed.append(os.open(plan.groups.path, os.O_PATH | os.O_CLOEXEC))
            undo.callback(os.close, passed[-1])
            more |= _HAS_GROUPS
        if (request_fd := _open_request(plan, level)) >= 0:
            passed.append(request_fd)
            undo.callback(os.close, request_fd)
            more |= _HAS_REQUEST
        connection = _copy_above(stand_in.fileno(), ABOVE_STANDARD_FDS, copies)
        targets = {0: connection, 1: connection}
        if plan.settings.stderr is StderrTarget.SOCKET:
            targets[2] = connection
        elif plan.settings.stderr is not StderrTarget.INHERIT:
            stderr_fd = open_stderr(plan.settings.stderr)
            copies.callback(os.close, stderr_fd)
            targets[2] = _copy_above(stderr_fd, ABOVE_STANDARD_FDS, copies)
        log = _log_inode(targets[2]) if plan.settings.stderr is StderrTarget.SYSLOG else 0
        first_call = encode_first_call(plan, level, HOLD_SIGNAL, log)
        pid = start_preloaded(plan, privileges, {"SOCKETD_HOLD": first_call}, targets)
        undo.pop_all()
    # In the order of native/hold/handover.h; the first two stay ours.
    passed[2] = capture.detach()
    handover = [board.fd, plan.listener.fileno(), *passed]
    return Template(
        pid, writing, level, answer_fd, handover, passed, more, plan.groups, stand_in=stand_in
    )


def _open_request(plan: WorkerPlan, level: ReadyLevel) -> int:
    """Return the request for a copy on trial, -1 if there is none. Raises NotHeldError."""
    path = plan.settings.readiness.warm_up
    if path is None or level is ReadyLevel.LOAD:
        return -1
    try:
        return open_request(path)
    except UnusableRequestError as error:
        raise NotHeldError(f"the request for its trial, {path!r}, {error}") from error


def start_preloaded(
    plan: WorkerPlan, privileges: Privileges, variables: dict[str, str], targets: dict[int, int]
) -> int:
    """Start the user's program with our object in it; return its process id. Raises OSError.

    Every source among `targets` must be above 2.
    """
    environment = dict(plan.settings.environment)
    # Last, where our object can take them out without a gap.
    own = environment.pop("LD_PRELOAD", None)
    environment["LD_PRELOAD"] = HOLD_OBJECT if own is None else f"{HOLD_OBJECT}:{own}"
    environment |= variables

    def start(program: Program) -> int:
        execution = Execution(program.path, program.arguments, environment, targets)
        return _start(execution, plan, privileges)

    return start_by(plan.settings.program, start)


def is_preloaded(listing: bytes) -> bool:
    """Tell whether our object is among what a loader has listed."""
    return os.fsencode(HOLD_OBJECT) in listing


def _log_inode(fd: int) -> int:
    """Return what the socket that leads to the system's log is known by, 0 if there is no log."""
    found = os.fstat(fd)
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else 0


def _start(execution: Execution, plan: WorkerPlan, privileges: Privileges) -> int:
    """Start foreign code, which must not run with more than it may have, not even for a moment."""
    if privileges == Privileges() and plan.settings.soft_nofile is None and plan.groups is None:
        return execute(execution)
    group = None if plan.groups is None else plan.groups.template
    return execute_confined(execution, privileges, plan.settings.soft_nofile, HOLD_OBJECT, group)
