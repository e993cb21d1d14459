"""Getting a program held: from its start to the moment when it is a template.

Owns the reading of /proc and the rules of what can be held. Must not know how a program was
started, what happens when it is not held, nor any timer: somebody calls `look` now and then.
"""

import contextlib
import os
import platform
import signal
import socket

from socketd.launch import CONTROL_FD, HOLD_SIGNAL, NotHeldError, Template
from socketd.spawner import ReadyLevel

# read, readv, recvfrom, recvmsg; native/hold/hold.c has the same set, by name.
_READS = {
    "x86_64": frozenset({0, 19, 45, 47}),
    "aarch64": frozenset({63, 65, 207, 212}),
}
_HELD = b"held"


class Hold:
    """A template on its way to be held."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self._is_handed_over = False
        if template.level is ReadyLevel.LOAD:
            self._hand_over()

    def look(self) -> bool:
        """Move on if the moment has come; tell whether the program is held.

        Raises NotHeldError if it never will be.
        """
        assert self.template.control is not None
        with contextlib.suppress(BlockingIOError):
            said = self.template.control.recv(4096, socket.MSG_DONTWAIT)
            if said.startswith(_HELD):
                return True
            if said:
                raise NotHeldError(said.decode(errors="replace"))
        if self.template.level is ReadyLevel.READ and self._is_reading():
            self._check()
            self._hand_over()
            # Once more if a first signal came between two reads; two that wait count as two, and
            # the second finds the program held.
            os.kill(self.template.pid, HOLD_SIGNAL)
        return False

    def take_stop(self) -> None:
        """Take note that the program has stopped. Raises NotHeldError if it should not have."""
        if self.template.level is not ReadyLevel.STOP:
            raise NotHeldError("it has stopped itself")
        if not self._is_handed_over:
            self._check()
            self._hand_over()
            os.kill(self.template.pid, HOLD_SIGNAL)
        os.kill(self.template.pid, signal.SIGCONT)

    @property
    def overdue(self) -> str:
        """Say what the program has not done in time."""
        if self.template.level is ReadyLevel.READ:
            return "has not read its input"
        if self.template.level is ReadyLevel.STOP:
            return "has not stopped itself"
        return "has not come to main()"

    def _hand_over(self) -> None:
        if not self._is_handed_over:
            self._is_handed_over = True
            try:
                self.template.hand_over()
            except OSError as error:
                raise NotHeldError("it has closed the descriptor of its control") from error

    def _is_reading(self) -> bool:
        pid = self.template.pid
        if _is_in_read(pid):
            return True
        for child in _children(pid):
            if _is_in_read(child):
                raise NotHeldError(
                    f"a program that it has started reads its input ({_name(child)})"
                )
        return False

    def _check(self) -> None:
        """Look for what a copy would lack. Raises NotHeldError."""
        pid = self.template.pid
        status = _status(pid)
        threads = int(status.get("Threads", "1"))
        bit = 1 << (HOLD_SIGNAL - 1)
        if threads > 1:
            raise NotHeldError(f"it has {threads} threads")
        if _children(pid):
            raise NotHeldError("it has started other programs, which still run")
        if not int(status.get("SigCgt", "0"), 16) & bit:
            raise NotHeldError("our object is not in it: it has become a program that loads none")
        if int(status.get("SigBlk", "0"), 16) & bit:
            raise NotHeldError(f"it blocks the signal {HOLD_SIGNAL}")
        self.template.descriptors = _descriptors(pid)


def _is_in_read(pid: int) -> bool:
    """Tell whether a process waits in a read of descriptor 0. Raises NotHeldError."""
    reads = _READS.get(platform.machine())
    if reads is None:
        raise NotHeldError(f"system calls of {platform.machine()} are not known")
    try:
        with open(f"/proc/{pid}/syscall") as file:
            words = file.read().split()
    except PermissionError as error:
        raise NotHeldError(
            "the system does not say where it is: ptrace is restricted (kernel.yama.ptrace_scope)"
        ) from error
    except (FileNotFoundError, ProcessLookupError):
        return False
    # "running", or "-1" and two addresses, or number, six arguments, two addresses
    return len(words) > 2 and int(words[0]) in reads and int(words[1], 16) & 0xFFFFFFFF == 0


def _status(pid: int) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/status") as file:
            pairs = (line.partition(":") for line in file)
            return {name: value.strip() for name, _, value in pairs}
    except (FileNotFoundError, ProcessLookupError):
        return {}


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _name(pid: int) -> str:
    return _status(pid).get("Name", "?")


def _descriptors(pid: int) -> str:
    """List what the program has opened: its copies share it."""
    listed = []
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if int(name) > 2 and int(name) != CONTROL_FD:
                    listed.append(f"{name}={target}")
    return " ".join(listed)
