"""How many workers to start or let go: the strategies.

Owns the rules of growth and shrinking. Knows the sizes of a pool, not its workers.

With T = idle + busy, always within [min, max]; a worker that is still starting counts as idle. B is
the most that were busy at once in the last window, see socketd/pool/window.py. R is how many
connections may come at once, see below:

    strategy      start  a worker accepts       a worker completes        at the end of a window
    fixed         N      nothing                start one                 nothing
    eager         min    top idle up to min     top idle up to min        let go idle above min
    adaptive      min    top idle up to R       top idle up to min        let go idle above R
    incremental   min    nothing                start two                 let go half the surplus
    surge         min    if T was min after a   back to the level         let go half the surplus
                         quiet time, or nobody  reached
                         is idle any more, up
                         to max at once

The pool limits every growth to max. "Surplus" is T - max(min, B), with `surge` T - max(min, B + 1),
and half of it is at least one. Every pool shrinks in the end: if from some time on no more than b
are busy at once, then after some windows

    eager         idle <= min
    adaptive      idle <= max(min, b), b being no more than 64 here
    incremental   T <= max(min, b) + 2k + 1, where no more than k complete in a window
    surge         T <= max(min, b + 1), unless a quiet time comes before

and a pool without connections shrinks to min and opens no further window.

No rule starts one worker for each accept without checking how many are idle: the accept may be that
of an outdated or a retiring worker, which does not reduce the number of idle workers that stay.

`surge` keeps one worker more than B, because it grows when no worker is idle any more: a pool that
has shrunk to what a trickle needs must grow when more connections arrive, and must not grow with
each connection of the trickle. At the minimum one connection is enough to grow, but only after a
quiet time; otherwise the same trickle would start all workers each time the pool has shrunk.

A replacement is ready some hundred microseconds after the accept. A client that arrives before that
needs a second idle worker, and several clients need several. `adaptive` estimates how many by what
has come within a moment, see socketd/pool/rush.py, and one more. It keeps no more idle than are
busy: so a pool at rest needs no clock to come down to its minimum. And no more than 64: one burst
of a port scanner would bring up hundreds.

Its former estimate was the number of busy workers, eight at most. In simulated loads (`socketd
plan`) that was too few for short connections that come in bursts, and too many for long ones.
"""

from typing import NamedTuple, Protocol

from socketd.pool.rush import Rush
from socketd.pool.settings import Strategy

_MOST_AHEAD = 64


class Size(NamedTuple):
    """The size of a pool at one moment, in workers; `idle` includes starting ones."""

    idle: int
    busy: int

    @property
    def total(self) -> int:
        """Return idle and busy workers together."""
        return self.idle + self.busy


class SizingRule(Protocol):
    """The interface of a strategy; answers are numbers of workers, never negative."""

    @property
    def grows_on_completion(self) -> bool:
        """Tell whether a completion makes it start workers even below the maximum."""
        ...

    def accepted(self, now: float) -> None:
        """Learn that a worker has accepted, before it is asked what follows."""
        ...

    def growth_on_accept(self, size: Size, *, is_after_quiet: bool) -> int:
        """Return how many to start because a worker has accepted."""
        ...

    def growth_on_completion(self, size: Size) -> int:
        """Return how many to start because a connection has ended."""
        ...

    def shortage(self, size: Size) -> int:
        """Return how many workers are missing without a new event, as after a back-off."""
        ...

    def surplus(self, size: Size, needed: int) -> int:
        """Return how many idle workers to let go after a window with this many busy at once."""
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

    def accepted(self, now: float) -> None:
        """Learn nothing: this strategy has no memory."""

    def growth_on_accept(self, size: Size, *, is_after_quiet: bool) -> int:  # noqa: ARG002  the same for every size
        """Return none: the number of workers never changes."""
        return 0

    def growth_on_completion(self, size: Size) -> int:
        """Return what is missing, one for each worker that has gone."""
        return self.shortage(size)

    def shortage(self, size: Size) -> int:
        """Return what is missing to the minimum."""
        return max(0, self._minimum - size.total)

    def surplus(self, size: Size, needed: int) -> int:  # noqa: ARG002  the same for every size
        """Return none: the number of workers never changes."""
        return 0

    def shrunk(self, size: Size) -> None:
        """Learn nothing: this strategy has no memory."""


class Eager(Fixed):
    """Always `minimum` idle workers, while the maximum allows."""

    grows_on_completion = False

    def growth_on_accept(self, size: Size, *, is_after_quiet: bool) -> int:  # noqa: ARG002  waits for nothing
        """Return how many idle workers are missing for this number of busy ones."""
        return max(0, self._ahead(size.busy) - size.idle)

    def shortage(self, size: Size) -> int:
        """Return what is missing to `minimum` idle ones."""
        return max(0, self._minimum - size.idle)

    def surplus(self, size: Size, needed: int) -> int:
        """Return the idle workers above those that the window has wanted."""
        return max(0, size.idle - self._ahead(needed))

    def _ahead(self, busy: int) -> int:  # noqa: ARG002  the same for any number
        """Return how many are to be idle beside so many busy ones."""
        return self._minimum


class Adaptive(Eager):
    """As many idle workers as may be wanted at once, from `minimum` up to as many as are busy."""

    def __init__(self, minimum: int, maximum: int) -> None:
        super().__init__(minimum, maximum)
        self._rush = Rush()

    def accepted(self, now: float) -> None:
        """Count it among those that have come at once."""
        self._rush.note(now)

    def _ahead(self, busy: int) -> int:
        return max(self._minimum, min(busy, self._rush.size + 1, _MOST_AHEAD))


class Incremental(Fixed):
    """Two workers for each connection that ends, while connections keep coming."""

    _spare = 0

    def growth_on_completion(self, size: Size) -> int:  # noqa: ARG002  the same for every size
        """Return two: one in place of the worker that has gone, and one more."""
        return 2

    def surplus(self, size: Size, needed: int) -> int:
        """Return half of the idle workers that the window did not need, at least one."""
        above = size.total - max(self._minimum, needed + self._spare)
        return min(max(1, above // 2), size.idle) if above > 0 else 0


class Surge(Incremental):
    """From the minimum directly to the maximum, and down again by halves."""

    _spare = 1

    def __init__(self, minimum: int, maximum: int) -> None:
        super().__init__(minimum, maximum)
        self._level = minimum

    def growth_on_accept(self, size: Size, *, is_after_quiet: bool) -> int:
        """Return all workers up to the maximum, if this may be the first of many connections."""
        is_at_rest = size.total <= self._minimum
        if size.idle > 0 and not (is_at_rest and is_after_quiet):
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


class WithSpares:
    """Another rule, and beyond its maximum a worker that waits while as many as that are busy."""

    def __init__(self, rule: SizingRule, maximum: int, spares: int) -> None:
        self._rule = rule
        self._maximum = maximum
        self._spares = spares

    @property
    def grows_on_completion(self) -> bool:
        """Tell what the other rule does."""
        return self._rule.grows_on_completion

    def accepted(self, now: float) -> None:
        """Have the other rule learn it."""
        self._rule.accepted(now)

    def growth_on_accept(self, size: Size, *, is_after_quiet: bool) -> int:
        """Return what the other rule wants, or what nobody is left for without a spare one."""
        growth = self._rule.growth_on_accept(size, is_after_quiet=is_after_quiet)
        return max(growth, self._missing(size))

    def growth_on_completion(self, size: Size) -> int:
        """Return what the other rule wants."""
        return self._rule.growth_on_completion(size)

    def shortage(self, size: Size) -> int:
        """Return what is missing for either."""
        return max(self._rule.shortage(size), self._missing(size))

    def surplus(self, size: Size, needed: int) -> int:
        """Return what the other rule has too many."""
        return self._rule.surplus(size, needed)

    def shrunk(self, size: Size) -> None:
        """Have the other rule learn it."""
        self._rule.shrunk(size)

    def _missing(self, size: Size) -> int:
        return max(0, self._spares - size.idle) if size.busy >= self._maximum else 0


def rule_for(strategy: Strategy, minimum: int, maximum: int, spares: int = 0) -> SizingRule:
    """Return a fresh rule of the strategy for a pool of `minimum` to `maximum` workers."""
    rule = _RULES[strategy](minimum, maximum)
    return WithSpares(rule, maximum, spares) if spares else rule
