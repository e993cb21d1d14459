"""What a service that has crashed leaves behind: processes.

Owns them from the crash to their ends. Must not know services: what has crashed is not asked
anything, since it is unknown what of it still works.

Those that wait are asked to leave, by a signal that the busy take no notice of; the busy finish,
and a stop hastens them as it does all others. Templates are killed: they hold no connection, and
one that was on its way to be held would wait for ever for the master to connect. Only children of
this process that have not been collected are signalled, and of this service: the kernel says so
(kin.py, children.py), whatever stands on the board that named it.
"""

import contextlib
import enum
import math
import os
import signal
import time
from collections.abc import Callable, Iterable

from socketd.loop.wheel import Timer, Timers
from socketd.operations import log
from socketd.pool.settings import PoolSettings
from socketd.settings.table import MOST_WORKERS
from socketd.workers import kin
from socketd.workers.board import pids_on
from socketd.workers.children import Family
from socketd.workers.contract import RETIRE_SIGNAL


class _Haste(enum.IntEnum):
    """How far a stop has got."""

    NONE = 0
    DRAINING = 1
    TERMINATING = 2
    KILLING = 3


class Remains:
    """The processes that one crash has left: workers, and templates until they are collected.

    All are of one family. Others of it are found on the board; `board_fd` is -1 if there is none.
    """

    def __init__(
        self,
        service: str,
        family: Family,
        board_fd: int,
        pool: PoolSettings,
        timers: Timers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.family = family
        self._service = service
        self._templates = {pid for pid in family.templates if kin.is_child(pid)}
        self._workers = {pid for pid in family.workers if kin.is_child(pid)}
        self._board_fd = -1
        self._pool = pool
        self._timers = timers
        self._clock = clock
        self._timer: Timer | None = None
        self._haste = _Haste.NONE
        self._retire(self._workers)
        self._look_for_others(board_fd)
        for pid in self._templates:
            self._signal(pid, signal.SIGKILL)
        if self._templates and board_fd >= 0:
            self._board_fd = os.dup(board_fd)  # workers of theirs may not have come this far
        if pool.limit_seconds is not None:
            self._arm(pool.limit_seconds, self._terminate)

    @property
    def workers(self) -> int:
        """Return how many workers are left: after an instant only the busy."""
        return len(self._workers)

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the process ids that are left."""
        return (*self._workers, *self._templates)

    @property
    def is_gone(self) -> bool:
        """Tell whether no process is left."""
        return not self._workers and not self._templates

    def look_at(self, pid: int) -> None:
        """End what a worker leaves behind, while its process group cannot have been reused."""
        if pid in self._workers and self._haste >= _Haste.TERMINATING:
            kin.end(pid)

    def on_exit(self, pid: int) -> None:
        """Forget a child that has been collected, if it was one of these."""
        if pid in self._workers:
            self._workers.discard(pid)
        elif pid in self._templates:
            self._templates.discard(pid)
            if not self._templates and self._board_fd >= 0:
                self._look_for_others(self._board_fd)
                os.close(self._board_fd)
                self._board_fd = -1
        if self.is_gone and self._timer is not None:
            self._timers.cancel(self._timer)
            self._timer = None

    def stop(self) -> None:
        """Begin to stop, or stop with more haste."""
        if self._haste is _Haste.NONE:
            self._haste = _Haste.DRAINING
            limit = self._pool.limit_seconds
            self._arm(min(self._pool.drain_seconds, limit or math.inf), self._terminate)
        elif self._haste is _Haste.DRAINING:
            self._terminate()
        else:
            self._kill()

    def _look_for_others(self, board_fd: int) -> None:
        """Ask those to leave, too, whom only the board names."""
        if board_fd < 0:
            return
        others = {
            pid
            for slot, pid in enumerate(pids_on(board_fd, MOST_WORKERS))
            if self.family.verify_worker(pid, slot)
        }
        others -= self._workers
        self._workers |= others
        self._retire(others)

    def _retire(self, pids: Iterable[int]) -> None:
        for pid in pids:
            with contextlib.suppress(PermissionError):  # it has become a set-uid program
                kin.send(pid, RETIRE_SIGNAL)

    def _terminate(self) -> None:
        self._haste = _Haste.TERMINATING
        for pid in self._workers:
            self._signal(pid, signal.SIGTERM)
        self._arm(self._pool.kill_seconds, self._kill)

    def _kill(self) -> None:
        self._haste = _Haste.KILLING
        for pid in self.pids:
            self._signal(pid, signal.SIGKILL)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        try:
            kin.send_to_group(pid, number)
        except PermissionError:
            log.emit("signal_refused", service=self._service, pid=pid, signal=number.name)

    def _arm(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timers.cancel(self._timer)
        self._timer = None
        if not self.is_gone:
            self._timer = self._timers.add(self._clock() + seconds, action)
