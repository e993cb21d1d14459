"""Starting a program with chosen descriptors, with our privileges or with fewer.

Owns the steps from here to the program's first instruction. Must not know what it is started for.

Each program gets its own session, which its descendants inherit and cannot choose; by it we
recognize them as ours. And a process outside a terminal's session can neither type into the
terminal (TIOCSTI) nor open /dev/tty.

Nothing is closed here: all our descriptors are close-on-exec, and the inherited ones are so since
our start (descriptors.py). To check every descriptor for every program would make the start of many
services quadratic.
"""

import errno
import functools
import gc
import os
import resource
import signal
from collections.abc import Mapping
from typing import NoReturn

from socketd.dataclass import dataclass
from socketd.errors import WORKER_FAILED_STATUS
from socketd.programs.privileges import CannotApplyError, Privileges, apply_to_template
from socketd.system import cgroup
from socketd.system.descriptors import copy_above
from socketd.system.scheduling import policy_of_children, take

_UNCATCHABLE = frozenset({signal.SIGKILL, signal.SIGSTOP})


@dataclass(frozen=True, slots=True)
class Execution:
    """What to exec, in its own session; `targets` maps descriptors to their sources.

    Every source descriptor must be greater than every target.
    """

    path: str
    arguments: tuple[str, ...] | list[str]
    environment: Mapping[str, str]
    targets: dict[int, int]


def execute(execution: Execution) -> int:
    """Start a program and return its process id. Raises OSError."""
    policy = policy_of_children()
    spawn = functools.partial(
        os.posix_spawn,
        execution.path,
        execution.arguments,
        execution.environment,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, fd, target) for target, fd in execution.targets.items()
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=signal.valid_signals() - _UNCATCHABLE,
    )
    return spawn() if policy is None else spawn(scheduler=policy)


def execute_confined(
    execution: Execution,
    privileges: Privileges,
    soft_nofile: int | None,
    needed: str,
    group: str | None = None,
) -> int:
    """Do the same with privileges dropped before; `needed` is a file that it must be able to read.

    `group` is the control group that it has to be in, if it is not to be in ours. Raises
    OSError, as CannotApplyError.
    """
    reading, low = os.pipe2(os.O_CLOEXEC)
    with open(reading, "rb") as answer:
        try:
            writing = copy_above(low, max(execution.targets) + 1)
        finally:
            os.close(low)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        policy = policy_of_children()
        try:
            pid = os.fork()
            if pid == 0:
                take(policy)
                _become(execution, privileges, soft_nofile, needed, group, writing)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(writing)
        # Ends with exec.
        number, _, attempt = answer.read().decode(errors="replace").partition(" ")
    if attempt:
        os.waitpid(pid, 0)
        raise CannotApplyError(attempt, int(number))
    return pid


def _become(
    execution: Execution,
    privileges: Privileges,
    soft_nofile: int | None,
    needed: str,
    group: str | None,
    writing: int,
) -> NoReturn:
    """Exec the program, or report why not; all signals are blocked since the fork."""
    attempt = f"run {execution.path!r}"
    try:
        gc.disable()  # a garbage collection would run finalizers of the master's objects
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - _UNCATCHABLE:
            signal.signal(number, signal.SIG_DFL)
        for target, fd in execution.targets.items():
            os.dup2(fd, target)
        if soft_nofile is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft_nofile, hard))
        if group is not None:
            attempt = f"enter the group {group!r}"
            cgroup.enter(group)
            attempt = f"run {execution.path!r}"
        apply_to_template(privileges, lambda: _check_readable(needed))
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(execution.path, execution.arguments, execution.environment)
    except CannotApplyError as error:
        os.write(writing, f"{error.errno} {error.attempt}".encode(errors="replace"))
    except OSError as error:
        os.write(writing, f"{error.errno} {attempt}".encode(errors="replace"))
    finally:
        os._exit(WORKER_FAILED_STATUS)


def _check_readable(path: str) -> None:
    if not os.access(path, os.R_OK):
        raise CannotApplyError(f"read {path!r} as its user", errno.EACCES)
