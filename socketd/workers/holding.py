"""Getting a program held: from its start to the moment when it is a template.

Owns when a program is held, and to whom descriptors are handed over. Must not know how a program
was started, what forbids to hold it (holdable.py), what happens then, nor any timer: its caller
calls `look` now and then.

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
import re
import signal
import socket
import struct

from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass
from socketd.settings.readiness import ReadyLevel
from socketd.system import procfs
from socketd.workers import holdable, kin, waits
from socketd.workers.launch import HOLD_SIGNAL, NotHeldError, Template
from socketd.workers.peek import Lines, Peek, Spot
from socketd.workers.waits import Wait

_MOST_SPOTS = 7  # what is told of them fits into one page
# With two numbers a copy has answered a request: exit code and bytes of the answer. With a reason
# behind all that copies keep the stack canary of their template.
_HELD = re.compile(rb"held(?: (\d+) (\d+))?(?:: (.+))?")
_MOST_ANSWER_BYTES = 512
_INVITATION = re.compile(r"socketd@([0-9a-f]{5})")
_CREDENTIALS = struct.Struct("3i")


class _Role(enum.Enum):
    """What somebody who waits for the input is to the program."""

    PROGRAM = enum.auto()
    THREAD = enum.auto()
    CHILD = enum.auto()


@dataclass(frozen=True, slots=True)
class _Watched:
    pid: int
    role: _Role


class Hold:
    """A template on its way to be held."""

    def __init__(self, template: Template, settings: ServiceSettings) -> None:
        self.template = template
        self._settings = settings
        self._is_asked = template.level is ReadyLevel.LOAD
        self._is_handed_over = False
        self._peek: Peek | None = None
        self._peeked: list[tuple[_Watched, procfs.Call, Wait]] = []

    def look(self) -> bool:
        """Move on if the moment has come; tell whether the program is held.

        Raises NotHeldError if it never will be.
        """
        if self._is_handed_over:
            return self._has_answered()
        name = procfs.name(self.template.pid)
        holdable.check_question(name)
        if self._is_asked and (address := _INVITATION.fullmatch(name)):
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
        if self._is_handed_over:
            return "has not passed its trial"
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
        if status == -signal.SIGSYS:
            return "a filter of system calls (seccomp) has ended it before it was held"
        return f"it has ended with status {status} before it was held"

    def end(self) -> Template:
        """Look no further; return the template, whatever has become of it."""
        self._end_peek()
        return self.template

    def _ask(self) -> None:
        """Have the program held if nothing speaks against it. Raises NotHeldError."""
        files = holdable.check(self.template, self._settings)
        self.template.descriptors = procfs.describe(files)
        self._is_asked = True
        self._signal(HOLD_SIGNAL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(PermissionError):  # it may be set-user-id by now
            kin.send(self.template.pid, number)

    def _hand_over(self, address: str) -> None:
        pid = self.template.pid
        if self.template.level is ReadyLevel.LOAD:
            holdable.check_loaded(self.template, self._settings)
        else:
            holdable.check_tracer(procfs.status(pid))
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
        if held := _HELD.fullmatch(answer):
            status, count, shared_canary = held.groups()
            if status is not None:
                self.template.warm_up = int(status), int(count)
            if shared_canary is not None:
                self.template.canary = f"shared: {shared_canary.decode()}"
            return True
        if answer:
            raise NotHeldError(procfs.legible(answer.decode(errors="replace")))
        return False  # its end is reported by SIGCHLD

    def _is_reading(self) -> bool:
        """Tell whether the program waits for its input.

        Raises NotHeldError if it never will, or not so that it could be held. What has to be read
        from its memory is told the next time.
        """
        if self._peek is not None:
            return self._has_peeked()
        if not waits.ARE_KNOWN:
            raise NotHeldError(f"system calls of {os.uname().machine} are not known")
        spots: list[Spot | Lines] = []
        self._peeked = []
        for one in self._watched():
            call = _call(one.pid)
            wait = None if call is None else waits.wait_of(call)
            if call is None or wait is None:
                continue
            if wait is Wait.READ:
                if waits.is_read_of_input(call) and self._takes_input(one, call, wait):
                    return True
            elif wait is Wait.RING:
                if one.role is not _Role.CHILD:
                    raise NotHeldError("it waits with io_uring, whose rings copies would share")
            elif len(spots) < _MOST_SPOTS and (
                spot := waits.spot_of(one.pid, call, wait, self.template.input_inode)
            ):
                spots.append(spot)
                self._peeked.append((one, call, wait))
        if spots:
            with contextlib.suppress(OSError):  # there may be too many processes, for now
                self._peek = Peek(spots)
        return False

    def _watched(self) -> list[_Watched]:
        """Return who may wait for the input."""
        pid = self.template.pid
        return [
            _Watched(pid, _Role.PROGRAM),
            *(_Watched(one, _Role.THREAD) for one in procfs.threads(pid)),
            *(_Watched(one, _Role.CHILD) for one in procfs.children(pid)),
        ]

    def _has_peeked(self) -> bool:
        assert self._peek is not None
        found = self._peek.result()
        if found is None:
            return False
        self._end_peek()
        return any(
            waits.is_for_input(content, wait) and self._takes_input(one, call, wait)
            for (one, call, wait), content in zip(self._peeked, found, strict=False)
        )

    def _takes_input(self, one: _Watched, call: procfs.Call, wait: Wait) -> bool:
        """Take note of who waits for the input: True for a program that can be held there."""
        if one.role is _Role.CHILD:
            name = procfs.name(one.pid) or "?"
            raise NotHeldError(f"a program that it has started reads its input ({name})")
        if one.role is _Role.THREAD:
            count = procfs.status(self.template.pid).threads
            raise NotHeldError(f"it has {count or 'several'} threads, and another reads its input")
        if wait is Wait.EPOLL:
            raise NotHeldError("it waits for its input with epoll, which copies would share")
        if waits.has_limit(call):
            raise NotHeldError("its first wait for input has a time limit")
        return True

    def _end_peek(self) -> None:
        if self._peek is not None:
            self._peek.close()
            self._peek = None


def _call(pid: int) -> procfs.Call | None:
    try:
        return procfs.call(pid)
    except PermissionError as error:
        raise NotHeldError(
            "the system does not say where it is: ptrace is restricted (kernel.yama.ptrace_scope)"
        ) from error
