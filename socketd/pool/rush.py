"""How many connections come within a moment: the rush.

Owns the count and how it is forgotten. Must not know strategies, nor a clock: the caller passes the
time of each accept, in monotonic seconds.

A replacement is ready about a millisecond after an accept. What comes in that time needs another
worker that waits already, so what counts is not how many connections there are but how close
together they come. The moment is twice that time: accepts are learnt of late, and several at once.

The largest number counts, and falls by a factor of e in ten seconds: long enough for bursts that
come every few seconds, short enough that a port scanner keeps workers for nobody for some seconds
only.
"""

import math
from collections import deque

_MOMENT_SECONDS = 0.002
_MEMORY_SECONDS = 10.0


class Rush:
    """The largest number of accepts within a moment, as far as it is not forgotten."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque()
        self._most = 0.0
        self._noted_seconds = 0.0

    def note(self, now: float) -> None:
        """Count an accept."""
        recent = self._recent
        recent.append(now)
        while recent[0] < now - _MOMENT_SECONDS:
            recent.popleft()
        faded = self._most * math.exp((self._noted_seconds - now) / _MEMORY_SECONDS)
        self._most = max(float(len(recent)), faded)
        self._noted_seconds = now

    @property
    def size(self) -> int:
        """Return how many connections may come before a replacement is ready; none at first."""
        return math.ceil(self._most)
