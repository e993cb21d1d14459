"""When the master takes a turn, and which news is held back until then.

Owns what has rung and is not answered yet, and the time for which it may wait. Must not know what a
turn does. For how long and how many accepts, each service says by its pool: see
socketd/pool/batching.py.

A turn right after accept would run beside the very exec that the client waits for, and with many
clients each connection would cost a turn of its own. So the news of some milliseconds is taken
together, as long as there is any and nobody runs short. Where too few workers wait or start for
that, at least their ends are: no client waits for them.
"""

import signal
import time
from collections.abc import Callable

from socketd.loop.doorbell import Doorbell
from socketd.loop.wheel import Timer, Wheel
from socketd.master.endpoints import Endpoints
from socketd.master.signals import WORKER_SIGNALS
from socketd.pool.batching import ENDS_SECONDS
from socketd.workers.contract import RING_SIGNAL

ENDS = frozenset({signal.SIGCHLD})


class Turns:
    """The turns of a master; `take` gets what has rung since the last one."""

    def __init__(
        self,
        doorbell: Doorbell,
        endpoints: Endpoints,
        wheel: Wheel,
        take: Callable[[set[int]], None],
    ) -> None:
        self._doorbell = doorbell
        self._endpoints = endpoints
        self._wheel = wheel
        self._take = take
        self._unanswered: set[int] = set()
        self._rest: Timer | None = None
        self._is_rest_of_ends = False

    def answer(self) -> None:
        """Take a turn, or first a rest if only workers have rung and none of them is urgent."""
        self._unanswered |= self._doorbell.take()
        if (
            not self._unanswered <= WORKER_SIGNALS
            or (self._rest is None and not self._begin_rest())
            or (self._is_rest_of_ends and not self._unanswered <= ENDS)
            or (RING_SIGNAL in self._unanswered and self._is_urgent())
        ):
            self._end_rest()

    def _begin_rest(self) -> bool:
        """Hold back all news of workers for a while, or only their ends; tell whether one began."""
        if self._endpoints.have_finished:
            return False
        seconds = self._patience_seconds()
        self._is_rest_of_ends = seconds <= 0
        if self._is_rest_of_ends:
            if not self._unanswered <= ENDS or not all(
                endpoint.may_hold_back_ends for endpoint in self._endpoints.members
            ):
                return False
            seconds = ENDS_SECONDS
        self._doorbell.hold_back(ENDS if self._is_rest_of_ends else WORKER_SIGNALS)
        self._rest = self._wheel.add(time.monotonic() + seconds, self._end_rest)
        return True

    def _patience_seconds(self) -> float:
        """Return for how long news of workers may wait, by the least patient service."""
        shortest = float("inf")
        for endpoint in self._endpoints.members:
            if endpoint.is_finished:
                continue
            seconds = endpoint.hold_back()
            if seconds <= 0:
                return 0.0
            shortest = min(shortest, seconds)
        return shortest

    def _is_urgent(self) -> bool:
        return any(endpoint.is_urgent for endpoint in self._endpoints.members)

    def _end_rest(self) -> None:
        """Take a turn with everything that has come; rest again after one with news of workers."""
        if self._rest is not None:
            self._wheel.cancel(self._rest)
            self._rest = None
            self._unanswered |= self._doorbell.take()
        rung, self._unanswered = self._unanswered, set()
        if rung:
            self._take(rung)
        if not rung or not self._begin_rest():
            self._doorbell.let_through()
