"""Which of our children is what: the one place that says whose a process id is.

Owns the process ids of workers and templates, each with the family that it belongs to: the
children of one service. Must not know what a service is, nor where a process id comes from.

A process id stays that of a child until wait4() has collected it, so what is noted here is true
until it is forgotten, which the master does with each child that it collects. It is noted once:
whoever claims the process id of somebody else is not believed.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Child:
    """What a child is: the worker in a slot of a family, or a template of it if there is none."""

    family: "Family"
    slot: int | None


class Children:
    """All children of this process that are known, by process id.

    `lacking` are the families that may lack a child because there was no room for it: few or none,
    so that nobody else has to be asked when room is made.
    """

    def __init__(self) -> None:
        self.lacking: set[Family] = set()
        self._children: dict[int, Child] = {}

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._children)

    def found_family(self) -> "Family":
        """Return a new family, which has nobody yet."""
        return Family(self._children, self.lacking)

    def find(self, pid: int) -> Child | None:
        """Return what a child is, None for one that nobody has noted."""
        return self._children.get(pid)

    def forget(self, pid: int) -> Child | None:
        """Return what a child was that has been collected: somebody else may get its number."""
        child = self._children.pop(pid, None)
        if child is not None:
            child.family.workers.pop(pid, None)
        return child


class Family:
    """The children of one service; `workers` are the slots of those known, by process id."""

    def __init__(self, children: dict[int, Child], lacking: "set[Family]") -> None:
        self.workers: dict[int, int] = {}
        self._children = children
        self._lacking = lacking
        self._template = Child(self, None)

    def note_worker(self, pid: int, slot: int) -> bool:
        """Keep in mind who is in a slot; tell whether the process id was not somebody else's."""
        known = self._children.get(pid)
        if known is None:
            self._children[pid] = Child(self, slot)
            self.workers[pid] = slot
            return True
        return known.family is self and known.slot == slot

    def note_template(self, pid: int) -> None:
        """Keep a template in mind: only for one that we have started ourselves."""
        self._children[pid] = self._template

    def lack(self) -> None:
        """Take note that there was no room for a child of this family."""
        self._lacking.add(self)

    def lack_no_more(self) -> None:
        """Take note that it is to be seen whether there is room now."""
        self._lacking.discard(self)

    def restore(self, workers: dict[int, int], templates: Iterable[int]) -> None:
        """Take up those that another process of our id knew before it became us."""
        for pid, slot in workers.items():
            self.note_worker(pid, slot)
        for pid in templates:
            self.note_template(pid)

    @property
    def templates(self) -> list[int]:
        """Return the process ids of the templates."""
        return [pid for pid, child in self._children.items() if child is self._template]

    def slot_of(self, pid: int) -> int | None:
        """Return the slot of a worker of this family, None for anybody else."""
        return self.workers.get(pid)
