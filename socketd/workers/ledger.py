"""What the master believes of the slots of a service, whatever stands on the board.

Owns the claimed slots, how far each worker has got, and who it is. Must not know the pool, nor what
is done about a lie.

The board is hearsay: every process of the service's user can write to it. So a claim is believed
only if it is possible by what is known here: no worker accepts twice, an unclaimed slot has no
news, and a process id is believed only if it is a child of the master, of this service, and not
known as another worker (children.py). What was believed once is not read again.
"""

import errno
import time
from collections.abc import Callable, Iterable

from socketd.dataclass import dataclass
from socketd.workers.board import Board
from socketd.workers.children import Family
from socketd.workers.layout import SlotState, Step


@dataclass(slots=True)
class Slot:
    """A claimed slot: what is known of its worker. Times are monotonic."""

    generation: int
    claimed_ns: int
    accepted_ns: int = 0
    is_seen_idle: bool = False
    is_doubted: bool = False

    @property
    def is_busy(self) -> bool:
        """Tell whether its worker has a connection."""
        return self.accepted_ns > 0

    @property
    def may_wait(self) -> bool:
        """Tell whether its worker may wait, or be about to, as far as it is believed."""
        return not self.is_busy and not self.is_doubted


class Ledger:
    """The slots of one service, by number."""

    def __init__(
        self, board: Board, family: Family, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.board = board
        self.family = family
        self._clock_ns = clock_ns
        self._slots: dict[int, Slot] = {}
        # The claimed slots whose worker's process id is not known yet.
        self._nameless: set[int] = set()
        self._abandoned: dict[int, int] = {}
        self._seen_idle = 0

    @property
    def seen_idle(self) -> int:
        """Return how many of those claimed have been seen waiting, whatever they do now."""
        return self._seen_idle

    @property
    def has_abandoned(self) -> bool:
        """Tell whether there are slots without a future worker that were not reported yet."""
        return bool(self._abandoned)

    @property
    def nameless(self) -> set[int]:
        """Return the claimed slots of which it is not known who is there."""
        return self._nameless

    def find(self, number: int) -> Slot | None:
        """Return what is known of a slot, None if it is free."""
        return self._slots.get(number)

    def claim(self, number: int, generation: int) -> None:
        """Claim a slot for a worker that is about to be requested."""
        self._slots[number] = Slot(generation, self._clock_ns())
        self._nameless.add(number)
        self.board.claim(number, generation)

    def release(self, number: int) -> None:
        """Free a slot, whatever its state byte says."""
        slot = self._slots.pop(number, None)
        if slot is not None and slot.is_seen_idle:
            self._seen_idle -= 1
        self._nameless.discard(number)
        self._abandoned.pop(number, None)
        self.board.release(number)

    def name(self, number: int, pid: int) -> None:
        """Note the process id of a slot's worker; the caller has forked it."""
        self.family.note_worker(pid, number)
        self._nameless.discard(number)

    def pid(self, number: int) -> int:
        """Return the process id of a slot's worker; 0 if there is none that is believed."""
        pid = self.family.pid_in(number)
        if pid or number not in self._slots:
            return pid
        claimed = self.board.pid(number)
        if not self.family.verify_worker(claimed, number):
            return 0
        self._nameless.discard(number)
        return claimed

    def name_all(self) -> None:
        """Find out the process ids of all workers; most slots need that once."""
        for number in list(self._nameless):
            self.pid(number)

    def start(self, number: int) -> bool:
        """Note that a worker waits; tell whether that is possible."""
        slot = self._slots.get(number)
        if slot is None or not slot.may_wait:
            return False
        slot.is_seen_idle = True
        self._seen_idle += 1
        return True

    def is_seen_idle(self, number: int) -> bool:
        """Tell whether a worker has been seen waiting, and may still do so."""
        slot = self._slots.get(number)
        return slot is not None and slot.is_seen_idle and slot.may_wait

    def accept(self, number: int) -> bool:
        """Note that a worker has a connection; tell whether that is possible."""
        slot = self._slots.get(number)
        if slot is None or not slot.may_wait:
            return False
        slot.accepted_ns = self._clock_ns()
        return True

    def can_have_failed_to_fork(self, number: int) -> bool:
        """Tell whether there can be no worker for a slot that has been asked for."""
        slot = self._slots.get(number)
        return slot is not None and slot.may_wait and not slot.is_seen_idle and not self.pid(number)

    def doubt(self, number: int) -> bool:
        """Believe nothing more about a slot; tell whether this is the first time."""
        slot = self._slots[number]
        was_doubted, slot.is_doubted = slot.is_doubted, True
        return not was_doubted

    def is_busy(self, number: int) -> bool:
        """Tell whether a worker has a connection."""
        slot = self._slots.get(number)
        return slot is not None and slot.is_busy

    def busy(self) -> list[int]:
        """Return the slots whose workers have a connection."""
        return [number for number, slot in self._slots.items() if slot.is_busy]

    def unborn(self, generations: Callable[[int], bool]) -> list[int]:
        """Return the claimed numbers of these generations that have no process yet."""
        return [
            number
            for number in sorted(self._nameless)
            if generations(self._slots[number].generation)
            and not self._slots[number].is_seen_idle
            and not self.pid(number)
        ]

    def waiting(self, generation: int) -> list[int]:
        """Return the workers of a generation that wait, or are about to."""
        return [
            number
            for number, slot in self._slots.items()
            if slot.generation == generation and not slot.is_busy
        ]

    def abandon(self, numbers: Iterable[int], error: int = errno.ECANCELED) -> None:
        """Note that some claimed workers will never be forked, and why."""
        for number in numbers:
            self._abandoned[number] = error
            self.board.write_failure(number, Step.FORK, error)
            self.board.set_state(number, SlotState.STILLBORN)

    def take_abandoned(self) -> dict[int, int]:
        """Return the slots whose worker will never be forked, with an errno; each only once."""
        abandoned, self._abandoned = self._abandoned, {}
        return abandoned

    def accepted_ns(self, number: int, claimed_ns: int) -> int:
        """Return when a worker got its connection: what it says, if that can be."""
        slot = self._slots[number]
        if slot.claimed_ns <= claimed_ns <= slot.accepted_ns:
            return claimed_ns
        return slot.accepted_ns

    def state(self) -> dict[int, Slot]:
        """Return all that `restore` wants to know beside the family."""
        return self._slots

    def restore(self, slots: dict[int, Slot]) -> None:
        """Go on where another has stopped; its family has been restored."""
        self._slots = dict(slots)
        self._nameless = {number for number in slots if not self.family.pid_in(number)}
        self._seen_idle = sum(slot.is_seen_idle for slot in slots.values())
