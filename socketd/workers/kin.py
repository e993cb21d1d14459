"""Our children as the kernel knows them, and the one place from which they are signalled.

Owns the questions to the kernel and the signals. Must not know services, slots, or who has named a
process id.

A process id is a number, and who says it may lie or be late. What counts is whether it is that of a
child that has not been collected. As long as that is so the kernel does not reuse the number,
neither as a process nor as a group; and it stays so until we collect, which is done in this thread
alone. So every signal is preceded by the question, and a signal to any other process is not sent.
-1 and what other negative numbers and 0 mean to kill(2) can not come to be meant.

Source: waitid(2), WNOWAIT; credentials(7); kill(2).
"""

import os
import signal

from socketd.system import procfs

_LEAST_PID = 2  # 1 is the init process, whoever its parent is
_MOST_PID = 2**31 - 1
_MOST_CHILDREN = 1 << 16


def is_child(pid: int) -> bool:
    """Tell whether a process is a child of ours that has not been collected, alive or not."""
    if not _LEAST_PID <= pid <= _MOST_PID:
        return False
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def session_of(pid: int) -> int | None:
    """Return the session of a process, which it has from its parent; None if it is not known."""
    try:
        return os.getsid(pid)
    except OSError:  # there is no such process, or a security module does not tell
        return None


def real_uid_of(pid: int) -> int | None:
    """Return the real user of a process, who is the same in a set-uid program."""
    return procfs.status(pid).real_uid


def children() -> list[int]:
    """Return all our children, as far as /proc tells; for what happens seldom."""
    return procfs.children(os.getpid(), _MOST_CHILDREN)


def send(pid: int, number: int) -> None:
    """Send a signal to a child, and to no other process. Raises PermissionError."""
    if is_child(pid):
        os.kill(pid, number)


def send_to_group(pid: int, number: int) -> None:
    """Send a signal to the group that a child leads, or else to it. Raises PermissionError.

    One that has been born an instant ago leads none yet.
    """
    if not is_child(pid):
        return
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        os.kill(pid, number)


def terminate_rest(pid: int) -> None:
    """Send SIGTERM to what is left of the group of a child that has ended and is not collected.

    As long as it is not, the number of the group is no other's. One that was only stopped is left
    alone.
    """
    try:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            os.killpg(pid, signal.SIGTERM)
    except (ChildProcessError, ProcessLookupError, PermissionError):
        return  # nobody is left, or whom we may not signal


def end(pid: int) -> None:
    """Kill a child with all of its group, as far as we may."""
    try:
        send_to_group(pid, signal.SIGKILL)
    except PermissionError:
        return  # a set-uid program: its end is waited for
