"""A reload within a pool: a new generation starts, outdated workers exit.

Owns which workers must start and which may exit meanwhile. Must not know what a reload is for, nor
strategies, timers or phases.

`maximum` is a promise, so both generations share it: as many new workers are started as there is
room for, and when they are seen idle, the outdated ones are asked to exit and make room for the
rest. If there is no room at all, one outdated worker makes it. Until the first new worker has been
seen, all others stay: a program that no longer works costs one idle worker at most.
"""

from socketd.pool.register import Register


class Renewal:
    """The change from one generation of a register to the next."""

    def __init__(self, register: Register) -> None:
        self.is_proven = False
        self._register = register

    def begin(self) -> None:
        """Mark all idle workers as outdated."""
        self._register.begin_generation()
        self.is_proven = False

    def note(self, worker: int) -> None:
        """Record that a worker was seen idle or busy."""
        entry = self._register.find(worker)
        if entry is not None and entry.generation == self._register.generation:
            self.is_proven = True

    def shortage(self, minimum: int) -> int:
        """Return how many workers must be started so that outdated ones can be replaced."""
        register = self._register
        if register.outdated == 0 or self.is_proven:
            return 0
        return max(0, min(minimum, register.outdated) - register.size.idle)

    def leavers(self, maximum: int) -> list[int]:
        """Return the outdated workers that may exit now: all when the new ones are up, or one."""
        register = self._register
        if register.outdated == 0 or register.starting:
            return []
        outdated = register.waiting_of(outdated=True)
        if self.is_proven:
            return outdated
        if register.retiring or len(register) < maximum:
            return []
        return outdated[:1]
