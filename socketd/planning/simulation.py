"""A service in simulated time: the real pool, and workers that are born, serve and end.

Owns the environment of a pool: the kernel's queue, how long a worker takes to be ready, the timers.
Must not know strategies, nor where connections come from. There is no clock and no chance in it:
the same stream gives the same outcome.

Who waits in accept() the longest gets the next connection, as the kernel has it. Workers that are
ordered together are ready one after another, since one template makes them all.
"""

import heapq
from array import array
from collections import deque

from socketd.dataclass import dataclass
from socketd.planning.outcome import Outcome, Record
from socketd.planning.streams import Stream
from socketd.planning.turns import Turns
from socketd.pool.messages import (
    ArmTimer,
    Command,
    DisarmTimer,
    Event,
    PoolTimer,
    RetireWorkers,
    SpawnWorkers,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool.policy import Pool
from socketd.pool.settings import PoolSettings

START_SECONDS = 0.0007
_CLONE_SECONDS = 0.0001  # one template makes a worker after the other
_EXIT_SECONDS = 0.0005
_BORN, _SERVED, _GONE, _TURN, _TIMER = range(5)


@dataclass(frozen=True, slots=True)
class Machine:
    """How long a worker takes from the master's decision until it waits, and to leave."""

    start_seconds: float = START_SECONDS
    clone_seconds: float = _CLONE_SECONDS
    exit_seconds: float = _EXIT_SECONDS


class Simulation:
    """One service, from its start to the end of its last connection."""

    def __init__(self, settings: PoolSettings, machine: Machine) -> None:
        self._machine = machine
        self._pool = Pool(settings)
        self._turns = Turns(self._pool, self._take, self._wake, self._count_ready)
        self._due: list[tuple[float, int, int, int]] = []
        self._order = 0
        self._idle: deque[int] = deque()
        self._unborn: set[int] = set()
        self._leaving: set[int] = set()
        self._queue: deque[int] = deque()
        self._timers: dict[PoolTimer, int] = {}
        self._timer_of: dict[int, PoolTimer] = {}
        self._template_free = 0.0
        self._record = Record(0, 0.0, 0.0)
        self._stream = Stream(array("d"), array("d"))

    @property
    def waits(self) -> "array[float]":
        """Return how long each connection has waited, in order of arrival."""
        return self._record.waits

    def run(self, stream: Stream) -> Outcome:
        """Let these connections come, the first workers having been ready before the first."""
        begin = stream.arrivals[0] if len(stream.arrivals) else 0.0
        self._stream = stream
        self._record = Record(len(stream.arrivals), begin, stream.arrivals[-1])
        self._obey(self._pool.start(begin), begin)
        for worker in sorted(self._unborn):
            self._bear(worker, begin)
        self._due.clear()
        self._template_free = begin
        arrivals, due, queue = stream.arrivals, self._due, self._queue
        for number, moment in enumerate(arrivals):
            while due and due[0][0] <= moment:
                self._happen()
            queue.append(number)
            if self._idle:
                self._serve(moment)
        while queue or len(self._pool.share.workers) > len(self._idle) + len(self._unborn):
            self._happen()
        return self._record.outcome()

    def _happen(self) -> None:
        now, order, kind, number = heapq.heappop(self._due)
        if kind == _SERVED:
            self._record.count(now, busy=-1, alive=-1)
            self._turns.ring(WorkerExited(number, 0), now)
        elif kind == _BORN:
            self._bear(number, now)
        elif kind == _TURN:
            self._turns.expire(number, now)
        elif kind == _GONE:
            self._leaving.discard(number)
            self._record.count(now, busy=0, alive=-1)
            self._turns.ring(WorkerExited(number, 0), now)
        else:
            timer = self._timer_of.pop(order)
            if self._timers.get(timer) == order:
                del self._timers[timer]
                self._tell(TimerExpired(timer), now)

    def _serve(self, now: float) -> None:
        """Give the connection that has waited longest to the worker that has."""
        number, worker = self._queue.popleft(), self._idle.popleft()
        self._record.accept(number, now - self._stream.arrivals[number], now)
        self._at(now + self._stream.services[number], _SERVED, worker)
        self._turns.ring(WorkerAccepted(worker), now)

    def _bear(self, worker: int, now: float) -> None:
        if worker not in self._unborn:
            return
        self._unborn.discard(worker)
        self._idle.append(worker)
        self._tell(WorkerStarted(worker), now)
        if self._queue:
            self._serve(now)

    def _take(self, news: list[Event], now: float) -> None:
        for event in news:
            self._obey(self._pool.handle(event, now), now)

    def _tell(self, event: Event, now: float) -> None:
        self._obey(self._pool.handle(event, now), now)

    def _obey(self, commands: list[Command], now: float) -> None:
        for command in commands:
            match command:
                case SpawnWorkers(workers):
                    self._spawn(workers, now)
                case RetireWorkers(workers):
                    self._retire(workers, now)
                case ArmTimer(timer, due_seconds):
                    self._timers[timer] = order = self._at(due_seconds, _TIMER, 0)
                    self._timer_of[order] = timer
                case DisarmTimer(timer):
                    self._timers.pop(timer, None)
                case _:  # reports, and what only a service that stops is told
                    pass

    def _spawn(self, workers: tuple[int, ...], now: float) -> None:
        machine = self._machine
        self._record.spawn(len(workers), now)
        for worker in workers:
            self._template_free = max(now, self._template_free) + machine.clone_seconds
            ready = self._template_free - machine.clone_seconds + machine.start_seconds
            self._unborn.add(worker)
            self._at(ready, _BORN, worker)

    def _retire(self, workers: tuple[int, ...], now: float) -> None:
        """Have workers leave that have no connection; the others stay for theirs."""
        for worker in workers:
            if worker in self._unborn:
                self._unborn.discard(worker)
            elif worker in self._idle:
                self._idle.remove(worker)
            else:
                continue
            self._leaving.add(worker)
            self._at(now + self._machine.exit_seconds, _GONE, worker)

    def _wake(self, due_seconds: float, batch: int) -> None:
        self._at(due_seconds, _TURN, batch)

    def _count_ready(self) -> int:
        return len(self._idle) + len(self._unborn)

    def _at(self, due_seconds: float, kind: int, number: int) -> int:
        self._order += 1
        heapq.heappush(self._due, (due_seconds, self._order, kind, number))
        return self._order


def simulate(stream: Stream, settings: PoolSettings, machine: Machine) -> Outcome:
    """Return what becomes of these connections with these settings."""
    return Simulation(settings, machine).run(stream)
