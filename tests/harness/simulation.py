"""A service without processes: the pool and the wheel, a made-up clock, and clients."""

import functools
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator

from socketd.loop.wheel import Timer, Wheel
from socketd.pool.messages import (
    ArmTimer,
    Command,
    DisarmTimer,
    Event,
    PoolTimer,
    RetireWorkers,
    ShortageEased,
    SpawnFailed,
    SpawnWorkers,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.policy import Pool
from socketd.pool.settings import PoolSettings

EXIT_SECONDS = 0.0005


class Simulation:
    """A pool whose workers are born, serve and leave as real ones do, in no time at all.

    Clients that find nobody wait in a queue. `most_processes` is what the machine bears: a worker
    beyond that cannot be born.
    """

    def __init__(
        self,
        settings: PoolSettings,
        birth_seconds: float = 0.001,
        most_processes: int = 10**6,
    ) -> None:
        self.now = 0.0
        self.birth_seconds = birth_seconds
        self.most_processes = most_processes
        self.most_idle = 0
        self.most_in_all = 0
        self.waited_seconds = 0.0
        self.settings = settings
        self.pool = Pool(settings)
        self._wheel = Wheel(0.0)
        self._timers: dict[PoolTimer, Timer] = {}
        self._happening: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._waiting: list[int] = []
        self._unborn: set[int] = set()
        self._retiring: set[int] = set()
        self._busy: set[int] = set()
        self._queue: deque[tuple[float, float, Callable[[], None]]] = deque()
        self._obey(self.pool.start(0.0))

    @property
    def idle(self) -> int:
        """Return the workers that wait, or soon will."""
        return self.pool.size.idle

    @property
    def processes(self) -> int:
        """Return all workers that are born and not gone."""
        return len(self._waiting) + len(self._busy) + len(self._retiring)

    @property
    def sleeps_for_ever(self) -> bool:
        """Tell whether no timer is armed: the master sleeps without a time-out."""
        return self._wheel.next_due() is None

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something happen at a moment."""
        heapq.heappush(self._happening, (max(seconds, self.now), next(self._order), action))

    def connect(self, duration: float = 0.01, then: Callable[[], None] = lambda: None) -> None:
        """Let a client come now, stay so long once it is served, and do something at its end."""
        self._queue.append((self.now, duration, then))
        self._serve()

    def reload(self, settings: PoolSettings | None = None) -> None:
        """Begin a new generation."""
        self.settings = settings or self.settings
        self._obey(self.pool.reload(self.settings, self.now))

    def adjust(self, settings: PoolSettings) -> None:
        """Have other sizes from now on."""
        self.settings = settings
        self._obey(self.pool.adjust(settings, self.now))

    def kill(self, count: int, status: int = -9) -> None:
        """Kill so many of those that wait."""
        for worker in self._waiting[:count]:
            self._waiting.remove(worker)
            self._tell(WorkerExited(worker, status))

    def forget_peaks(self) -> None:
        """Measure the peaks anew from now on."""
        self.most_idle, self.most_in_all = self.pool.size.idle, self.pool.size.total

    def run(self, until: float) -> None:
        """Let time pass, with all that happens in it."""
        while True:
            due = self._wheel.next_due()
            moment = self._happening[0][0] if self._happening else None
            if moment is not None and moment <= until and (due is None or moment <= due):
                _, _, action = heapq.heappop(self._happening)
                self.now = max(self.now, moment)
                action()
            elif due is not None and due <= until:
                self.now = max(self.now, due)
                self._wheel.advance(self.now)
            else:
                break
        self.now = until

    def trickle(self, gap: float, until: float, duration: float = 0.01) -> None:
        """Let one client come every `gap` seconds; the last one comes at the end."""
        while self.now + gap <= until:
            self.run(self.now + gap)
            self.connect(duration)

    def load(self, rate: float, until: float, mean_seconds: float, seed: int = 0) -> None:
        """Let clients come at random, so many a second, each for about so long."""
        for moment, duration in arrivals(self.now, until, rate, mean_seconds, seed):
            self.run(moment)
            self.connect(duration)
        self.run(until)

    def _serve(self) -> None:
        while self._queue and self._waiting:
            came, duration, then = self._queue.popleft()
            self.waited_seconds = max(self.waited_seconds, self.now - came)
            worker = self._waiting.pop(0)
            self._busy.add(worker)
            self.at(self.now + duration, functools.partial(self._complete, worker, then))
            self._tell(WorkerAccepted(worker))

    def _complete(self, worker: int, then: Callable[[], None]) -> None:
        self._busy.discard(worker)
        self._tell(WorkerExited(worker, 0))
        self._tell(ShortageEased())
        then()

    def _leave(self, worker: int) -> None:
        self._retiring.discard(worker)
        self._tell(WorkerExited(worker, 0))

    def _bear(self, worker: int) -> None:
        if worker not in self._unborn:
            return
        self._unborn.discard(worker)
        if self.processes >= self.most_processes:
            self._tell(SpawnFailed(worker, "fork: Resource temporarily unavailable", True))
            return
        self._waiting.append(worker)
        self._tell(WorkerStarted(worker))
        self._serve()

    def _tell(self, event: Event) -> None:
        self._obey(self.pool.handle(event, self.now))

    def _obey(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case SpawnWorkers(workers):
                    for worker in workers:
                        self._unborn.add(worker)
                        born_seconds = self.now + self.birth_seconds
                        self.at(born_seconds, functools.partial(self._bear, worker))
                case RetireWorkers(workers):
                    for worker in workers:
                        self._retire(worker)
                case ArmTimer(timer, due_seconds):
                    self._arm(timer, due_seconds)
                case DisarmTimer(timer):
                    self._disarm(timer)
                case _:
                    pass
        size = self.pool.size
        self.most_idle = max(self.most_idle, size.idle)
        self.most_in_all = max(self.most_in_all, size.total)
        assert len(self._busy) == size.busy

    def _retire(self, worker: int) -> None:
        if worker in self._unborn:
            self._unborn.discard(worker)
        else:
            self._waiting.remove(worker)
        self._retiring.add(worker)
        self.at(self.now + EXIT_SECONDS, functools.partial(self._leave, worker))

    def _arm(self, timer: PoolTimer, due_seconds: float) -> None:
        self._disarm(timer)

        def expire() -> None:
            del self._timers[timer]
            self._tell(TimerExpired(timer))

        self._timers[timer] = self._wheel.add(due_seconds, expire)

    def _disarm(self, timer: PoolTimer) -> None:
        pending = self._timers.pop(timer, None)
        if pending is not None:
            self._wheel.cancel(pending)


def arrivals(
    start: float, end: float, rate: float, mean_seconds: float, seed: int
) -> Iterator[tuple[float, float]]:
    """Yield when each client comes and how long it stays: Poisson arrivals, long-tailed stays."""
    chance = random.Random(seed)
    moment = start
    while (moment := moment + chance.expovariate(rate)) <= end:
        yield moment, chance.lognormvariate(0.0, 1.0) * mean_seconds / 1.65
