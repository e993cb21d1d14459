"""What programs leave behind: whose it is, and when it is told to end.

Owns the rules. Pure: what was seen comes in, process ids to signal go out. Must not know how a
process is found, nor signalled.

A process that loses its parent becomes a child of the master, and the kernel keeps no record of
whose child it was. What is known for certain is its group and its session, which it has from its
program unless it has left them, and when it was started. So:

- One in the group or session of a process that we know is a part of that.
- One in the group or session of a program that has ended is left behind.
- Any other was started by a connection that was open at that moment. As long as one such
  connection of its service is open, it may belong to that, and is left alone. When the last of
  them has ended, it is left behind.

So nothing of a connection that is open is ever ended; and what has left its session may go on for
as long as connections last that have overlapped with its own.
"""

import enum
from collections.abc import Collection, Iterable

from socketd.dataclass import dataclass

# A worker tells when it has accepted, and the kernel counts starts in hundredths of a second.
_SLACK_SECONDS = 0.05


class Fate(enum.Enum):
    """What is to become of a process without a parent."""

    HELD = "held"  # a connection may still be its own
    LEFT = "left"
    KEPT = "kept"  # its service keeps such processes, or may


@dataclass(frozen=True, slots=True)
class Orphan:
    """A child of ours that we have not started; times are monotonic, None for not known.

    `household` is that of its session.
    """

    pid: int
    group: int
    session: int
    household: int | None
    uid: int | None
    started_seconds: float | None


@dataclass(frozen=True, slots=True)
class Household:
    """A service, as far as it may have started processes.

    `since` are the beginnings of its open connections. Programs of it that are started ahead may
    have started others `ahead`: between two moments each.
    """

    number: int
    uids: frozenset[int]
    ends_children: bool
    since: tuple[float, ...]
    ahead: tuple[tuple[float, float], ...] = ()

    def may_hold(self, started_seconds: float | None) -> bool:
        """Tell whether something that was started then may be a part of what is there."""
        if started_seconds is None:
            return bool(self.since or self.ahead)
        is_of_connection = any(one <= started_seconds + _SLACK_SECONDS for one in self.since)
        return is_of_connection or any(a <= started_seconds <= b for a, b in self.ahead)


@dataclass(frozen=True, slots=True)
class Known:
    """The numbers of our own children: each may lead a group, and a worker a session.

    The session of a template is that of all its workers, and of what they leave behind.
    """

    groups: frozenset[int]
    sessions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Signals:
    """Whom to send SIGTERM, and whom SIGKILL."""

    terminate: tuple[int, ...] = ()
    kill: tuple[int, ...] = ()


class Leftovers:
    """The processes that have been told to end, and the groups that they may be found by."""

    def __init__(self) -> None:
        self._ended: set[int] = set()
        self._fresh: set[int] = set()
        self._due: dict[int, float] = {}
        self._beyond: set[int] = set()

    @property
    def is_gone(self) -> bool:
        """Tell whether nobody is left who was told to end."""
        return not self._due

    @property
    def next_seconds(self) -> float | None:
        """Return when the next of them is to be killed."""
        return min(self._due.values(), default=None)

    def note_end(self, leader: int) -> None:
        """Take note that a program with a connection has ended, and its group has SIGTERM."""
        self._ended.add(leader)
        self._fresh.add(leader)

    def give_up(self, pid: int) -> None:
        """Leave a process alone that we may not signal."""
        self._due.pop(pid, None)
        self._beyond.add(pid)

    def forget(self, pid: int) -> bool:
        """Forget a process that has been collected; tell whether it had been told to end."""
        self._beyond.discard(pid)
        return self._due.pop(pid, None) is not None

    def judge(
        self,
        orphans: Iterable[Orphan],
        households: Collection[Household],
        known: Known,
        kill_seconds: float,
        now: float,
    ) -> Signals:
        """Return whom to signal of all orphans that there are."""
        terminate, kill, present = [], [], set()
        for orphan in orphans:
            present.add(orphan.pid)
            due_seconds = self._due.get(orphan.pid)
            if due_seconds is not None:
                # Since it was told to end the time for that may have become shorter.
                if min(due_seconds, now + kill_seconds) <= now:
                    kill.append(orphan.pid)
                continue
            if self._fate(orphan, households, known) is not Fate.LEFT:
                continue
            self._due[orphan.pid] = now + kill_seconds
            if orphan.group not in self._ended:
                terminate.append(orphan.pid)
        self._due = {pid: due for pid, due in self._due.items() if pid in present}
        for pid in kill:  # it is, unless the kernel still waits for something
            self._due[pid] = now + max(kill_seconds, 1.0)
        return Signals(tuple(terminate), tuple(kill))

    def forget_groups(self, orphans: Iterable[Orphan]) -> None:
        """Forget the groups without a process: their numbers may be used again."""
        used = {number for one in orphans for number in (one.group, one.session)}
        self._ended = (self._ended & used) | self._fresh
        self._fresh = set()

    def _fate(self, orphan: Orphan, households: Collection[Household], known: Known) -> Fate:
        if orphan.pid in self._beyond:
            return Fate.KEPT
        if orphan.group in known.groups or orphan.session in known.sessions:
            return Fate.HELD
        if orphan.group in self._ended or orphan.session in self._ended:
            return Fate.LEFT
        if orphan.household is not None:
            its = [one for one in households if one.number == orphan.household]
        else:
            its = [one for one in households if orphan.uid in one.uids]
        if not its or not all(one.ends_children for one in its):
            return Fate.KEPT
        if any(one.may_hold(orphan.started_seconds) for one in its):
            return Fate.HELD
        return Fate.LEFT
