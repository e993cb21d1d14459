"""What the last window of time has needed: the most workers that were busy at once within it.

Owns the last accept and the window that is open. Must not know strategies, nor who is let go.

A pool that waits with shrinking for a time without any connection never shrinks under a trickle:
one short connection in each idle time is enough to keep up hundreds of workers. So time is cut
into windows of `idle_seconds`, and at the end of each the pool is measured by the most that were
busy at once in it. One is open only while there is somebody to let go should nothing else come.
"""

import math


class Window:
    """The busy workers of one window after the other, and the quiet before a connection."""

    def __init__(self) -> None:
        self.is_open = False
        self.needed = 0
        self.accepted_seconds = -math.inf

    def open(self, busy: int) -> None:
        """Begin a window."""
        self.is_open = True
        self.needed = busy

    def close(self) -> int:
        """End the window and return the most that were busy at once in it."""
        self.is_open = False
        return self.needed

    def note(self, busy: int, now: float) -> float:
        """Note an accept, and how many are busy since; return the seconds since the one before."""
        quiet_seconds = now - self.accepted_seconds
        self.accepted_seconds = now
        self.needed = max(self.needed, busy)
        return quiet_seconds
