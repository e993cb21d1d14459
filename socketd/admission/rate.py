"""A bucket that fills with time, and the turns that are taken from it.

Owns the arithmetic, as rates_take() of native/rates.c does (a test holds the two against each
other). Must not know whose bucket it is, where it stands, nor any clock. Times are nanoseconds.

A bucket is one number: when it will be full. A turn makes that later by one interval. Who finds it
empty may take a turn that is still to come, and wait for it.
"""

from socketd.settings.admission import Rate

_MOST_NS = 1 << 60


def take_turn(full_at_ns: int, rate: Rate, now_ns: int, longest_ns: int) -> tuple[int, int | None]:
    """Return when a bucket will be full from now on, and the wait for a turn taken.

    That is None, and no turn was taken, if it would be longer than `longest_ns`. A bucket that
    could not have come to be by turns is taken for an empty one.
    """
    interval, full = min(rate.interval_ns, _MOST_NS), min(rate.full_ns, _MOST_NS)
    longest, now = min(longest_ns, _MOST_NS), min(now_ns, _MOST_NS)
    left = min(max(full_at_ns - now, 0), full + longest)
    wait = max(left + interval - full, 0)
    if wait > longest:
        return now + left, None
    return now + left + interval, wait
