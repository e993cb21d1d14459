"""One service at work: facts become events, commands become calls.

Owns the board, the listener, the spawner and the pool of a service, and holds them together.
Must not know any number or rule of the pool, nor other services, nor where facts come from: the
master tells it when to look.
"""

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import assert_never

from socketd import log
from socketd.board import Board, Record, SlotState, Step
from socketd.config import ServiceSettings
from socketd.environment import Peer
from socketd.errors import describe_errno
from socketd.listeners import Listener
from socketd.messages import (
    ArmTimer,
    CloseListener,
    Command,
    DisarmTimer,
    Event,
    Finish,
    KillWorkers,
    PoolTimer,
    QueueDrained,
    RefuseConnections,
    ReportBackOff,
    ReportFailure,
    ReportResize,
    RetireWorkers,
    SpawnFailed,
    SpawnWorkers,
    StopRequested,
    TerminateWorkers,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
    WorkerStarted,
)
from socketd.pool import Pool
from socketd.reaper import DeadChild
from socketd.spawner import Spawner
from socketd.wheel import Timer, Wheel
from socketd.worker import RETIRE_SIGNAL

_NS_PER_SECOND = 1_000_000_000


class Service:
    """A service from its first worker to its last.

    `clock` gives monotonic seconds. `failure` is set when the service cannot come up: a worker
    failed before every first worker was ready.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        listener: Listener,
        board: Board,
        spawner: Spawner,
        wheel: Wheel,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = settings.name
        self.listener = listener
        self.is_ready = False
        self.is_finished = False
        self.failure: str | None = None
        self._settings = settings
        self._board = board
        self._spawner = spawner
        self._wheel = wheel
        self._clock = clock
        self._pool = Pool(settings.pool, seed=os.getpid())
        self._events: deque[Event] = deque()
        self._timers: dict[PoolTimer, Timer] = {}
        self._numbers: dict[int, int] = {}
        self._seen_idle: set[int] = set()
        self._terminated: set[int] = set()
        self._unborn: list[int] = []
        self._is_listening = True
        self._is_draining = False
        self._has_pool_finished = False
        self._stop_reason = ""
        self._connections = 0

    @property
    def patience_seconds(self) -> float:
        """Return for how long news of workers may wait; 0 means that they may not.

        They may while at least half of the workers that wait in a quiet time do, by what the
        board says. A log line about a connection's end tells its duration, so it cannot be late.
        """
        if not self.is_ready or self.is_finished or log.is_enabled("connection_closed"):
            return 0.0
        if self._board.count(SlotState.IDLE) * 2 < self._settings.pool.minimum:
            return 0.0
        return self._pool.patience_seconds

    @property
    def counts(self) -> tuple[int, int, int]:
        """Return the workers that wait, those at work, and the connections since the start."""
        size = self._pool.size
        return size.idle, size.busy, self._connections

    def start(self) -> None:
        """Bring up the first workers."""
        self._board.ring_when_idle(wanted=True)
        self._carry_out(self._pool.start(self._clock()))
        self.work()

    def look(self) -> None:
        """Read the board: somebody has rung."""
        for number in self._board.find(SlotState.ACCEPTED):
            self._take_accepted(number)
        self._take_all_stillborn()
        if self._board.is_ringing_when_idle():
            self._take_started()

    def bury(self, child: DeadChild) -> bool:
        """Take note of a child's end; tell whether it was one of this service."""
        if self._spawner.bury(child):
            if not self.is_ready and self._is_listening and self.failure is None:
                self.failure = f"the template ended with status {child.status}"
            self._take_all_stillborn()
            return True
        number = self._numbers.pop(child.pid, None)
        if number is None:
            number = self._board.number_of(child.pid)
            if number is None:
                return False
        state = self._board.state(number)
        if state == SlotState.ACCEPTED:
            self._take_accepted(number)
            self._numbers.pop(child.pid, None)
        is_logged = log.is_enabled("connection_closed")
        record = self._board.record(number) if is_logged or child.status else None
        if record and is_logged and self._board.state(number) == SlotState.BUSY:
            self._log_closed(child, record)
        if number in self._terminated:
            self._terminated.discard(number)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)  # what it has left behind
        self._seen_idle.discard(number)
        self._board.release(number)
        detail = _describe_fault(record) if record else ""
        self._events.append(WorkerExited(number, child.status, detail))
        return True

    def distrust(self, pid: int) -> None:
        """Take note that somebody has stopped a child."""
        self._spawner.distrust(pid)

    def stop(self, reason: str) -> None:
        """Begin to stop, or stop with more haste."""
        self._stop_reason = reason
        self._events.append(StopRequested())
        self.work()

    def work(self) -> None:
        """Feed the pool with all that has happened, including what its commands cause."""
        while self._events:
            self._carry_out(self._pool.handle(self._events.popleft(), self._clock()))
            if not self._events and self._is_draining and self.listener.is_queue_empty():
                self._is_draining = False
                self._events.append(QueueDrained())
        if self._unborn:
            unborn, self._unborn = self._unborn, []
            self._spawner.spawn(unborn)
        if self._has_pool_finished:
            self._end_if_over()

    def _take_accepted(self, number: int) -> None:
        self._board.set_state(number, SlotState.BUSY)
        self._connections += 1
        pid = self._board.pid(number)
        self._numbers[pid] = number
        if log.is_enabled("connection_accepted"):
            peer = str(_peer_of(self._board.record(number)))
            listener = str(self.listener)
            log.emit(
                "connection_accepted", service=self.name, listener=listener, pid=pid, peer=peer
            )
        self._events.append(WorkerAccepted(number))

    def _take_all_stillborn(self) -> None:
        for number in self._board.find(SlotState.STILLBORN):
            reason = _describe_fault(self._board.record(number))
            self._board.release(number)
            self._events.append(SpawnFailed(number, reason))

    def _take_started(self) -> None:
        for number in self._board.find(SlotState.IDLE):
            if number not in self._seen_idle:
                self._seen_idle.add(number)
                pid = self._board.pid(number)
                log.emit("worker_started", service=self.name, worker=number, pid=pid)
                self._events.append(WorkerStarted(number))
        if not self.is_ready and self._are_first_workers_up():
            self._become_ready()

    def _are_first_workers_up(self) -> bool:
        return len(self._seen_idle) + self._connections >= self._settings.pool.minimum

    def _become_ready(self) -> None:
        self.is_ready = True
        self._board.ring_when_idle(wanted=log.is_enabled("worker_started"))
        log.emit(
            "service_ready",
            service=self.name,
            listener=str(self.listener),
            address=self.listener.host,
            port=self.listener.port,
            port_name=self.listener.port_name,
            workers=self._settings.pool.minimum,
        )

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case SpawnWorkers(workers, generation):
                    self._spawn(workers, generation)
                case ArmTimer(timer, due_seconds):
                    self._arm(timer, due_seconds)
                case DisarmTimer(timer):
                    self._disarm(timer)
                case RetireWorkers(workers):
                    self._retire(workers)
                case TerminateWorkers(workers):
                    self._terminated.update(workers)
                    self._signal_workers(workers, signal.SIGTERM)
                case KillWorkers(workers):
                    self._signal_workers(workers, signal.SIGKILL)
                case RefuseConnections():
                    self._refuse_connections()
                case CloseListener():
                    self._close_listener()
                case Finish():
                    self._has_pool_finished = True
                case ReportResize() | ReportFailure() | ReportBackOff():
                    self._report(command)
                case _:
                    assert_never(command)

    def _refuse_connections(self) -> None:
        self.listener.refuse_new()
        self._is_draining = True
        size = self._pool.size
        log.emit(
            "stopping",
            service=self.name,
            signal=self._stop_reason,
            idle=size.idle,
            busy=size.busy,
        )

    def _close_listener(self) -> None:
        self._is_listening = self._is_draining = False
        self._spawner.close()
        self.listener.close()
        self._take_all_stillborn()

    def _spawn(self, workers: tuple[int, ...], generation: int) -> None:
        for number in workers:
            self._board.claim(number, generation)
        self._unborn += workers

    def _arm(self, timer: PoolTimer, due_seconds: float) -> None:
        self._disarm(timer)

        def expire() -> None:
            del self._timers[timer]
            self._events.append(TimerExpired(timer))
            self.work()

        self._timers[timer] = self._wheel.add(due_seconds, expire)

    def _disarm(self, timer: PoolTimer) -> None:
        pending = self._timers.pop(timer, None)
        if pending is not None:
            self._wheel.cancel(pending)

    def _retire(self, workers: tuple[int, ...]) -> None:
        for number in workers:
            self._board.ask_to_retire(number)
            pid = self._board.pid(number)
            if pid:
                self._numbers[pid] = number
                with contextlib.suppress(PermissionError):  # it has become a set-uid program
                    os.kill(pid, RETIRE_SIGNAL)

    def _signal_workers(self, workers: tuple[int, ...], number: signal.Signals) -> None:
        for worker in workers:
            self._board.ask_to_retire(worker)
            pid = self._board.pid(worker)
            if not pid:
                continue
            try:
                try:
                    os.killpg(pid, number)
                except ProcessLookupError:
                    os.kill(pid, number)  # born an instant ago, not yet the leader of its group
            except PermissionError:
                log.emit("signal_refused", service=self.name, pid=pid, signal=number.name)

    def _end_if_over(self) -> None:
        """Forget the service once its pool has finished and its template is gone."""
        if self._spawner.is_gone and not self.is_finished:
            self.is_finished = True
            for timer in list(self._timers):
                self._disarm(timer)
            self._board.close()
            log.emit("stopped", service=self.name, connections=self._connections)

    def _report(self, command: ReportResize | ReportFailure | ReportBackOff) -> None:
        match command:
            case ReportResize(idle, busy, target):
                log.emit("pool_resized", service=self.name, idle=idle, busy=busy, target=target)
            case ReportFailure(worker, reason):
                if not self.is_ready and self.failure is None:
                    self.failure = reason
                log.emit("worker_failed", service=self.name, worker=worker, reason=reason)
            case ReportBackOff(delay_seconds, step, reason):
                delay = round(delay_seconds, 3)
                log.emit("backing_off", service=self.name, delay_s=delay, step=step, reason=reason)

    def _log_closed(self, child: DeadChild, record: Record) -> None:
        duration = (time.monotonic_ns() - record.accepted_ns) / _NS_PER_SECOND
        log.emit(
            "connection_closed",
            service=self.name,
            pid=child.pid,
            peer=str(_peer_of(record)),
            status=child.status,
            duration_s=round(duration, 6),
            cpu_s=round(child.cpu_seconds, 6),
            max_rss_kib=child.max_rss_kib,
        )


def _peer_of(record: Record) -> Peer:
    return Peer(
        record.family, record.peer_address, record.peer_port, record.peer_pid, record.peer_uid
    )


def _describe_fault(record: Record) -> str:
    if record.step is Step.NONE:
        return ""
    return f"{record.step.name.lower()}: {describe_errno(record.error)}"
