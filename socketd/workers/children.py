"""Which of our children is what: the one place that says whose a process id is.

Owns the process ids of workers and templates, each with the family that it belongs to: the
children of one service. Must not know what a service is, nor where a process id is claimed.

A process id stays that of a child until wait4() has collected it, so what is noted here is true
until it is forgotten, which the master does with each child that it collects. It is noted once:
a claim of another process's id is not believed.

A claim of a process id is believed of a child of ours (kin.py) that is of the family. Each template
is started in a session of its own, and all that comes of it is in that session, unless a program
has made one for itself, which then has the program's own number: such a one is of the family if it
is of the family's user, or if that is ours, who could signal any of our processes anyway.
"""

import os
from collections.abc import Iterable

from socketd.dataclass import dataclass
from socketd.workers import kin

_MOST_SESSIONS = 512


@dataclass(frozen=True, slots=True)
class Child:
    """What a child is: the worker in a slot of a family, or a template of it if there is none."""

    family: "Family"
    slot: int | None


class Children:
    """All children of this process that are known, by process id.

    `lacking` are the families that may lack a child because there was no room for it: few or none,
    so that only these are asked when there is room again.
    """

    def __init__(self) -> None:
        self.in_shortage: set[Family] = set()
        self._children: dict[int, Child] = {}
        self._sessions: dict[int, Family] = {}

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._children)

    @property
    def pids(self) -> frozenset[int]:
        """Return the process ids of all that are known."""
        return frozenset(self._children)

    @property
    def workers(self) -> frozenset[int]:
        """Return the process ids of the workers that are known."""
        return frozenset(pid for pid, one in self._children.items() if one.slot is not None)

    def add_family(self) -> "Family":
        """Return a new family, without a child yet."""
        return Family(self._children, self._sessions, self.in_shortage)

    def find(self, pid: int) -> Child | None:
        """Return what a child is, None for an unknown one."""
        return self._children.get(pid)

    def family_of(self, pid: int) -> "Family | None":
        """Return the family of a child, known or not; None if that cannot be found out."""
        session = kin.session_of(pid)
        return None if session is None else self._sessions.get(session)

    def dissolve(self, family: "Family") -> None:
        """Forget the workers of a family that were never collected."""
        for pid in tuple(family.workers):
            self.forget(pid)
        self.in_shortage.discard(family)

    def forget(self, pid: int) -> Child | None:
        """Return what a collected child was, and forget it: its number may be reused."""
        child = self._children.pop(pid, None)
        if child is not None:
            child.family.forget(pid)
        return child


class Family:
    """The children of one service; `workers` are the slots of those known, by process id.

    `uids` are the users that its programs run as, now and since the last change of them.
    """

    def __init__(
        self,
        children: dict[int, Child],
        sessions: "dict[int, Family]",
        in_shortage: "set[Family]",
    ) -> None:
        self.workers: dict[int, int] = {}
        self.uids: set[int] = set()
        self._pids: dict[int, int] = {}
        self._children = children
        self._in_shortage = in_shortage
        self._sessions = sessions
        self._own_sessions: dict[int, None] = {}  # in order; some may be another's by now
        self._template = Child(self, None)

    @property
    def sessions(self) -> tuple[int, ...]:
        """Return the sessions of its templates, the oldest first."""
        return tuple(one for one in self._own_sessions if self._sessions.get(one) is self)

    def note_worker(self, pid: int, slot: int) -> bool:
        """Note the worker in a slot; tell whether its process id was unknown or this slot's."""
        known = self._children.get(pid)
        if known is None and slot not in self._pids:
            self._children[pid] = Child(self, slot)
            self.workers[pid] = slot
            self._pids[slot] = pid
            return True
        return known is not None and known.family is self and known.slot == slot

    def verify_worker(self, pid: int, slot: int) -> bool:
        """Note the worker in a slot as the board claims; tell whether that is believed."""
        if pid in self._children:
            return self.note_worker(pid, slot)
        return kin.is_child(pid) and self.is_ours(pid) and self.note_worker(pid, slot)

    def is_ours(self, pid: int) -> bool:
        """Tell whether a child is of this family, or could be."""
        session = kin.session_of(pid)
        family = None if session is None else self._sessions.get(session)
        if family is not None:
            return family is self
        if session != pid:
            return False  # one that we have started for something else
        return os.getuid() in self.uids or kin.real_uid_of(pid) in self.uids

    def is_known(self, pid: int) -> bool:
        """Tell whether a child is known, in this family or another."""
        return pid in self._children

    def is_of_session(self, pid: int) -> bool:
        """Tell whether a child has come of a template of this family, and has stayed with it."""
        session = kin.session_of(pid)
        return session is not None and self._sessions.get(session) is self

    def note_template(self, pid: int) -> None:
        """Keep a template in mind: only for one that we have started ourselves."""
        self._children[pid] = self._template
        self._note_session(pid)

    def note_shortage(self) -> None:
        """Take note that there was no room for a child of this family."""
        self._in_shortage.add(self)

    def clear_shortage(self) -> None:
        """Take note that it is to be seen whether there is room now."""
        self._in_shortage.discard(self)

    def restore(
        self, workers: dict[int, int], templates: Iterable[int], sessions: Iterable[int] = ()
    ) -> None:
        """Take up those that another process of our id knew before it became us."""
        for pid, slot in workers.items():
            self.note_worker(pid, slot)
        for session in sessions:
            self._note_session(session)
        for pid in templates:
            self.note_template(pid)

    @property
    def templates(self) -> list[int]:
        """Return the process ids of the templates."""
        return [pid for pid, child in self._children.items() if child is self._template]

    def slot_of(self, pid: int) -> int | None:
        """Return the slot of a worker of this family, None for any other process."""
        return self.workers.get(pid)

    def pid_in(self, slot: int) -> int:
        """Return the process id of the worker in a slot, 0 if it is not known."""
        return self._pids.get(slot, 0)

    def forget(self, pid: int) -> None:
        """Forget a worker; for who knows all children."""
        slot = self.workers.pop(pid, None)
        if slot is not None:
            del self._pids[slot]

    def disband(self) -> None:
        """Forget the sessions: the family has no process left."""
        for session in tuple(self._own_sessions):
            self._forget_session(session)

    def _note_session(self, session: int) -> None:
        # The number of a session is reused only when the session is empty: then no process of it
        # belongs to the family that had it.
        self._sessions[session] = self
        self._own_sessions.pop(session, None)
        self._own_sessions[session] = None
        if len(self._own_sessions) > _MOST_SESSIONS:
            self._forget_session(next(iter(self._own_sessions)))

    def _forget_session(self, session: int) -> None:
        del self._own_sessions[session]
        if self._sessions.get(session) is self:
            del self._sessions[session]
