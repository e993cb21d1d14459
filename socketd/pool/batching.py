"""For how long news of workers may be held back, so that one turn of the master takes many.

Owns the numbers. Must not know the loop, nor what the news is.

A turn costs about as much processor time as a short connection. It is needed soon only if it makes
a worker wait for the next client sooner. It does not while enough workers wait. Nor does it while
enough are starting: the master has asked for them, and is not what they wait for.
"""

_FEWEST_WORKERS = 4
_SECONDS_PER_WORKER = 0.00025
_MOST_SECONDS = 0.01
_SHARE_WHILE_STARTING = 0.25


def are_enough(minimum: int, idle: int) -> bool:
    """Tell whether so many wait that another one is not missed for a while."""
    return minimum >= _FEWEST_WORKERS and idle * 2 >= minimum


def batch_seconds(minimum: int, idle: int, starting: int) -> float:
    """Return the time to hold news back, in seconds; 0 means not at all.

    `idle` and `starting` are the workers that wait and those asked for, in a pool of at least
    `minimum` workers at rest. The time is so short that only a few of them can accept in it:
    longer with more workers.
    """
    if minimum < _FEWEST_WORKERS:
        return 0.0
    seconds = min(_MOST_SECONDS, minimum * _SECONDS_PER_WORKER)
    if are_enough(minimum, idle):
        return seconds
    if are_enough(minimum, idle + starting):
        return seconds * _SHARE_WHILE_STARTING
    return 0.0
