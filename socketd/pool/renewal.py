"""A reload within a pool: the new generation comes up, the outdated leave.

Owns who has to be started and who may leave meanwhile. Must not know what a reload is for, nor
strategies, timers or phases.

`maximum` is a promise, so old and new share it: as many new workers are started as there is room
for, and when they are seen waiting, the outdated ones are asked to leave and make room for the
rest. If there is no room at all, one outdated worker makes it. Until the first of the new
generation has been seen, all others stay: a program that no longer works costs the service one
waiting worker at most.
"""

from socketd.pool.register import Register


class Renewal:
    """The change from one generation of a register to the next."""

    def __init__(self, register: Register) -> None:
        self.is_proven = False
        self._register = register

    def begin(self) -> None:
        """Outdate everybody who waits."""
        self._register.begin_generation()
        self.is_proven = False

    def note(self, worker: int) -> None:
        """Take note that a worker has been seen waiting, or at work."""
        entry = self._register.find(worker)
        if entry is not None and entry.generation == self._register.generation:
            self.is_proven = True

    def shortage(self, minimum: int) -> int:
        """Return how many must be started so that the outdated have somebody to make room for."""
        register = self._register
        if register.outdated == 0 or self.is_proven:
            return 0
        return max(0, min(minimum, register.outdated) - register.size.idle)

    def leavers(self, maximum: int) -> list[int]:
        """Return the outdated who may leave now: all when the new generation is up, or one."""
        register = self._register
        if register.outdated == 0 or register.starting:
            return []
        outdated = register.waiting_of(outdated=True)
        if self.is_proven:
            return outdated
        if register.retiring or len(register) < maximum:
            return []
        return outdated[:1]
