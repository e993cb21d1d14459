"""How many workers to start or let go: the strategies.

Owns the rules of growth and shrinking. Knows the sizes of a pool, not its workers.

With T = idle + busy, always within [min, max]; a worker that is still starting counts as idle:

    strategy      start  a worker accepts       a worker completes        quiet for a while
    fixed         N      nothing                start one                 nothing
    eager         min    start one              top idle up to min        let go idle above min
    adaptive      min    top idle up to busy    top idle up to min        let go idle above min
    incremental   min    nothing                start two                 let go half the surplus
    surge         min    if T was min, up to    back to the level         let go half the surplus
                         max at once            reached

Every growth is cut at max by the pool. "Surplus" is T - min, and half of it is at least one.

A worker is replaced some hundred microseconds after it has accepted. For whoever comes meanwhile
one more has to wait already, and the more clients come at once, the more of them. How many do, the
busy ones tell; `adaptive` goes by them. With eight at once each step up to eight gained less than
the one before (docs/performance.md); more than that costs every long connection an idle worker.
"""

from typing import NamedTuple, Protocol

from socketd.pool.settings import Strategy

_MOST_AHEAD = 8


class Size(NamedTuple):
    """How large a pool is at one moment, in workers; `idle` includes those still starting."""

    idle: int
    busy: int

    @property
    def total(self) -> int:
        """Return idle and busy workers together."""
        return self.idle + self.busy


class SizingRule(Protocol):
    """What a strategy answers; every number is of workers and may be too large, never negative."""

    @property
    def grows_on_completion(self) -> bool:
        """Tell whether a completion makes it start workers even below the maximum."""
        ...

    def growth_on_accept(self, size: Size) -> int:
        """Return how many to start because a worker has accepted."""
        ...

    def growth_on_completion(self, size: Size) -> int:
        """Return how many to start because a connection has ended."""
        ...

    def shortage(self, size: Size) -> int:
        """Return how many are missing when nothing has just happened, as after a back-off."""
        ...

    def surplus(self, size: Size) -> int:
        """Return how many idle workers to let go after a quiet time."""
        ...

    def shrunk(self, size: Size) -> None:
        """Learn the size after idle workers were let go."""
        ...


class Fixed:
    """Always `minimum` workers."""

    grows_on_completion = True

    def __init__(self, minimum: int, maximum: int) -> None:
        self._minimum = minimum
        self._maximum = maximum

    def growth_on_accept(self, size: Size) -> int:  # noqa: ARG002  the same for every size
        """Return none: the number of workers never changes."""
        return 0

    def growth_on_completion(self, size: Size) -> int:
        """Return what is missing, one for each worker that has gone."""
        return self.shortage(size)

    def shortage(self, size: Size) -> int:
        """Return what is missing to the minimum."""
        return max(0, self._minimum - size.total)

    def surplus(self, size: Size) -> int:  # noqa: ARG002  the same for every size
        """Return none: the number of workers never changes."""
        return 0

    def shrunk(self, size: Size) -> None:
        """Learn nothing: this strategy has no memory."""


class Eager(Fixed):
    """Always `minimum` idle workers, while the maximum allows."""

    grows_on_completion = False

    def growth_on_accept(self, size: Size) -> int:  # noqa: ARG002  the same for every size
        """Return one, in place of the worker that is idle no longer."""
        return 1

    def shortage(self, size: Size) -> int:
        """Return what is missing to `minimum` idle ones."""
        return max(0, self._minimum - size.idle)

    def surplus(self, size: Size) -> int:
        """Return the idle workers above the minimum."""
        return max(0, size.idle - self._minimum)


class Adaptive(Eager):
    """As many idle workers as busy ones, from `minimum` up to eight, while the maximum allows."""

    def growth_on_accept(self, size: Size) -> int:
        """Return what is missing to one idle worker for each busy one."""
        ahead = max(self._minimum, min(size.busy, _MOST_AHEAD))
        return max(0, ahead - size.idle)


class Incremental(Fixed):
    """Two workers for each that completes, as long as requests keep coming."""

    def growth_on_completion(self, size: Size) -> int:  # noqa: ARG002  the same for every size
        """Return two: one in place of the worker that has gone, and one more."""
        return 2

    def surplus(self, size: Size) -> int:
        """Return half of what is above the minimum, at least one, of the idle ones."""
        above = size.total - self._minimum
        return min(max(1, above // 2), size.idle) if above > 0 else 0


class Surge(Incremental):
    """From the minimum straight to the maximum, and down again by halves."""

    def __init__(self, minimum: int, maximum: int) -> None:
        super().__init__(minimum, maximum)
        self._level = minimum

    def growth_on_accept(self, size: Size) -> int:
        """Return everything up to the maximum, if the pool was at its minimum."""
        if size.total > self._minimum:
            return 0
        self._level = self._maximum
        return self._maximum - size.total

    def growth_on_completion(self, size: Size) -> int:
        """Return what is missing to the level reached."""
        return self.shortage(size)

    def shortage(self, size: Size) -> int:
        """Return what is missing to the level reached."""
        return max(0, self._level - size.total)

    def shrunk(self, size: Size) -> None:
        """Take the new size for the level reached."""
        self._level = max(self._minimum, size.total)


_RULES: dict[Strategy, type[Fixed]] = {
    Strategy.FIXED: Fixed,
    Strategy.EAGER: Eager,
    Strategy.ADAPTIVE: Adaptive,
    Strategy.INCREMENTAL: Incremental,
    Strategy.SURGE: Surge,
}


def rule_for(strategy: Strategy, minimum: int, maximum: int) -> SizingRule:
    """Return a fresh rule of the strategy for a pool of `minimum` to `maximum` workers."""
    return _RULES[strategy](minimum, maximum)
