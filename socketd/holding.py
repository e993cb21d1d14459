"""Getting a program held: from its start to the moment when it is a template.

Owns the reading of /proc and the rules of what can be held. Must not know how a program was
started, what happens when it is not held, nor any timer: somebody calls `look` now and then.
"""

import contextlib
import enum
import os
import platform
import select
import signal
import socket
import struct

from socketd.launch import CONTROL_FD, HOLD_SIGNAL, NotHeldError, Template
from socketd.spawner import ReadyLevel


# How a program may wait for its input; native/hold/place.c has the same set, by name.
class _Wait(enum.Enum):
    READ = enum.auto()
    POLL = enum.auto()
    SELECT = enum.auto()


_WAITS = {
    # read, readv, recvfrom, recvmsg; poll, ppoll; select, pselect6
    "x86_64": dict.fromkeys((0, 19, 45, 47), _Wait.READ)
    | {7: _Wait.POLL, 271: _Wait.POLL, 23: _Wait.SELECT, 270: _Wait.SELECT},
    "aarch64": dict.fromkeys((63, 65, 207, 212), _Wait.READ) | {73: _Wait.POLL, 72: _Wait.SELECT},
}
_POLL_ENTRY = struct.Struct("=ihh")
_MOST_POLLED = 64
_SYSCALL_WORDS = 9
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
        # One that has ended without reading what it was handed resets the socket; its end is news
        # for whoever waits for it.
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            said = self.template.control.recv(4096, socket.MSG_DONTWAIT)
            if said.startswith(_HELD):
                return True
            if said:
                raise NotHeldError(said.decode(errors="replace"))
        if self.template.level is ReadyLevel.READ and self._is_reading():
            self._check()
            self._hand_over()
            # Once more if a first signal came between two reads, or tried how the program takes
            # EINTR. Of two that wait the second finds the program held.
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
        if _is_waiting_for_input(pid):
            return True
        for child in _children(pid):
            if _is_waiting_for_input(child):
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


def _is_waiting_for_input(pid: int) -> bool:
    """Tell whether a process waits for input on descriptor 0. Raises NotHeldError."""
    waits = _WAITS.get(platform.machine())
    if waits is None:
        raise NotHeldError(f"system calls of {platform.machine()} are not known")
    try:
        with open(f"/proc/{pid}/syscall") as file:
            words = file.read().split()
        # "running", or "-1" and two addresses, or number, six arguments, two addresses
        if len(words) < _SYSCALL_WORDS:
            return False
        first, second = int(words[1], 16), int(words[2], 16)
        match waits.get(int(words[0])):
            case _Wait.READ:
                return first & 0xFFFFFFFF == 0
            case _Wait.POLL:
                entries = _read_memory(pid, first, min(second, _MOST_POLLED) * _POLL_ENTRY.size)
                return any(
                    fd == 0 and events & select.POLLIN
                    for fd, events, _ in _POLL_ENTRY.iter_unpack(entries)
                )
            case _Wait.SELECT:
                return second != 0 and bool(_read_memory(pid, second, 1)[0] & 1)
            case _:
                return False
    except PermissionError as error:
        raise NotHeldError(
            "the system does not say where it is: ptrace is restricted (kernel.yama.ptrace_scope)"
        ) from error
    except (FileNotFoundError, ProcessLookupError):
        return False


def _read_memory(pid: int, address: int, size: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        file.seek(address)
        return file.read(size)


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
