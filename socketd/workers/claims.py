"""What workers say on the board, taken for what it can be worth.

Owns the way from the board to events, and what follows from a claim that cannot be true: it costs
that worker, and one line in the log. Must not know the pool, nor what events are good for.

What cannot be true is what the ledger rules out. A worker of which it is known who it is gets
SIGKILL, and its end is an end like any other. Where it is not known, because the process id on the
board cannot be that of a worker, the service is swept after a moment: unknown children of its
sessions are killed, and slots without a known worker are freed.
"""

import signal
from collections import deque
from collections.abc import Callable

from socketd.dataclass import replace
from socketd.errors import describe_errno, is_shortage
from socketd.loop.wheel import Timer, Timers
from socketd.operations import log
from socketd.pool.messages import Event, SpawnFailed, WorkerAccepted, WorkerExited, WorkerStarted
from socketd.workers.connection_log import ConnectionLog
from socketd.workers.identity import identity
from socketd.workers.layout import Record, SlotState
from socketd.workers.processes import Processes
from socketd.workers.records import describe_fault, is_of_shortage

_SWEEP_SECONDS = 1.0


class Claims:
    """The claims of one service's workers.

    What has happened is appended to `events`; `work` is called when that was found out by a timer.
    """

    def __init__(
        self,
        service: str,
        listener: str,
        processes: Processes,
        events: deque[Event],
        wheel: Timers,
        clock: Callable[[], float],
        work: Callable[[], None],
    ) -> None:
        self._service = service
        self._listener = listener
        self._crew = processes
        self._board = processes.board
        self._ledger = processes.ledger
        self._events = events
        self.connection_log = ConnectionLog()
        self._wheel = wheel
        self._clock = clock
        self._work = work
        self._sweep_timer: Timer | None = None
        self._swept_seconds = -_SWEEP_SECONDS
        self._told_seconds = -_SWEEP_SECONDS

    def look(self) -> int:
        """Take all news but that of workers that wait; return the number of connections."""
        if not self._board.has_news() and not self._ledger.has_abandoned:
            return 0
        count = sum(self.take_accepted(n) for n in self._board.find(SlotState.ACCEPTED))
        self.take_failed_forks()
        return count

    def take_accepted(self, number: int, pid: int = 0) -> bool:
        """Take note of a connection; tell whether it is believed.

        With `pid` the worker is known: a process that had this slot has ended.
        """
        pid = pid or self._ledger.pid(number)
        if not pid:
            self._doubt(number, "it has accepted, and its process id is not that of a worker")
            return False
        if not self._ledger.accept(number):
            self._doubt(number, "it has accepted, which it could not")
            return False
        self._board.set_state(number, SlotState.BUSY)
        if log.is_enabled("connection_accepted"):
            record = self._board.record(number)
            if not record.is_sound:
                self._doubt(number, "its record makes no sense")
            self.connection_log.emit(
                "connection_accepted",
                service=self._service,
                listener=self._listener,
                pid=pid,
                peer=record.route,
                id=identity(self._board, number, record),
            )
        self._events.append(WorkerAccepted(number))
        return True

    def take_failed_forks(self) -> None:
        """Take note of workers that could not be made."""
        for number, error in self._ledger.take_abandoned().items():
            self._ledger.release(number)
            reason = f"fork: {describe_errno(error)}"
            self._events.append(SpawnFailed(number, reason, is_shortage(error)))
        for number in self._board.find(SlotState.STILLBORN):
            if not self._ledger.can_have_failed_to_fork(number):
                self._doubt(number, "it could not be made, and is there")
                continue
            record = self._board.record(number)
            reason = describe_fault(record) or "it is not said why"
            self._ledger.release(number)
            self._events.append(SpawnFailed(number, reason, is_of_shortage(record)))

    def take_started(self) -> None:
        """Take note of workers that wait."""
        for number in self._board.find(SlotState.IDLE):
            if self._ledger.is_seen_idle(number):
                continue
            pid = self._ledger.pid(number)
            if not pid:
                self._doubt(number, "it waits, and its process id is not that of a worker")
            elif not self._ledger.start(number):
                self._doubt(number, "it waits, which it could not")
            else:
                log.emit("worker_started", service=self._service, worker=number, pid=pid)
                self._events.append(WorkerStarted(number))

    def last_record(self, number: int, pid: int) -> Record:
        """Return what a worker has left in writing that has ended, and had a process id."""
        record = self._board.record(number)
        if not self._ledger.is_busy(number):
            return record
        accepted_ns = self._ledger.accepted_ns(number, record.accepted_ns)
        if accepted_ns != record.accepted_ns or not record.is_sound:
            self._tell(number, pid, "its record makes no sense")
        return replace(record, accepted_ns=accepted_ns)

    def suspect(self) -> None:
        """Have the service swept soon: there may be unknown workers, or slots without one."""
        if self._sweep_timer is None:
            due_seconds = max(self._clock(), self._swept_seconds + _SWEEP_SECONDS)
            self._sweep_timer = self._wheel.add(due_seconds, self._sweep)

    def close(self) -> None:
        """Sweep no more."""
        if self._sweep_timer is not None:
            self._wheel.cancel(self._sweep_timer)
            self._sweep_timer = None

    def _doubt(self, number: int, reason: str) -> None:
        """Believe nothing more of a slot, and end its worker if it is known who that is."""
        self._crew.distrust()
        if self._ledger.find(number) is None:
            self._board.release(number)
            if self._told_seconds + _SWEEP_SECONDS <= self._clock():
                self._told_seconds = self._clock()
                self._emit(number, 0, f"{reason}: the slot is free")
            self.suspect()
            return
        self._board.set_state(number, SlotState.BUSY)  # no news, whatever it is
        pid = self._ledger.pid(number)
        self._tell(number, pid, reason)
        if pid:
            self._crew.kill((number,))
        else:
            self.suspect()

    def _tell(self, number: int, pid: int, reason: str) -> None:
        """Say once of a worker that it is not believed."""
        if self._ledger.doubt(number):
            self._emit(number, pid, reason)

    def _emit(self, number: int, pid: int, reason: str) -> None:
        log.emit(
            "worker_distrusted",
            service=self._service,
            worker=number,
            pid=pid or None,
            reason=reason,
        )

    def _sweep(self) -> None:
        self._sweep_timer = None
        self._swept_seconds = self._clock()
        lost, is_open = self._crew.sweep()
        for number in lost:
            self._tell(number, 0, "there is no worker")
            self._ledger.release(number)
            self._events.append(WorkerExited(number, -signal.SIGKILL, "there is no worker"))
        if is_open:
            self.suspect()
        self._work()
