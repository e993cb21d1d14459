"""The master: one loop that waits for signals and timers, and serves services.

Owns the loop, the doorbell, the wheel and the order of a turn. Must not know any number or rule
of the pool, nor what a service runs. It never accepts, never touches a connection's bytes, and
while nothing happens and no timer is pending it sleeps in one system call without a time-out.

The order of a turn matters: the board is read before children are collected, so that a worker
which accepted and ended in between is known to have accepted first.
"""

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
from socketd.template import NativeSpawner, is_built
from socketd.wheel import Wheel
from socketd.worker import RING_SIGNAL, PythonSpawner

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class Master:
    """Serves services until each of them has finished.

    `on_ready` is called once, when every service has its first workers waiting.
    """

    def __init__(self, on_ready: Callable[[], None]) -> None:
        self.stop_signal: signal.Signals | None = None
        self._on_ready = on_ready
        self._is_ready = False
        self._wheel = Wheel(time.monotonic())
        self._services: list[Service] = []

    def run(self, services: list[tuple[ServiceSettings, Listener]]) -> None:
        """Serve; return when the last worker of the last service is gone.

        Raises SystemFailureError if a service could not come up, after everything is undone.
        """
        with (
            Doorbell((signal.SIGCHLD, RING_SIGNAL, *STOP_SIGNALS)) as doorbell,
            selectors.DefaultSelector() as selector,
        ):
            selector.register(doorbell.read_fd, selectors.EVENT_READ)
            gc.collect()
            gc.freeze()  # what exists now is never traversed, so workers share its pages longer
            for settings, listener in services:
                self._services.append(self._make_service(settings, listener, doorbell.write_fd))
            for service in self._services:
                service.start()
            self._stop_if_one_failed()
            while not all(service.is_finished for service in self._services):
                due = self._wheel.next_due()
                selector.select(None if due is None else max(0.0, due - time.monotonic()))
                self._turn(doorbell.answer())
                self._wheel.advance(time.monotonic())
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

    def _turn(self, rung: set[signal.Signals]) -> None:
        services = [service for service in self._services if not service.is_finished]
        for service in services:
            service.look()
        if signal.SIGCHLD in rung:
            for child in reap():
                if isinstance(child, DeadChild):
                    any(service.bury(child) for service in services)
                else:
                    for service in services:
                        service.distrust(child.pid)
        for number in rung & STOP_SIGNALS:
            self.stop_signal = self.stop_signal or number
            self._stop(number.name)
        if not self._is_ready:
            self._stop_if_one_failed()
            if all(service.is_ready for service in self._services):
                self._is_ready = True
                self._on_ready()

    def _stop_if_one_failed(self) -> None:
        if any(service.failure is not None for service in self._services):
            self._is_ready = True  # it never will be: do not come here again
            self._stop("start failed")
            self._stop("start failed")

    def _stop(self, reason: str) -> None:
        for service in self._services:
            if not service.is_finished:
                service.stop(reason)
