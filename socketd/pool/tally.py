"""What is counted of a listener's workers and connections, since the server was started.

Owns the counters, and what is counted where. Must not know who asks for them, nor a clock. A tally
outlives its pool: it goes on after a crash, and in the next version of the program.

Times are seconds on the caller's monotonic clock.
"""

from bisect import bisect_left
from itertools import accumulate

from socketd.dataclass import dataclass, field
from socketd.pool.timelimit import EndReason

_KIB = 1024
DURATION_BOUNDS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
)  # fmt: skip
MEMORY_BOUNDS = tuple(float(_KIB * _KIB << power) for power in range(13))  # 1 MiB to 4 GiB
OK, FAILED, SIGNAL, LIMIT, REFUSED, UNKNOWN = RESULTS = (
    "ok", "failed", "signal", "limit", "refused", "unknown",
)  # fmt: skip
_LARGEST = 2**53  # what any reader of JSON can count to


def result_of(status: int, limit: str | None, *, is_refused: bool) -> str:
    """Return what a connection counts as; `status` is that of its worker's end."""
    if limit is not None:
        return LIMIT
    if is_refused:
        return REFUSED
    if status == 0:
        return OK
    return FAILED if status > 0 else SIGNAL


@dataclass(slots=True)
class Spread:
    """How many values are in each range, the last one without end, and the sum of all."""

    counts: list[int]
    sum: float = 0.0

    def add(self, value: float, bounds: tuple[float, ...]) -> None:
        """Count a value."""
        self.counts[bisect_left(bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[int]:
        """Return how many values are at most each bound, and last how many there are."""
        return list(accumulate(self.counts))


@dataclass(slots=True)
class Tally:
    """The counters of one listener; those of its favourites are among them."""

    accepted: int = 0
    closed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RESULTS, 0))
    ended: dict[str, int] = field(default_factory=lambda: {one.value: 0 for one in EndReason})
    cpu_seconds: float = 0.0
    durations: Spread = field(default_factory=lambda: Spread([0] * (len(DURATION_BOUNDS) + 1)))
    memory: Spread = field(default_factory=lambda: Spread([0] * (len(MEMORY_BOUNDS) + 1)))
    refused: dict[str, int] = field(default_factory=dict)
    nobody_idle: int = 0
    max_reached: int = 0
    busy_seconds: float = 0.0
    idle_seconds: float = 0.0
    failures: int = 0
    failure: str = ""
    failed_seconds: float | None = None
    templates_begun: int = 0
    templates_failed: int = 0
    template_pid: int = 0
    template_seconds: float = 0.0
    template_reason: str = ""
    crashes: int = 0

    def close(self, result: str, limit: str | None, duration_seconds: float) -> None:
        """Count a connection that is over."""
        self.closed[result] += 1
        if limit is not None:
            self.ended[limit] = self.ended.get(limit, 0) + 1
        self.durations.add(duration_seconds, DURATION_BOUNDS)

    def weigh(self, cpu_seconds: float, max_rss_kib: int) -> None:
        """Count what a connection has cost."""
        self.cpu_seconds += cpu_seconds
        self.memory.add(float(max_rss_kib * _KIB), MEMORY_BOUNDS)

    def lose(self, connections: int) -> None:
        """Count connections of which nobody will see the end."""
        self.closed[UNKNOWN] += connections

    def begin_template(self, pid: int, reason: str, now: float) -> None:
        """Count a template that serves from now on, and why it is not at the wanted level."""
        self.templates_begun += 1
        self.template_pid, self.template_seconds, self.template_reason = pid, now, reason

    def fail(self, reason: str, now: float) -> None:
        """Count a worker that has failed before it had a connection."""
        self.failures += 1
        self.failure, self.failed_seconds = reason, now

    def refuse(self, reason: str, count: int) -> None:
        """Count clients that were sent away; strangers may have written that number."""
        known = self.refused.get(reason, 0)
        self.refused[reason] = min(known + max(0, count), _LARGEST)


class Meter:
    """Adds up what the workers of one pool do, and how often they run short, in a tally."""

    def __init__(self, tally: Tally, now: float) -> None:
        self._tally = tally
        self._since_seconds = now
        self._idle = self._busy = 0
        self._is_full = False

    def note(self, idle: int, busy: int, maximum: int, now: float) -> None:
        """Note what workers do from now on, and how many there may be."""
        elapsed = max(0.0, now - self._since_seconds)
        self._tally.idle_seconds += self._idle * elapsed
        self._tally.busy_seconds += self._busy * elapsed
        self._since_seconds = now
        self._idle, self._busy = idle, busy
        is_full = busy >= maximum > 0
        if is_full and not self._is_full:
            self._tally.max_reached += 1
        self._is_full = is_full

    def running(self, now: float) -> tuple[float, float]:
        """Return the idle and the busy seconds that the tally does not have yet."""
        elapsed = now - self._since_seconds
        if elapsed <= 0.0:
            return 0.0, 0.0
        return self._idle * elapsed, self._busy * elapsed

    def note_taken(self, waiting: int) -> None:
        """Note that connections were taken, and how many workers wait after that."""
        if not waiting:
            self._tally.nobody_idle += 1
