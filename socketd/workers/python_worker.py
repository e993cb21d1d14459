"""The pure-Python worker: forked by the master, waits in accept(), becomes the program.

Owns a worker's life from birth to exec. Must not know why a worker is wanted. This is the
readable reference; native/worker.c does the same, step by step, ten times as fast.

Retiring is SIGWINCH, whose default action is to be ignored: a program that has just been exec'd
does not die of it. The handler must close the listening descriptor at the very instant of the
signal. A Python handler cannot: it runs between two bytecodes, so a signal in the last moment
before accept() blocks would be noticed only after the next connection. So the handler is libc's
own close(), which is async-signal-safe. A handler is called with the number of its signal, and
therefore the listener stands at the descriptor of that number. Whatever the moment, an accept()
that has not returned fails with EBADF, and one that has returned holds a connection and serves it.
"""

import contextlib
import ctypes
import errno
import fcntl
import gc
import os
import resource
import select
import signal
import socket
from collections.abc import Sequence
from typing import NoReturn

from socketd.errors import WORKER_FAILED_STATUS, ExitCode, RelayError
from socketd.loop.doorbell import open_anew
from socketd.loop.reaper import DeadChild
from socketd.loop.transience import TRANSIENT_ERRORS
from socketd.programs.command import Program
from socketd.programs.exec_rules import start_by, status_of
from socketd.programs.hold_script import read_by_hold
from socketd.programs.keeper import divide, part, stay
from socketd.programs.piped import PipedProgram, exit_like
from socketd.programs.privileges import Privileges, apply, apply_late, grant, user_of
from socketd.relay.relay import Relay, RelaySettings
from socketd.settings.readiness import ReadyLevel
from socketd.settings.stderr import StderrTarget, open_stderr
from socketd.system import cgroup
from socketd.system.scheduling import policy_of_children, take
from socketd.workers.arrival import Arrival
from socketd.workers.bell import Bell
from socketd.workers.board import Board
from socketd.workers.contract import RETIRE_SIGNAL
from socketd.workers.layout import SlotState, Step
from socketd.workers.ledger import Ledger
from socketd.workers.place import Place
from socketd.workers.spawner import WorkerPlan

_LISTENER_FD = int(RETIRE_SIGNAL)
_FIRST_OWN_FD = 3
_MOST_FDS = 2**20  # the kernel's default for fs.nr_open
_CONNECTION_FD = 3  # of a relay, which has no other left
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class PythonSpawner:
    """Forks workers from the calling process; see Spawner for the promises.

    Raises SystemFailureError if workers cannot be confined as the plan has it.
    """

    def __init__(self, plan: WorkerPlan, ledger: Ledger) -> None:
        self._plan = plan
        self._ledger = ledger
        program = plan.settings.program
        self._privileges = grant(plan.settings.confinement, program.path, *read_by_hold(program))
        ledger.family.uids.add(user_of(self._privileges))

    def spawn(self, workers: Sequence[int]) -> None:
        """Fork a worker for each number, with all signals blocked from its birth."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for number in workers:
                self._fork(number)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @property
    def pids(self) -> tuple[int, ...]:
        """Return none: there is no process but the workers."""
        return ()

    @property
    def passed_on(self) -> None:
        """Return none: there is no template."""

    @property
    def is_serving(self) -> bool:
        """Tell the truth: it forks at once."""
        return True

    @property
    def is_gone(self) -> bool:
        """Tell the truth: there is no process but the workers."""
        return True

    @property
    def level(self) -> ReadyLevel:
        """Return the only level that there is without a template."""
        return ReadyLevel.FORK

    @property
    def trouble(self) -> str | None:
        """Name no trouble but what the board tells."""
        return None

    @property
    def is_caught_up(self) -> bool:
        """Tell the truth: every requested worker has been forked."""
        return True

    def close(self) -> None:
        """Do nothing: there is no template."""

    def renew(self) -> bool:
        """Refuse: there is nothing but the master itself."""
        return False

    def drop_coming(self) -> None:
        """Do nothing: nothing is on its way."""

    def on_exit(self, child: DeadChild) -> bool:  # noqa: ARG002  no child is a template
        """Disown every child."""
        return False

    def on_crash(self) -> None:
        """Do nothing: a worker executes its program, which shares nothing with the next one."""

    def retry_after_shortage(self) -> None:
        """Do nothing: the board tells whom there was no room for."""

    def on_stopped(self, pid: int) -> None:
        """Do nothing: a stopped worker is its program's affair."""

    def _fork(self, number: int) -> None:
        policy = policy_of_children()
        try:
            pid = os.fork()
        except OSError as error:
            self._ledger.abandon((number,), error.errno or 0)
            Bell(self._plan.master_pid, self._plan.doorbell_fd).ring_at_once()
            return
        if pid == 0:
            take(policy)
            _live(self._plan, self._privileges, self._ledger.board, number)
        self._ledger.board.set_pid(number, pid)
        self._ledger.name(number, pid)


def _live(plan: WorkerPlan, privileges: Privileges, board: Board, number: int) -> NoReturn:
    """Run a worker's whole life; nothing that happens here may reach the master's code."""
    step = Step.PREPARE
    status = WORKER_FAILED_STATUS
    try:
        gc.disable()  # a collection would run finalizers of the master's objects
        board.set_pid(number, os.getpid())
        if plan.groups is not None:
            cgroup.enter(plan.groups.slot(number))
        listener, lock_fd, doorbell_fd = _prepare(plan, privileges)
        bell = Bell(plan.master_pid, doorbell_fd)
        board.set_state(number, SlotState.IDLE)
        if board.is_ringing_when_idle():
            bell.ring()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if board.is_asked_to_retire(number):
            os._exit(ExitCode.DONE)

        step = Step.ACCEPT
        place = Place(board, number, lock_fd)
        connection, arrival = _admit(listener, place, bell)
        if board.count_accept():
            bell.ring_at_once()
        else:
            bell.ring()
        if arrival.is_to_wait:
            _wait_for_turn(listener, place, arrival, bell)

        step = Step.WIRE
        environment = plan.settings.environment | arrival.variables()
        if plan.settings.relay is not None:
            connection = _leave_pool(connection)
            apply_late(privileges)
            step = Step.EXEC
            status = ExitCode.CANNOT_EXECUTE
            _carry(plan, plan.settings.relay, connection, environment)
        _wire(connection, plan.settings.stderr)
        apply_late(privileges)
        _forget_master()
        if plan.settings.linger_seconds:
            _leave_keeper(plan, connection)

        step = Step.EXEC
        status = ExitCode.CANNOT_EXECUTE
        _become(plan, environment)
    except OSError as error:
        board.write_failure(number, step, error.errno or 0)
        if step is Step.EXEC:
            status = status_of(error.errno)
    finally:
        os._exit(status)


def _prepare(plan: WorkerPlan, privileges: Privileges) -> tuple[socket.socket, int, int]:
    """Do everything that can be done before a connection; return what is needed for it.

    That is the listener, another descriptor of it, which retiring does not close, and the doorbell.

    All other descriptors are closed at once: a worker must not keep up the sockets of services
    that the master gives up, and a low limit on descriptors counts those of the master too. A
    session of its own keeps it from the terminal, see socketd/programs/execution.py.
    """
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    if plan.settings.soft_nofile is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (plan.settings.soft_nofile, hard))
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= _LISTENER_FD + 2:
        raise OSError(errno.EMFILE, "dup")  # dup2(2) would say EBADF, fcntl(2) EINVAL
    own_fd = open_anew(plan.doorbell_fd)
    doorbell_fd = fcntl.fcntl(own_fd, fcntl.F_DUPFD_CLOEXEC, _LISTENER_FD + 1)
    listener = plan.listener
    os.dup2(listener.fileno(), _LISTENER_FD, inheritable=False)
    waiting = socket.socket(listener.family, listener.type, listener.proto, fileno=_LISTENER_FD)
    lock_fd = fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, _LISTENER_FD + 1)
    _close_all_but(_LISTENER_FD, lock_fd, doorbell_fd)
    _LIBC.signal(_LISTENER_FD, ctypes.cast(_LIBC.close, ctypes.c_void_p))
    apply(privileges)
    if _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(RETIRE_SIGNAL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != plan.master_pid:
        os._exit(ExitCode.DONE)  # the master died before the kernel knew whom to tell
    return waiting, lock_fd, doorbell_fd


def _close_all_but(*kept: int) -> None:
    """Close every descriptor above the standard ones but a few."""
    first = _FIRST_OWN_FD
    for fd in sorted(kept):
        os.closerange(first, fd)
        first = fd + 1
    _close_from(first)


def _close_from(fd: int) -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(fd, _MOST_FDS if limit == resource.RLIM_INFINITY else min(limit, _MOST_FDS))


def _admit(listener: socket.socket, place: Place, bell: Bell) -> tuple[socket.socket, Arrival]:
    """Return a connection whose client may come in, and is written down; all signals are blocked.

    Others are sent away, and nobody else hears of them but by the gate: the master does not know of
    a connection yet.
    """
    while True:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        accepted = _accept(listener)
        if accepted is None:
            os._exit(ExitCode.DONE)
        connection, name = accepted
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        arrival = Arrival(place, connection, name)
        while watch := arrival.queue():
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            watch.wait(arrival.queue_end_ns)
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            watch.leave()
            arrival.ask_again()
        arrival.leave_queue()
        if arrival.may_come_in:
            return connection, arrival
        if arrival.send_away():
            bell.ring()


def _wait_for_turn(listener: socket.socket, place: Place, arrival: Arrival, bell: Bell) -> None:
    """Wait for what a slow proxy has to say, and a client's turn; end if it may not come in.

    The master knows of the connection, so nobody waits for this worker. The retire signal stays
    blocked: its handler closes what stands at the listener's number.
    """
    listener.close()
    while arrival.is_to_wait:
        if not arrival.needs_lock:
            place.leave_listener()
        signal.pthread_sigmask(signal.SIG_SETMASK, {RETIRE_SIGNAL})
        arrival.wait()
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        arrival.settle()
    if not arrival.may_come_in:
        if arrival.send_away():
            bell.ring()
        os._exit(ExitCode.DONE)


def _accept(listener: socket.socket) -> tuple[socket.socket, object] | None:
    """Wait for a connection, and the name of its peer; None when asked to leave instead."""
    while True:
        try:
            return listener.accept()
        except OSError as error:
            if error.errno == errno.EBADF:
                return None
            if error.errno == errno.EAGAIN:  # an inherited listener may be non-blocking
                _wait_readable(listener)
            elif error.errno not in TRANSIENT_ERRORS:
                raise


def _wait_readable(listener: socket.socket) -> None:
    """Wait for a connection, or for the retire handler, after which poll() says POLLNVAL."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.poll()


def _wire(connection: socket.socket, stderr: StderrTarget) -> None:
    """Put the connection onto stdin and stdout; every other descriptor closes at exec."""
    os.dup2(connection.fileno(), 0)
    os.dup2(connection.fileno(), 1)
    match stderr:
        case StderrTarget.SOCKET:
            os.dup2(connection.fileno(), 2)
        case StderrTarget.NULL | StderrTarget.SYSLOG:
            os.dup2(open_stderr(stderr), 2)
        case StderrTarget.INHERIT:
            pass


def _leave_pool(connection: socket.socket) -> socket.socket:
    """Close what would close at exec, the listener above all; return the connection."""
    fd = connection.detach()
    if fd != _CONNECTION_FD:
        os.dup2(fd, _CONNECTION_FD, inheritable=False)
    _close_from(_CONNECTION_FD + 1)
    return socket.socket(fileno=_CONNECTION_FD)


def _carry(
    plan: WorkerPlan,
    settings: RelaySettings,
    connection: socket.socket,
    environment: dict[str, str],
) -> NoReturn:
    """Run the program on two pipes and relay; end as it does. Raises OSError if it cannot run.

    The program is in this process's group, so that a signal to the group reaches both.
    """
    _forget_master()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # the relay wants the error, not the signal
    piped = PipedProgram(plan.settings.program, environment, settings, plan.settings.stderr)
    kept = connection.dup() if plan.settings.linger_seconds else None
    relay = Relay(connection, piped.source, piped.sink, settings, lambda _: None, piped.close_stdin)
    # The client has gone, in whatever way: the program was run, and the status is its own.
    with contextlib.suppress(RelayError, OSError):
        relay.run()
    status = piped.wait()
    if kept is not None:
        part(kept, plan.settings.linger_seconds)
    exit_like(status)


def _leave_keeper(plan: WorkerPlan, connection: socket.socket) -> None:
    """Go on in a child, if there can be one; this process stays behind it."""
    program = divide()
    if program:
        _close_all_but(connection.fileno())
        stay(connection, plan.settings.linger_seconds, program, plan.master_pid)


def _forget_master() -> None:
    """Take back what only a waiting worker needs."""
    signal.signal(RETIRE_SIGNAL, signal.SIG_DFL)
    _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(0), 0, 0, 0)


def _become(plan: WorkerPlan, environment: dict[str, str]) -> NoReturn:
    """Exec the program. Raises OSError if that cannot be."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def start(program: Program) -> NoReturn:
        os.execve(program.path, program.arguments, environment)

    start_by(plan.settings.program, start)
