"""The reaper: collects every child that has ended.

Owns wait4. Must not know the pool: it cannot tell a worker from any other child.

Before a child is collected the caller may look at it: until then its process id and its group are
not reused, and the kernel tells its session.

A process that makes children of ours (CLONE_PARENT) or stops them may be faster than we are, so
there is an end to each time.
"""

import os
import signal
from collections.abc import Callable, Iterator

from socketd.dataclass import dataclass

MOST_AT_ONCE = 4096
_ENDED_OR_STOPPED = os.WEXITED | os.WSTOPPED
# What follows when a program goes on with memory that somebody has overwritten: abort() is what
# checks of the stack and of the heap call.
_OF_CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL})


@dataclass(frozen=True, slots=True)
class DeadChild:
    """A child that has ended; `status` is its exit code, or minus the signal that ended it."""

    pid: int
    status: int
    cpu_seconds: float
    max_rss_kib: int

    @property
    def has_crashed(self) -> bool:
        """Tell whether it has ended as one does whose memory was overwritten."""
        return -self.status in _OF_CRASHES


@dataclass(frozen=True, slots=True)
class StoppedChild:
    """A child that was stopped."""

    pid: int


def reap(
    look: Callable[[int], object] = lambda _: None,
    go_on: Callable[[], object] = lambda: None,
    most: int = MOST_AT_ONCE,
) -> Iterator[DeadChild | StoppedChild]:
    """Collect all children that have ended; SIGCHLDs merge, so one may stand for many.

    Each is shown to `look` before. After `most` of them, `go_on` is to have us called again.
    The peak memory is the kernel's ru_maxrss: it counts what the process was before it exec'd.
    """
    for _ in range(most):
        try:
            found = os.waitid(os.P_ALL, 0, _ENDED_OR_STOPPED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None:
            return
        look(found.si_pid)
        pid, status, usage = os.wait4(found.si_pid, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            continue  # it goes on already
        if os.WIFSTOPPED(status):
            yield StoppedChild(pid)
            continue
        yield DeadChild(
            pid,
            os.waitstatus_to_exitcode(status),
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss,
        )
    go_on()
