"""What the last window of time needed: the largest number of workers busy at the same time.

Owns the time of the last accept and the open window. Must not know strategies, nor which workers
are let go.

A pool that shrinks only after a time without any connection never shrinks under a trickle: one
short connection in each idle time is enough to keep hundreds of workers. So time is divided into
windows of `idle_seconds`, and at the end of each the pool is compared with the largest number of
workers busy in it. A window is open only while a worker would be let go without further
connections.
"""

import math


class Window:
    """Counts the busy workers of each window, and the quiet time before a connection."""

    def __init__(self) -> None:
        self.is_open = False
        self.needed = 0
        self.accepted_seconds = -math.inf

    def open(self, busy: int) -> None:
        """Begin a window."""
        self.is_open = True
        self.needed = busy

    def close(self) -> int:
        """End the window and return the largest number that was busy in it."""
        self.is_open = False
        return self.needed

    def note(self, busy: int, now: float) -> float:
        """Record an accept and the number of busy workers; return the seconds since the last."""
        quiet_seconds = now - self.accepted_seconds
        self.accepted_seconds = now
        self.needed = max(self.needed, busy)
        return quiet_seconds
