"""What came of a simulated service: waits, forks, workers over time.

Owns the counting. Must not know what happens, nor how figures are shown. Times are seconds.
"""

from array import array

from socketd.dataclass import dataclass
from socketd.planning.queueing import quantile

BINS = 400


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of a run; `waits` are ascending, `sizes` and `work` the peaks of equal times."""

    waits: "array[float]"
    forks: int
    mean_workers: float
    mean_busy: float
    peak: int
    sizes: tuple[int, ...]
    work: tuple[int, ...]

    @property
    def share_waited(self) -> float:
        """Return the share of connections that found no idle worker."""
        return sum(one > 0.0 for one in self.waits) / len(self.waits)

    def wait(self, share: float) -> float:
        """Return the seconds that this share of the connections did not wait longer than."""
        return quantile(self.waits, share)


class Record:
    """What is written down while a service is simulated, from one moment to another.

    Means and peaks are of that time; what happens after it is not counted in them.
    """

    def __init__(self, connections: int, begin: float, end: float) -> None:
        self._waits = array("d", bytes(8 * connections))
        self._begin, self._end = begin, end
        self._bin_seconds = (end - begin) / BINS or 1.0
        self._now = begin
        self._busy = self._alive = self._peak = 0
        self._busy_seconds = self._alive_seconds = 0.0
        self._forks = 0
        self._sizes: dict[int, int] = {}
        self._work: dict[int, int] = {}

    @property
    def waits(self) -> "array[float]":
        """Return how long each connection has waited, in the order of their numbers."""
        return self._waits

    def accept(self, number: int, wait_seconds: float, now: float) -> None:
        """Count a connection that has found a worker."""
        self._waits[number] = wait_seconds
        self.count(now, busy=1, alive=0)

    def spawn(self, workers: int, now: float) -> None:
        """Count workers that were ordered."""
        self._forks += workers
        self.count(now, busy=0, alive=workers)

    def count(self, now: float, *, busy: int, alive: int) -> None:
        """Count a change in the numbers of workers at work, and of all."""
        if now < self._end:
            elapsed = now - self._now
            self._busy_seconds += self._busy * elapsed
            self._alive_seconds += self._alive * elapsed
            self._now = now
        self._busy += busy
        self._alive += alive
        if now <= self._end:
            self._peak = max(self._peak, self._alive)
            place = min(BINS - 1, int((now - self._begin) / self._bin_seconds))
            if self._alive > self._sizes.get(place, 0):
                self._sizes[place] = self._alive
            if self._busy > self._work.get(place, 0):
                self._work[place] = self._busy

    def outcome(self) -> Outcome:
        """Return the figures."""
        self.count(self._end, busy=0, alive=0)
        span = self._end - self._begin or 1.0
        return Outcome(
            array("d", sorted(self._waits)),
            self._forks,
            self._alive_seconds / span,
            self._busy_seconds / span,
            self._peak,
            _filled(self._sizes),
            _filled(self._work),
        )


def _filled(peaks: dict[int, int]) -> tuple[int, ...]:
    """Return a value for each of the times, the former one where nothing has changed."""
    filled, last = [], 0
    for place in range(BINS):
        last = peaks.get(place, last)
        filled.append(last)
    return tuple(filled)
