"""The books of one endpoint: what happens to its workers is counted.

Owns what counts as what, and what is counted. Must not know the pool, nor who reads the
tally.
"""

import time

from socketd.loop.reaper import DeadChild
from socketd.pool.messages import Command, ReportBackOff, ReportFailure
from socketd.pool.tally import Meter, Tally, result_of
from socketd.workers.layout import Record, RemarkKind, SlotState
from socketd.workers.ledger import Ledger

_NS_PER_SECOND = 1_000_000_000


class Books:
    """Counts in a tally what is known of one endpoint's workers."""

    def __init__(self, tally: Tally, ledger: Ledger, now: float) -> None:
        self.tally = tally
        self.meter = Meter(tally, now)
        self.back_off: ReportBackOff | None = None
        self._ledger = ledger
        self._board = ledger.board

    def note_taken(self) -> None:
        """Note that connections have come, when the board has been read."""
        self.meter.note_taken(self._board.count(SlotState.IDLE))

    def note_accepted(self, count: int) -> None:
        """Note that so many have a connection, of whom the pool hears, too."""
        self.tally.accepted += count

    def note_command(self, command: Command, now: float) -> None:
        """Note a command of the pool that says why a worker is missing."""
        match command:
            case ReportFailure(_, reason):
                self.tally.fail(reason, now)
            case ReportBackOff():
                self.back_off = command
            case _:
                pass

    def close(
        self, child: DeadChild, number: int, limit: str | None, record: Record | None
    ) -> None:
        """Note the end of a connection, before the slot of its worker is free."""
        claimed_ns = self._board.accepted_ns(number)
        begun_ns = self._ledger.accepted_ns(number, claimed_ns)
        duration_seconds = (time.monotonic_ns() - begun_ns) / _NS_PER_SECOND
        is_refused = record is not None and record.remark_kind is RemarkKind.REFUSED
        result = result_of(child.status, limit, is_refused=is_refused)
        self.tally.close(result, limit, duration_seconds)
        self.tally.weigh(child.cpu_seconds, child.max_rss_kib)
