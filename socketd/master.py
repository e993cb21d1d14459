"""The master: one loop that waits for signals and timers, and serves services.

Owns the loop, the doorbell, the wheel and the order of a turn. Must not know any number or rule
of the pool, nor what a service runs. It never accepts, never touches a connection's bytes, and
while nothing happens and no timer is pending it sleeps in one system call without a time-out.

The order of a turn matters: the board is read before children are collected, so that a worker
which accepted and ended in between is known to have accepted first.
"""

import contextlib
import gc
import os
import selectors
import signal
import time
from collections.abc import Callable

from socketd import log
from socketd.board import Board
from socketd.config import ServiceSettings
from socketd.doorbell import Doorbell
from socketd.errors import SystemFailureError
from socketd.listeners import Listener
from socketd.reaper import DeadChild, reap
from socketd.service import Service
from socketd.spawner import Spawner, WorkerKind, WorkerPlan
from socketd.systemd import Notifier, ServiceManager
from socketd.template import NativeSpawner, is_built
from socketd.wheel import Timer, Wheel
from socketd.worker import RING_SIGNAL, PythonSpawner

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
WORKER_SIGNALS = frozenset({signal.SIGCHLD, RING_SIGNAL})


class Master:
    """Serves services until each of them has finished.

    `on_ready` is called once, when every service has its first workers waiting. `manager` hears
    of each step.
    """

    def __init__(self, on_ready: Callable[[], None], manager: ServiceManager | None = None) -> None:
        self.stop_signal: signal.Signals | None = None
        self._on_ready = on_ready
        self._is_ready = False
        self._wheel = Wheel(time.monotonic())
        self._services: list[Service] = []
        self._unanswered: set[int] = set()
        self._rest: Timer | None = None
        self._notifier = Notifier(
            manager or ServiceManager(),
            self._wheel,
            self._describe,
            lambda reason: log.emit("notification_failed", reason=reason),
        )

    def run(self, services: list[tuple[ServiceSettings, Listener]]) -> None:
        """Serve; return when the last worker of the last service is gone.

        Raises SystemFailureError if a service could not come up, after everything is undone.
        """
        with (
            Doorbell((*WORKER_SIGNALS, *STOP_SIGNALS), WORKER_SIGNALS) as doorbell,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(doorbell.read_fd, selectors.EVENT_READ)
            _give_way()
            gc.collect()
            gc.freeze()  # what exists now is never traversed, so workers share its pages longer
            for settings, listener in services:
                self._services.append(self._make_service(settings, listener, doorbell.write_fd))
            for service in self._services:
                service.start()
            self._stop_if_one_failed()
            while not all(service.is_finished for service in self._services):
                due = self._wheel.next_due()
                if selector.select(None if due is None else max(0.0, due - time.monotonic())):
                    self._answer(doorbell)
                self._wheel.advance(time.monotonic())
        self._notifier.close()
        for service in self._services:
            if service.failure is not None:
                raise SystemFailureError(f"cannot start workers: {service.failure}")

    def _make_service(
        self, settings: ServiceSettings, listener: Listener, doorbell_fd: int
    ) -> Service:
        board = Board(settings.pool.maximum)
        plan = WorkerPlan(
            listener.socket,
            settings.program,
            settings.environment,
            settings.stderr,
            doorbell_fd,
            os.getpid(),
            settings.relay,
        )
        spawner = self._make_spawner(settings, plan, board)
        return Service(settings, listener, board, spawner, self._wheel)

    def _make_spawner(self, settings: ServiceSettings, plan: WorkerPlan, board: Board) -> Spawner:
        if settings.worker is WorkerKind.PYTHON:
            return PythonSpawner(plan, board)
        if settings.worker is WorkerKind.NATIVE or is_built():
            return NativeSpawner(plan, board, settings.name, self._wheel)
        log.emit("native_worker_missing", service=settings.name)
        return PythonSpawner(plan, board)

    def _answer(self, doorbell: Doorbell) -> None:
        """Take a turn, or first a rest if only workers have rung and none of them is urgent.

        A turn right after accept would run beside the very exec that the client waits for, and
        with many clients each connection would cost a turn of its own. So the news of some
        milliseconds is taken together, as long as there is any.
        """
        # A worker without the right to signal us rings by a byte alone.
        self._unanswered |= doorbell.answer() or {RING_SIGNAL}
        if not self._unanswered <= WORKER_SIGNALS or (
            self._rest is None and not self._lie_down(doorbell)
        ):
            self._get_up(doorbell)

    def _lie_down(self, doorbell: Doorbell) -> bool:
        """Begin a rest, if every service has the patience; tell whether it has."""
        seconds = min(service.patience_seconds for service in self._services)
        if seconds <= 0:
            return False
        doorbell.muffle()
        self._rest = self._wheel.add(time.monotonic() + seconds, lambda: self._get_up(doorbell))
        return True

    def _get_up(self, doorbell: Doorbell) -> None:
        """Take a turn with everything that has come; rest again after one with news of workers."""
        if self._rest is not None:
            self._wheel.cancel(self._rest)
            self._rest = None
            self._unanswered |= doorbell.answer()
        rung, self._unanswered = self._unanswered, set()
        if rung:
            self._turn(rung)
        if not rung or not self._lie_down(doorbell):
            doorbell.unmuffle()

    def _turn(self, rung: set[int]) -> None:
        services = [service for service in self._services if not service.is_finished]
        for service in services:
            service.look()
        if signal.SIGCHLD in rung:
            self._reap(services)
        for service in services:
            service.work()
        for number in STOP_SIGNALS & rung:
            self.stop_signal = self.stop_signal or signal.Signals(number)
            self._stop(signal.Signals(number).name)
        if not self._is_ready:
            self._stop_if_one_failed()
            if all(service.is_ready for service in self._services):
                self._is_ready = True
                self._notifier.tell_ready()
                self._on_ready()
        self._notifier.note_change()

    def _reap(self, services: list[Service]) -> None:
        for child in reap():
            if isinstance(child, DeadChild):
                any(service.bury(child) for service in services)
            else:
                for service in services:
                    service.distrust(child.pid)

    def _stop_if_one_failed(self) -> None:
        if any(service.failure is not None for service in self._services):
            self._is_ready = True  # it never will be: do not come here again
            self._stop("start failed")
            self._stop("start failed")

    def _describe(self) -> str:
        counts = [service.counts for service in self._services]
        idle, busy, connections = (sum(column) for column in zip((0, 0, 0), *counts, strict=True))
        return f"{idle} idle, {busy} busy, {connections} connections so far"

    def _stop(self, reason: str) -> None:
        self._notifier.tell_stopping()
        for service in self._services:
            if not service.is_finished:
                service.stop(reason)


def _give_way() -> None:
    """Never preempt a worker: it rings on its way to exec, and the client waits for it, not for us.

    Children have the usual policy. Source: sched(7), SCHED_BATCH and SCHED_RESET_ON_FORK.
    """
    with contextlib.suppress(OSError):  # a sandbox may forbid it; then we are a little slower
        policy = os.SCHED_BATCH | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(0))
