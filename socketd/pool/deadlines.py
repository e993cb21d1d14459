"""Moments at which something is due, one for each worker at most.

Owns their order. Must not know what is due.
"""

import heapq


class Deadlines:
    """Deadlines by worker, in monotonic seconds; a change costs the logarithm of their number."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        # Deadlines that were replaced or dropped stay in it until they are the earliest.
        self._order: list[tuple[float, int]] = []

    def set(self, worker: int, due_seconds: float) -> None:
        """Set the deadline of a worker, in place of an earlier one."""
        self._due[worker] = due_seconds
        heapq.heappush(self._order, (due_seconds, worker))

    def drop(self, worker: int) -> None:
        """Forget the deadline of a worker, if there is one."""
        self._due.pop(worker, None)

    @property
    def next_seconds(self) -> float | None:
        """Return the earliest, None if there is none."""
        while self._order:
            due_seconds, worker = self._order[0]
            if self._due.get(worker) == due_seconds:
                return due_seconds
            heapq.heappop(self._order)
        return None

    def take(self, now: float, most: int | None = None) -> list[int]:
        """Return and forget up to so many workers whose deadline is over, the earliest first."""
        taken: list[int] = []
        while most is None or len(taken) < most:
            due_seconds = self.next_seconds
            if due_seconds is None or due_seconds > now:
                break
            worker = self._order[0][1]
            del self._due[worker]
            taken.append(worker)
        return taken
