"""For how long news of workers may be held back, so that one turn of the master takes many.

Owns the numbers. Must not know the loop, nor what the news is.

A turn costs about as much processor time as a short connection. It is needed soon only if it makes
a worker wait for the next client sooner. It does not while enough workers wait. Nor does it while
enough are starting: the master has asked for them, and is not what they wait for.

How many will accept meanwhile nobody knows, so there are two bounds. The time is for what is not
urgent: the log, and room for others. And the worker rings at once that accepts as the last of those
that may, so that there are workers left for the clients that come while the master takes its turn.
"""

from typing import NamedTuple

ENDS_SECONDS = 0.01  # where only the ends of workers are held back
_FEWEST_WORKERS = 4
_FEWEST_ACCEPTS = 2
_SECONDS_PER_WORKER = 0.001
_MOST_SECONDS = 0.01


class Patience(NamedTuple):
    """For how long, and for how many accepts, news may be held back; not at all if both are 0."""

    seconds: float
    accepts: int


NO_PATIENCE = Patience(0.0, 0)


def are_enough(minimum: int, idle: int) -> bool:
    """Tell whether so many wait that another one is not missed for a while."""
    return minimum >= _FEWEST_WORKERS and idle * 2 >= minimum


def patience(ready: int) -> Patience:
    """Return for how long news may be held back, with so many workers that wait or are asked for.

    The time is so short that no client would notice: longer with more workers. Half of them may
    accept meanwhile.
    """
    if ready // 2 < _FEWEST_ACCEPTS:
        return NO_PATIENCE
    return Patience(min(_MOST_SECONDS, ready * _SECONDS_PER_WORKER), ready // 2)
