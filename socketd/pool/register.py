"""The living workers: each with its state and its generation.

Owns the numbers of workers and the counts that strategies use. Must not know strategies, timers or
phases.

Idle workers of an older generation than the register's are outdated: they still accept connections,
but no strategy counts them, because they will be asked to exit.
"""

import heapq
from collections.abc import Iterator

from socketd.dataclass import dataclass
from socketd.pool.states import ImpossibleMoveError, Move, WorkerState, next_state
from socketd.pool.strategies import Size

_WAITING = (WorkerState.STARTING, WorkerState.IDLE)


@dataclass(slots=True)
class Worker:
    """A living worker."""

    number: int
    state: WorkerState
    generation: int
    born_seconds: float


class Register:
    """Living workers by number; a number is free again when its worker is gone."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self._workers: dict[int, Worker] = {}
        self._free: list[int] = []
        self._unused = 0
        self._busy = 0
        self._retiring = 0
        self._outdated = 0
        self._starting = 0
        self._size: Size | None = None  # not counted since the last change

    def __len__(self) -> int:
        """Return how many live, whatever they do."""
        return len(self._workers)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the numbers of all living workers."""
        return iter(self._workers)

    @property
    def size(self) -> Size:
        """Return the size without retiring workers; starting ones count as idle."""
        if self._size is None:
            leaving = self._retiring + self._outdated
            self._size = Size(len(self._workers) - self._busy - leaving, self._busy)
        return self._size

    @property
    def outdated(self) -> int:
        """Return how many wait and are of an older generation."""
        return self._outdated

    @property
    def starting(self) -> int:
        """Return how many of this generation have not been seen waiting yet."""
        return self._starting

    @property
    def retiring(self) -> int:
        """Return how many have been asked to leave and have not left."""
        return self._retiring

    def workers(self) -> list[Worker]:
        """Return all who live."""
        return list(self._workers.values())

    def find(self, number: int) -> Worker | None:
        """Return a living worker, None for a number that is free."""
        return self._workers.get(number)

    def enrol(self, count: int, now: float) -> tuple[int, ...]:
        """Add new workers of this generation, with the lowest free numbers."""
        numbers = []
        for _ in range(count):
            if self._free:
                number = heapq.heappop(self._free)
            else:
                number = self._unused
                self._unused += 1
            self._workers[number] = Worker(number, WorkerState.STARTING, self.generation, now)
            numbers.append(number)
        self._starting += count
        self._size = None
        return tuple(numbers)

    def restore(self, workers: list[Worker]) -> None:
        """Add the workers of another register; only for an empty one."""
        for worker in workers:
            self._workers[worker.number] = worker
            self._count(worker, +1)
        self._unused = max(self._workers, default=-1) + 1
        self._free = [number for number in range(self._unused) if number not in self._workers]

    def begin_generation(self) -> None:
        """Mark all idle workers as outdated."""
        self.generation += 1
        self._outdated += sum(
            worker.state in _WAITING and worker.generation == self.generation - 1
            for worker in self._workers.values()
        )
        self._starting = 0
        self._size = None

    def move(self, number: int, move: Move) -> Worker:
        """Make a move of the transition table; return the worker, one that is gone as it was last.

        Raises ImpossibleMoveError for a move that is not in it, and for a free number.
        """
        worker = self._workers.get(number)
        if worker is None:
            raise ImpossibleMoveError(f"there is no worker {number} to {move.name.lower()}")
        after = next_state(number, worker.state, move)
        self._count(worker, -1)
        if after is None:
            del self._workers[number]
            heapq.heappush(self._free, number)
        else:
            worker.state = after
            self._count(worker, +1)
        return worker

    def busy(self) -> list[int]:
        """Return those who have a connection."""
        return [n for n, w in self._workers.items() if w.state is WorkerState.BUSY]

    def waiting(self) -> list[int]:
        """Return the idle workers, highest number first, so that low numbers stay in use."""
        return sorted((n for n, w in self._workers.items() if w.state in _WAITING), reverse=True)

    def waiting_of(self, *, outdated: bool) -> list[int]:
        """Return the idle workers that are, or are not, outdated, highest number first."""
        return [
            number
            for number in self.waiting()
            if (self._workers[number].generation < self.generation) == outdated
        ]

    def _count(self, worker: Worker, sign: int) -> None:
        self._size = None
        state = worker.state
        if state is WorkerState.BUSY:
            self._busy += sign
        elif state is WorkerState.RETIRING:
            self._retiring += sign
        elif worker.generation < self.generation:
            self._outdated += sign
        elif state is WorkerState.STARTING:
            self._starting += sign
