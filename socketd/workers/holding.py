"""Getting a program held: from its start to the moment when it is a template.

Owns the rules of what can be held, when, and to whom descriptors are handed over. Must not know
how a program was started, what happens when it is not held, nor any timer: its caller calls `look`
now and then.

The program has no descriptor of ours. When it is to be held, our object in it forbids its user to
look into it, then listens and puts the address into its name, which no other process can write
(native/hold/handover.c). We connect, ask the kernel who listens there, and look whether a tracer is
attached: only then everything is sent. Nothing can be sent to us on that way: what comes in a
message is released by who throws it away, and to close a stranger's descriptor may take as long as
the stranger likes (SO_LINGER).
"""

import contextlib
import enum
import os
import platform
import re
import select
import signal
import socket
import struct

from socketd.settings.readiness import ReadyLevel
from socketd.system import procfs
from socketd.workers import kin
from socketd.workers.launch import HOLD_SIGNAL, NotHeldError, Template
from socketd.workers.peek import Peek, Spot


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
_MOST_SPOTS = 7  # what is told of them fits into one page
_HELD = b"held"
_MOST_ANSWER_BYTES = 512
_INVITATION = re.compile(r"socketd@([0-9a-f]{5})")
_CREDENTIALS = struct.Struct("3i")


class Hold:
    """A template on its way to be held."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self._is_asked = template.level is ReadyLevel.LOAD
        self._is_handed_over = False
        self._peek: Peek | None = None
        self._peeked: list[tuple[int, _Wait]] = []

    def look(self) -> bool:
        """Move on if the moment has come; tell whether the program is held.

        Raises NotHeldError if it never will be.
        """
        if self._is_handed_over:
            return self._has_answered()
        pid = self.template.pid
        if self._is_asked and (address := _INVITATION.fullmatch(procfs.name(pid))):
            self._hand_over(f"\0{address[1]}")
        elif self.template.level is ReadyLevel.READ and self._is_reading():
            # Once more if a first signal came between two reads, or tried how the program takes
            # EINTR. Of two that wait the second finds the program held.
            self._ask()
        return False

    def take_stop(self) -> None:
        """Take note that the program has stopped. Raises NotHeldError if it should not have."""
        if self.template.level is not ReadyLevel.STOP:
            raise NotHeldError("it has stopped itself")
        if not self._is_asked:
            self._ask()
        self._signal(signal.SIGCONT)

    @property
    def overdue(self) -> str:
        """Say what the program has not done in time."""
        if self.template.level is ReadyLevel.READ:
            return "has not read its input"
        if self.template.level is ReadyLevel.STOP:
            return "has not stopped itself"
        return "has not come to main()"

    def last_words(self, status: int) -> str:
        """Return why a program that has ended has not become a template."""
        try:
            if self._is_handed_over:
                self._has_answered()
        except NotHeldError as error:
            return str(error)
        return f"it has ended with status {status} before it was held"

    def end(self) -> Template:
        """Look no further; return the template, whatever has become of it."""
        self._end_peek()
        return self.template

    def _ask(self) -> None:
        """Have the program held if nothing speaks against it. Raises NotHeldError."""
        self._check()
        self._is_asked = True
        self._signal(HOLD_SIGNAL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(PermissionError):  # it may be set-user-id by now
            kin.send(self.template.pid, number)

    def _hand_over(self, address: str) -> None:
        pid = self.template.pid
        _check_tracer(procfs.status(pid))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
            channel.setblocking(False)
            channel.shutdown(socket.SHUT_RD)
            try:
                channel.connect(address)
                listening, _, _ = _CREDENTIALS.unpack(
                    channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                )
                if listening != pid:
                    raise NotHeldError("another process pretends to be it")
                self.template.hand_over(channel)
            except BlockingIOError:
                return  # too many want to talk to it; it shows them out
            except OSError as error:
                raise NotHeldError(f"it cannot be reached: {error.strerror}") from error
        self._is_handed_over = True

    def _has_answered(self) -> bool:
        try:
            answer = os.read(self.template.answer_fd, _MOST_ANSWER_BYTES)
        except BlockingIOError:
            return False
        if answer == _HELD:
            return True
        if answer:
            raise NotHeldError(procfs.legible(answer.decode(errors="replace")))
        return False  # its end is reported by SIGCHLD

    def _is_reading(self) -> bool:
        """Tell whether the program waits for its input. Raises NotHeldError if a child of it does.

        What has to be read from its memory is told the next time.
        """
        if self._peek is not None:
            return self._has_peeked()
        waits = _WAITS.get(platform.machine())
        if waits is None:
            raise NotHeldError(f"system calls of {platform.machine()} are not known")
        spots: list[Spot] = []
        self._peeked = []
        for pid in (self.template.pid, *procfs.children(self.template.pid)):
            call = _call(pid)
            wait = None if call is None else waits.get(call.number)
            if call is None or wait is None:
                continue
            if wait is _Wait.READ:
                if call.first & 0xFFFFFFFF == 0 and self._takes_input(pid):
                    return True
            elif len(spots) < _MOST_SPOTS and (spot := _spot(pid, call, wait)):
                spots.append(spot)
                self._peeked.append((pid, wait))
        if spots:
            with contextlib.suppress(OSError):  # there may be too many processes, for now
                self._peek = Peek(spots)
        return False

    def _has_peeked(self) -> bool:
        assert self._peek is not None
        found = self._peek.result()
        if found is None:
            return False
        self._end_peek()
        return any(
            (is_polled(content) if wait is _Wait.POLL else is_in_set(content))
            and self._takes_input(pid)
            for (pid, wait), content in zip(self._peeked, found, strict=False)
        )

    def _takes_input(self, pid: int) -> bool:
        """Take note of who waits for the input: True for the program itself."""
        if pid == self.template.pid:
            return True
        raise NotHeldError(
            f"a program that it has started reads its input ({procfs.name(pid) or '?'})"
        )

    def _end_peek(self) -> None:
        if self._peek is not None:
            self._peek.close()
            self._peek = None

    def _check(self) -> None:
        """Look for what a copy would lack. Raises NotHeldError."""
        pid = self.template.pid
        status = procfs.status(pid)
        bit = 1 << (HOLD_SIGNAL - 1)
        if status.threads is None or status.caught is None or status.blocked is None:
            raise NotHeldError("cannot read its state (/proc/PID/status)")
        if status.threads > 1:
            raise NotHeldError(f"it has {status.threads} threads")
        if procfs.children(pid):
            raise NotHeldError("it has started other programs, which still run")
        if not status.caught & bit:
            raise NotHeldError("our object is not in it: it has become a program that loads none")
        if status.blocked & bit:
            raise NotHeldError(f"it blocks the signal {HOLD_SIGNAL}")
        _check_tracer(status)
        self.template.descriptors = procfs.descriptors(pid)


def _check_tracer(status: procfs.Status) -> None:
    """Look whether a tracer is attached, which would stay attached. Raises NotHeldError.

    Who traces us as well has all that there is already.
    """
    if status.tracer is None:
        raise NotHeldError("the system does not say whether it is traced (/proc/PID/status)")
    if status.tracer not in (0, procfs.status(os.getpid()).tracer):
        raise NotHeldError(f"it is traced by process {status.tracer}")


def _call(pid: int) -> procfs.Call | None:
    try:
        return procfs.call(pid)
    except PermissionError as error:
        raise NotHeldError(
            "the system does not say where it is: ptrace is restricted (kernel.yama.ptrace_scope)"
        ) from error


def _spot(pid: int, call: procfs.Call, wait: _Wait) -> Spot | None:
    """Return where it stands what a process waits for, None if it waits for nothing."""
    if wait is _Wait.POLL:
        count = min(call.second & 0xFFFFFFFF, _MOST_POLLED)
        return Spot(pid, call.first, count * _POLL_ENTRY.size) if count else None
    # A set is read only as far as the highest descriptor that is asked for.
    highest = call.first & 0xFFFFFFFF
    return Spot(pid, call.second, 1) if call.second and 0 < highest < 1 << 31 else None


def is_in_set(content: bytes) -> bool:
    """Tell whether descriptor 0 is in the beginning of a set of select()."""
    return bool(content) and bool(content[0] & 1)


def is_polled(content: bytes) -> bool:
    """Tell whether descriptor 0 is among entries of poll(), of which the last may be cut short."""
    whole = content[: len(content) // _POLL_ENTRY.size * _POLL_ENTRY.size]
    return any(
        fd == 0 and bool(events & select.POLLIN) for fd, events, _ in _POLL_ENTRY.iter_unpack(whole)
    )
