"""The control groups of a service's workers: one that stands for each slot.

Owns where those groups are, what is in their files, and what is left of a server that has crashed.
Must not know who is in which slot, nor why a connection has to end.

Below a group that is ours there is one for each listener of a service:

    socketd-PID-N/          PID is the master's
        template/           what workers are cloned from
        0/ 1/ 2/ ...        one for each slot, made when it is first used, with the limits

Workers are cloned into their group, which costs next to nothing; to move a process that runs would
make the kernel stop all that fork meanwhile. So the groups stay when a connection has ended. A user
other than the master's must be able to put processes into them, since the template has that user;
so a program can put processes of its own into another slot of the same service, but not outside.

What is left when a connection has ended is killed (cgroup.kill), and its slot gets another group: a
kernel may take every process that is cloned into a group which was killed once for one that was
there then. So a slot has a turn, which stands above its number in the name of the group. What is
read of cgroup.events spares that where nothing is left, as is usual.

A group that hands on controllers may have no process of its own. So the master goes into a group
beside those of services, SUPERVISOR, as systemd.resource-control(5) calls it in its example.
"""

import contextlib
import os
import re
import signal
from collections.abc import Iterable

from socketd.dataclass import dataclass
from socketd.errors import SystemFailureError, describe_errno
from socketd.settings.confinement import Confinement, GroupLimits
from socketd.system import cgroup
from socketd.system.accounts import find_user

SUPERVISOR = "supervisor"
_NAME = re.compile(r"socketd-(\d+)-\d+")
_TEMPLATE = "template"
_OPTIONAL = frozenset({"memory.oom.group", "memory.swap.max"})
_MISSING = (FileNotFoundError,)
_SLOT_BITS = 15  # as in native/template.c
_MOST_TURNS = 1 << (32 - _SLOT_BITS)
_PERIOD_US = 100_000
_US_PER_PERCENT = _PERIOD_US // 100
_NO_NUMBER = 255
_BYTES_PER_KIB = 1024
_ADVICE = "under systemd Delegate=yes gives a service a group of its own, see docs/systemd.md"


@dataclass(frozen=True, slots=True)
class FormerGroup:
    """What is passed on: the path, and the limits of the present generation."""

    path: str
    limits: GroupLimits


class SlotGroups:
    """The groups of one listener.

    `path` is the one that another version of this process has made. Raises SystemFailureError if
    there can be none.
    """

    def __init__(self, limits: GroupLimits, uid: int | None = None, path: str = "") -> None:
        self._uid: int | None = None
        self._turns: dict[int, int] = {}
        self._written: dict[int, GroupLimits] = {}  # by slot, for the group of its turn
        self._killed: set[int] = set()
        self._spent: set[str] = set()
        self._peaks: dict[int, int] = {}
        self._can_reset = True
        if path:
            self.path = path
            self._find_turns()
            return
        home = _home(limits)
        _clean(home)
        try:
            self.path = _make_anew(home)
            cgroup.make(self.template)
        except OSError as error:
            raise _refused("make a group in", home, error) from error
        try:
            self.prepare_for(limits, uid)
            _try_to_enter(self.template)
        except SystemFailureError:
            cgroup.remove(self.path)
            raise

    @property
    def template(self) -> str:
        """Return the group of what workers are cloned from."""
        return os.path.join(self.path, _TEMPLATE)

    def order(self, number: int) -> int:
        """Return what a template is told for a slot: the name of its group, as a number."""
        return self._turns.get(number, 0) << _SLOT_BITS | number

    def slot(self, number: int) -> str:
        """Return the group of a slot."""
        return os.path.join(self.path, str(self.order(number)))

    def prepare_for(self, limits: GroupLimits, uid: int | None) -> None:
        """Have every controller that these limits need, for workers of a user.

        Raises SystemFailureError.
        """
        if uid != self._uid:
            self._let_in(uid)
        names = _controllers(limits)
        for path in (os.path.dirname(self.path), self.path):
            lacking = set(names) - set(_controllers_of(path))
            if lacking:
                raise SystemFailureError(
                    f"cannot limit {', '.join(sorted(lacking))}: the group {path!r} has no such "
                    f"controller; {_ADVICE}"
                )
            try:
                if names:
                    cgroup.hand_on(path, names)
            except OSError as error:
                raise _refused("limit what is in", path, error) from error

    def _let_in(self, uid: int | None) -> None:
        """Let processes of a user put themselves into the groups of slots. None is the master's."""
        self._uid = uid
        owner = os.geteuid() if uid is None else uid
        try:
            for path in (self.path, *map(self.slot, self._written)):
                cgroup.own_file(path, owner)
        except OSError as error:
            raise _refused("let the user of workers into", self.path, error) from error

    def prepare(self, number: int, limits: GroupLimits) -> None:
        """Make the group of a slot ready for its next worker. Raises OSError."""
        if number in self._killed:
            self._take_turn(number)
        path = self.slot(number)
        if number not in self._written:
            cgroup.make(path)
            if self._uid is not None:
                cgroup.own_file(path, self._uid)
        before = self._written.get(number)
        if before != limits:
            for name, text in _files(limits, before):
                # An older kernel, or one without swap, has not all of them.
                with contextlib.suppress(*_MISSING if name in _OPTIONAL else ()):
                    cgroup.write(path, name, text)
            self._written[number] = limits
        if limits.memory_max is not None:
            self._reset_peak(number)

    def end(self, number: int) -> None:
        """Kill whatever is in the group of a slot."""
        with contextlib.suppress(OSError):  # it was never made, or the kernel is older than 5.14
            path = self.slot(number)
            if cgroup.is_populated(path):
                self._killed.add(number)
                cgroup.end(path)

    def _take_turn(self, number: int) -> None:
        """Have another group for a slot, and remove former ones that are empty by now."""
        self._killed.discard(number)
        self._written.pop(number, None)
        if number in self._peaks:
            os.close(self._peaks.pop(number))
        self._spent.add(self.slot(number))
        self._turns[number] = (self._turns.get(number, 0) + 1) % _MOST_TURNS
        self._spent = {path for path in self._spent if not cgroup.remove(path)}

    def _find_turns(self) -> None:
        """Find the turn of each slot of the groups that another version has made."""
        with contextlib.suppress(OSError), os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.isdecimal():
                    turn, number = divmod(int(entry.name), 1 << _SLOT_BITS)
                    self._turns[number] = max(turn, self._turns.get(number, 0))
        self._killed.update(self._turns)  # which of them were is not known

    def peak_kib(self, number: int) -> int | None:
        """Return the most memory of a slot since it was prepared, None where that is not known."""
        fd = self._peaks.get(number)
        if fd is None:
            return None
        try:
            return int(os.pread(fd, 32, 0)) // _BYTES_PER_KIB
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Remove the groups; one that is not empty yet is left to the next start."""
        while self._peaks:
            os.close(self._peaks.popitem()[1])
        with contextlib.suppress(OSError):
            cgroup.end(self.path)
        with contextlib.suppress(OSError):
            cgroup.remove(self.path)

    def _reset_peak(self, number: int) -> None:
        """Have the peak counted from now on: for this descriptor, since Linux 6.12."""
        if not self._can_reset:
            return
        try:
            if number not in self._peaks:
                path = os.path.join(self.slot(number), "memory.peak")
                self._peaks[number] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            os.pwrite(self._peaks[number], b"0", 0)
        except OSError:
            self._can_reset = False
            if number in self._peaks:
                os.close(self._peaks.pop(number))


class GroupsOfGenerations:
    """The groups of a listener, whose limits each generation of workers may change."""

    def __init__(self, former: FormerGroup | None = None) -> None:
        self._groups: SlotGroups | None = None
        self._limits: dict[int, GroupLimits] = {}
        self._present = GroupLimits()
        if former is not None:
            self._present = former.limits
            self._groups = SlotGroups(former.limits, path=former.path)

    @property
    def passed_on(self) -> FormerGroup | None:
        """Return what another version of this process has to know."""
        groups = self._groups
        return None if groups is None else FormerGroup(groups.path, self._present)

    @property
    def present(self) -> SlotGroups | None:
        """Return the groups, if there are any."""
        return self._groups

    def begin(self, generation: int, confinement: Confinement) -> SlotGroups | None:
        """Have groups for a generation if it wants them. Raises SystemFailureError."""
        limits = confinement.group
        if limits is None:
            return None
        uid = None if confinement.user is None else find_user(confinement.user)[0]
        if self._groups is None:
            self._groups = SlotGroups(limits, uid)
        self._groups.prepare_for(limits, uid)
        self._limits = {one: its for one, its in self._limits.items() if one >= generation - 1}
        self._limits[generation] = self._present = limits
        return self._groups

    def prepare(self, number: int, generation: int) -> None:
        """Make the group of a slot ready for a worker. What fails is told by who cannot be born."""
        if self._groups is not None:
            with contextlib.suppress(OSError):
                self._groups.prepare(number, self._limits.get(generation, self._present))

    def end(self, number: int) -> None:
        """Kill whatever is left in the group of a slot."""
        if self._groups is not None:
            self._groups.end(number)

    def peak_kib(self, number: int) -> int | None:
        """Return the most memory of a slot since it was prepared, None where that is not known."""
        return None if self._groups is None else self._groups.peak_kib(number)

    def close(self) -> None:
        """Remove the groups, as far as they are empty."""
        if self._groups is not None:
            self._groups.close()
            self._groups = None


def _home(limits: GroupLimits) -> str:
    """Return the group in which ours are to be. Raises SystemFailureError."""
    if limits.path is not None:
        if not cgroup.is_group(limits.path):
            raise SystemFailureError(f"{limits.path!r} is not a group of cgroup version 2")
        return limits.path
    try:
        own = cgroup.own_group()
    except cgroup.NoGroupError as error:
        raise SystemFailureError(f"cannot limit connections by a group: {error}") from error
    if os.path.basename(own) == SUPERVISOR:
        return os.path.dirname(own)
    if cgroup.is_root(own):
        raise SystemFailureError(
            f"cannot limit connections by a group: this server is in the root group, {own!r}, "
            f"which nobody has given to it; name one (cgroup), or {_ADVICE}"
        )
    supervisor = os.path.join(own, SUPERVISOR)
    try:
        cgroup.make(supervisor)
        for pid in cgroup.processes(own):
            with contextlib.suppress(ProcessLookupError):
                cgroup.enter(supervisor, pid)
    except OSError as error:
        raise _refused("have groups of its own in", own, error) from error
    return own


def _clean(home: str) -> None:
    """Remove the groups of servers that have ended, as far as they are empty."""
    with contextlib.suppress(OSError), os.scandir(home) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            if name and not os.path.exists(f"/proc/{name[1]}"):
                cgroup.remove(entry.path)


def _make_anew(home: str) -> str:
    """Make a group that nobody has yet, and return its path. Raises OSError."""
    number = 0
    while True:
        path = os.path.join(home, f"socketd-{os.getpid()}-{number}")
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            number += 1
        else:
            return path


def _controllers(limits: GroupLimits) -> list[str]:
    wanted = {
        "memory": limits.memory_max, "cpu": limits.cpu_max, "pids": limits.pids_max
    }  # fmt: skip
    return [name for name, value in wanted.items() if value is not None]


def _controllers_of(path: str) -> list[str]:
    try:
        return cgroup.controllers(path)
    except OSError as error:
        raise _refused("look at", path, error) from error


def _files(limits: GroupLimits, before: GroupLimits | None) -> Iterable[tuple[str, str]]:
    """Yield the files of a slot with what they are to say; what was never limited has none."""
    former = GroupLimits() if before is None else before
    if limits.memory_max is not None or former.memory_max is not None:
        yield "memory.max", _or_max(limits.memory_max)
        # All that belongs to a connection ends, not one process of it, and nothing is swapped out.
        yield "memory.oom.group", "0" if limits.memory_max is None else "1"
        yield "memory.swap.max", "max" if limits.memory_max is None else "0"
    if limits.cpu_max is not None or former.cpu_max is not None:
        quota = None if limits.cpu_max is None else limits.cpu_max * _US_PER_PERCENT
        yield "cpu.max", f"{_or_max(quota)} {_PERIOD_US}"
    if limits.pids_max is not None or former.pids_max is not None:
        yield "pids.max", _or_max(limits.pids_max)


def _or_max(value: int | None) -> str:
    return "max" if value is None else str(value)


def _try_to_enter(path: str) -> None:
    """Have a child go there: that fails if not all groups on the way are ours."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            number = 0
            try:
                cgroup.enter(path)
            except OSError as error:
                number = error.errno or _NO_NUMBER
            finally:
                os._exit(number)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    _, status = os.waitpid(pid, 0)
    if number := os.waitstatus_to_exitcode(status):
        raise _refused("have a process in", path, OSError(number, ""))


def _refused(attempt: str, path: str, error: OSError) -> SystemFailureError:
    why = describe_errno(error.errno or 0)
    return SystemFailureError(f"cannot {attempt} the group {path!r}: {why}; {_ADVICE}")
