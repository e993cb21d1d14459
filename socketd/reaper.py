"""The reaper: collects every child that has ended.

Owns wait4. Must not know the pool: it cannot tell a worker from any other child.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeadChild:
    """A child that is gone; `status` is its exit code, or minus the signal that ended it."""

    pid: int
    status: int
    cpu_seconds: float
    max_rss_kib: int


@dataclass(frozen=True, slots=True)
class StoppedChild:
    """A child that somebody has stopped."""

    pid: int


def reap() -> Iterator[DeadChild | StoppedChild]:
    """Collect children until none is left to collect; SIGCHLDs merge, so one may mean many.

    The peak memory is the kernel's ru_maxrss: it counts what the process was before it exec'd.
    """
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if os.WIFSTOPPED(status):
            yield StoppedChild(pid)
            continue
        yield DeadChild(
            pid,
            os.waitstatus_to_exitcode(status),
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss,
        )
