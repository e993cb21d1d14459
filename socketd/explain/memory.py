"""The memory that a process has for itself alone.

Owns reading it. Must not know what the process is.

Source: proc_pid_smaps_rollup(5). It is what a copy costs: pages that it shares with its template or
with other processes are not counted. Who may not trace a process may not read it.
"""

import time

from socketd.system import procfs

_STEP_SECONDS = 0.03
_STEPS_OF_REST = 3


def private_kib(pid: int) -> int | None:
    """Return the private memory of a process and its children, None if it cannot be read."""
    total = 0
    for one in (pid, *procfs.children(pid)):
        found = procfs.private_kib(one)
        if found is None:
            return None
        total += found
    return total


def settled_kib(pid: int, limit_seconds: float) -> int | None:
    """Return the same once it does not change any more, or when the time is over."""
    until = time.monotonic() + limit_seconds
    last, same = private_kib(pid), 0
    while last is not None and same < _STEPS_OF_REST and time.monotonic() < until:
        time.sleep(_STEP_SECONDS)
        found = private_kib(pid)
        same = same + 1 if found == last else 0
        last = found
    return last
