"""Processes of a test: found by a mark in their environment, whatever became of their parents."""

import contextlib
import os
import signal
from dataclasses import dataclass

MARK_NAME = "SOCKETD_TEST_MARK"

# Some kernels are built without.
_ARE_CHILDREN_LISTED = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


@dataclass(frozen=True)
class ProcessView:
    """A line of /proc/PID/stat, with what tests ask for."""

    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int

    @property
    def is_zombie(self) -> bool:
        """Tell whether the process has ended and nobody has waited for it."""
        return self.state == "Z"


def view(pid: int) -> ProcessView | None:
    """Return what /proc says of a process, None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name_end = text.rindex(")")
    fields = text[name_end + 2 :].split()
    name = text[text.index("(") + 1 : name_end]
    return ProcessView(pid, name, fields[0], int(fields[1]), int(fields[2]), int(fields[3]))


def all_processes() -> list[ProcessView]:
    """Return every process there is."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return [found for pid in pids if (found := view(pid)) is not None]


def children_of(pid: int) -> list[ProcessView]:
    """Return the children of a process, zombies included.

    The kernel lists them, see proc_pid_task(5), so the other processes of a machine cost nothing.
    While some of them end others may be left out.
    """
    if not _ARE_CHILDREN_LISTED:
        return [one for one in all_processes() if one.parent == pid]
    pids: set[int] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                pids.update(map(int, file.read().split()))
    found = [one for one in map(view, sorted(pids)) if one is not None]
    return [one for one in found if one.parent == pid]


class Offspring:
    """The children that this process bears from now on.

    Those it has already belong to others: the web servers that serve a whole session, say.
    """

    def __init__(self) -> None:
        self._elders = {one.pid for one in children_of(os.getpid())}

    def left(self) -> list[ProcessView]:
        """Return those who are there, zombies included."""
        return [one for one in children_of(os.getpid()) if one.pid not in self._elders]


def marked(mark: str) -> list[ProcessView]:
    """Return the living processes that carry a mark in their environment."""
    needle = f"{MARK_NAME}={mark}".encode()
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
            if needle not in file.read().split(b"\0"):
                continue
            if (one := view(int(name))) is not None and not one.is_zombie:
                found.append(one)
    return found


def kill_marked(mark: str) -> None:
    """Kill whatever still carries a mark."""
    for one in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)


def count_descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
