"""Processes: what /proc says of them, and the certain end of all that were started.

Owns the reading of /proc and the killing. Must not know what a server is.

A server may put its children into other groups and sessions, or leave them behind when it ends.
So this process makes itself their subreaper: whatever is orphaned becomes its child, and nothing
that was started under it can get lost.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.002


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the reaper of orphans (prctl)")


def wait_until(
    is_true: Callable[[], bool], seconds: float, step_seconds: float = _POLL_SECONDS
) -> bool:
    """Ask again in short steps until the answer is yes; return False if it never was."""
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(step_seconds)
    return True


def children(pid: int) -> list[int]:
    """List the living children of a process, of all its threads."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    return found


def descendants(pid: int) -> Iterator[int]:
    """Walk all processes below one, parents first."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def end_all() -> None:
    """Kill everything below this process and reap it, until nothing is left."""
    me = os.getpid()

    def is_empty() -> bool:
        for pid in list(descendants(me)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        return not children(me)

    if not wait_until(is_empty, 20):
        raise TimeoutError(f"processes outlive SIGKILL: {children(me)}")


@dataclass(frozen=True, slots=True)
class Status:
    """The few fields of /proc/PID/stat that are used here."""

    state: str
    cpu_ticks: int
    start_ticks: int


def status(pid: int) -> Status | None:
    """Read a process's state; None when it has gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # the name, in brackets, may hold spaces and brackets itself
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Status(fields[0], int(fields[11]) + int(fields[12]), int(fields[19]))


def cpu_us(pid: int) -> float:
    """Return the CPU time a process has used, in microseconds.

    The scheduler's own account is in nanoseconds; utime and stime, which are cut from it, count
    in steps of a hundredth of a second and serve where that account is not kept.
    """
    with contextlib.suppress(FileNotFoundError):
        total = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        if total:
            return total / 1e3
    found = status(pid)
    if found is None:
        raise ProcessLookupError(f"process {pid} has ended")
    return found.cpu_ticks / os.sysconf("SC_CLK_TCK") * 1e6


def pss_kib(pid: int) -> int:
    """Return a process's proportional share of memory, in KiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    raise ValueError(f"/proc/{pid}/smaps_rollup has no Pss line")


def split_pool(master_pid: int, workers: int) -> tuple[list[int], list[int]]:
    """Tell a master's children apart: helpers, which were started first, and the workers."""
    aged = [(found.start_ticks, pid) for pid in children(master_pid) if (found := status(pid))]
    pids = [pid for _, pid in sorted(aged)]
    extra = max(0, len(pids) - workers)
    return pids[:extra], pids[extra:]


def has_idle_pool(master_pid: int, workers: int) -> bool:
    """Tell whether at least so many workers exist and all children sleep."""
    states = [found.state for pid in children(master_pid) if (found := status(pid))]
    return len(states) >= workers and all(state == "S" for state in states)
