"""Workers at `--ready relay` as a test has them: the call, and the instances behind the workers."""

import functools
import socket
from collections.abc import Sequence

from harness.plans import NOBODY_S_PRIVILEGES
from harness.processes import ProcessView, children_of, view
from socketd.programs.privileges import Privileges
from socketd.settings.readiness import ReadyLevel

from .fake_master import FakeMaster, wait_until


def start_relaying(
    master: FakeMaster,
    listener: socket.socket,
    program: Sequence[str] = ("/bin/cat", "cat"),
    stderr: str = "socket",
    privileges: Privileges = NOBODY_S_PRIVILEGES,
) -> None:
    """Start a template whose workers start the program before their connection."""
    master.start(listener, program, stderr, privileges=privileges, level=ReadyLevel.RELAY)


def shell(script: str) -> tuple[str, ...]:
    """Return a program that is a line of shell."""
    return ("/bin/sh", "sh", "-c", script)


def instance_of(worker: int) -> ProcessView:
    """Return the process behind a worker, given its process id."""
    wait_until(lambda: len(children_of(worker)) == 1, f"worker {worker} has an instance")
    return children_of(worker)[0]


def wait_gone(*pids: int) -> None:
    """Wait until processes that are not our children have ended, whoever buries them."""
    for pid in pids:
        wait_until(functools.partial(_has_ended, pid), f"end of process {pid}")


def _has_ended(pid: int) -> bool:
    found = view(pid)
    return found is None or found.is_zombie
