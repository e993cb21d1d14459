"""When the master of a simulated service takes a turn, and which news is held back until then.

Owns what socketd/master/turns.py does with a real doorbell, in simulated time. Must not know
workers or queues. The times come from the pool itself: see socketd/pool/batching.py.
"""

from collections.abc import Callable

from socketd.pool.batching import ENDS_SECONDS
from socketd.pool.messages import Event, WorkerAccepted, WorkerExited
from socketd.pool.policy import Pool


class Turns:
    """News of workers on its way to the pool.

    `take` gets what a turn takes, in order; `wake` is called with the moment at which `expire` is
    to be called; `count_ready` says how many workers wait or are asked for.
    """

    def __init__(
        self,
        pool: Pool,
        take: Callable[[list[Event], float], None],
        wake: Callable[[float, int], None],
        count_ready: Callable[[], int],
    ) -> None:
        self._pool = pool
        self._take = take
        self._wake = wake
        self._count_ready = count_ready
        self._news: list[Event] = []
        self._batch = 0
        self._is_batch = self._is_of_ends = False
        self._accepts_left = 0

    def ring(self, event: WorkerAccepted | WorkerExited, now: float) -> None:
        """Take note of what a worker has done, and take a turn unless that can wait."""
        self._news.append(event)
        is_accept = type(event) is WorkerAccepted
        if not self._is_batch:
            if not self._begin(now, is_end=not is_accept):
                self._turn(now)
        elif is_accept:
            self._accepts_left -= 1
            if self._is_of_ends or self._accepts_left <= 0:
                self._turn(now)

    def expire(self, batch: int, now: float) -> None:
        """Take the turn that was put off, unless there was one since."""
        if self._is_batch and batch == self._batch:
            self._turn(now)

    def _begin(self, now: float, *, is_end: bool) -> bool:
        """Hold news back for a while, or only ends; tell whether that began."""
        if not self._pool.may_hold_back_ends:
            return False
        seconds, self._accepts_left = self._pool.patience(self._count_ready())
        self._is_of_ends = seconds <= 0.0
        if self._is_of_ends:
            if not is_end:
                return False
            seconds = ENDS_SECONDS
        self._is_batch = True
        self._batch += 1
        self._wake(now + seconds, self._batch)
        return True

    def _turn(self, now: float) -> None:
        news, self._news = self._news, []
        self._is_batch = False
        if news:
            self._take(news, now)
            # After a turn with news the next is held back at once, as the master does.
            self._begin(now, is_end=True)
