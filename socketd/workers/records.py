"""What a worker wrote on the board, as text for people.

Owns reading a record, and the log lines about a connection's end. Must not know whose worker it
was.
"""

import signal
import time

from socketd.errors import ExitCode, describe_errno, is_shortage
from socketd.loop.reaper import DeadChild
from socketd.operations import log
from socketd.workers.connection_log import ConnectionLog
from socketd.workers.identity import identity
from socketd.workers.layout import Record, RemarkKind, Step
from socketd.workers.processes import Processes
from socketd.workers.remarks import Remarks

_NS_PER_SECOND = 1_000_000_000
# Of these a program dies by a fault of its own, or because something has run out; others are a way
# to end one, and SIGPIPE is the way in which programs end whose client has gone.
_OF_FAULTS = frozenset(
    {
        signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGKILL, signal.SIGSEGV,
        signal.SIGSYS, signal.SIGTRAP, signal.SIGXCPU, signal.SIGXFSZ,
    }
)  # fmt: skip
_NOT_RUN = frozenset({ExitCode.CANNOT_EXECUTE, ExitCode.NOT_FOUND})


def describe_fault(record: Record) -> str:
    """Return at which step a worker failed, and why; nothing if it did not."""
    if record.step is Step.NONE:
        return ""
    if record.step is Step.PROGRAM:
        return f"its program has ended with status {record.error}"
    return f"{record.step.name.lower()}: {describe_errno(record.error)}"


def is_of_shortage(record: Record) -> bool:
    """Tell whether a worker failed because there was no room for it."""
    return record.step is not Step.NONE and is_shortage(record.error)


class Endings:
    """Logs the ends of a service's connections.

    A shell uses 126 and 127 for a command that it cannot run or find. That cannot be told from a
    program's own exit code, which a client may be able to choose. So there is only a log line, once
    for each generation.
    """

    def __init__(self, service: str, processes: Processes, connection_log: ConnectionLog) -> None:
        self._service = service
        self._board = processes.board
        self._groups = processes.groups
        self._connection_log = connection_log
        self._remarks = Remarks(service, connection_log)
        self._told_generation = -1
        self._killed_seconds: float | None = None
        self._killed_untold = 0

    def is_wanted(self, number: int) -> bool:
        """Tell whether something is to be printed of any connection, or of this one."""
        return log.is_enabled("connection_closed") or self._board.has_remark(number)

    def tell(
        self,
        child: DeadChild,
        number: int,
        record: Record,
        limit: str | None,
        generation: int,
        *,
        is_stopping: bool,
    ) -> None:
        """Print how a connection has ended; `limit` is the one that has ended it."""
        called = identity(self._board, number, record)
        kind, trace = record.remark_kind, ""
        if kind is not RemarkKind.NONE:
            remark = self._board.remark(number)
            trace = remark.trace
            if kind is not RemarkKind.TRACED:
                who = child.pid, record.route, called
                self._remarks.tell(kind, remark, who, generation)
        if log.is_enabled("connection_closed"):
            duration = (time.monotonic_ns() - record.accepted_ns) / _NS_PER_SECOND
            self._connection_log.emit(
                "connection_closed",
                service=self._service,
                pid=child.pid,
                peer=record.route,
                id=called,
                status=child.status,
                duration_s=round(duration, 6),
                cpu_s=round(child.cpu_seconds, 6),
                max_rss_kib=child.max_rss_kib,
                memory_peak_kib=self._groups.peak_kib(number),
                limit=limit,
                trace=trace or None,
            )
        if -child.status in _OF_FAULTS and limit is None and not is_stopping:
            self._tell_killed(child, record, called)
        was_executed = record.step is Step.NONE
        if was_executed and child.status in _NOT_RUN and generation != self._told_generation:
            self._told_generation = generation
            self._connection_log.emit("command_not_run", service=self._service, status=child.status)

    def _tell_killed(self, child: DeadChild, record: Record, called: str) -> None:
        """Print that a program was killed, once a second at most."""
        now = time.monotonic()
        if self._killed_seconds is not None and now - self._killed_seconds < 1.0:
            self._killed_untold += 1
            return
        self._connection_log.emit(
            "program_killed",
            service=self._service,
            pid=child.pid,
            peer=record.route,
            id=called,
            signal=signal.Signals(-child.status).name,
            others=self._killed_untold,
        )
        self._killed_seconds, self._killed_untold = now, 0
