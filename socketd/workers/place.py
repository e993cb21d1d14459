"""A worker's place on the board, which a client takes if it may have one now.

Owns the order in which a client is counted: with its source, with all together, and with how often
both come. Must not know what becomes of a client that has no place. native/place.c does the
same.

One lock from the first look until the client stands on the board: so nobody counts a source while
another client of it is let in, and each turn is taken once.

A decision follows from the limits of one moment, which are read once for it: else a reload could
send somebody away whom neither the former limits nor the new ones do.
"""

import os
import time
from collections.abc import Callable

from socketd.admission.refusal import CROWDED, FULL, HASTY, OVER_RATE, UNCOUNTED
from socketd.dataclass import dataclass
from socketd.programs.peer import NOBODY, Peer
from socketd.workers.board import Board
from socketd.workers.gate import Limits
from socketd.workers.identity import identity
from socketd.workers.queue import Watch
from socketd.workers.sensed import can_be_sensed
from socketd.workers.sources import ONE_HOST, are_full, has_room, locked, name_of

_NEVER_NS = 2**64 - 1


@dataclass(slots=True)
class Turn:
    """What a client has got so far.

    `reason` says why it can have no place. `is_announced`: the master knows of the connection.
    `queued_ns` is since when it waits for a place, 0 if it does not, and `queue_ns` how long it
    may, by the limits that left it none.
    `is_counted`: with its source, so that only the turn of all together is left to take. `wait_ns`
    is for a turn that was taken, and behind it a client that `is_half` has to ask once more.
    """

    reason: str = ""
    is_announced: bool = False
    is_counted: bool = False
    queued_ns: int = 0
    queue_ns: int = 0
    wait_ns: int = 0
    is_half: bool = False


class Place:
    """The place of a worker on the board.

    All signals are to be blocked: closing any descriptor of the listener would give the lock back.
    """

    def __init__(self, board: Board, number: int, listener_fd: int) -> None:
        self._board = board
        self._number = number
        self._listener_fd = listener_fd
        self.gate = board.gate

    @property
    def is_limited(self) -> bool:
        """Tell whether anything about clients has to be counted: the listener is needed then."""
        return self.gate.limits.is_any

    def keeps_out(self, client: Peer) -> bool:
        """Tell whether a client is kept out of all services for having been sensed."""
        is_known = self.gate.keeps_out and can_be_sensed(client.family)
        return is_known and self.gate.is_kept_out(name_of(client, ONE_HOST))

    def take(self, turn: Turn, client: Peer, proxy: Peer) -> bool:
        """Write a client down, unless it cannot have a place; tell whether it has."""
        turn.wait_ns = 0
        limits = self.gate.limits
        # Without the listener nothing was limited when it came.
        if self._listener_fd < 0 or not limits.is_any:
            self._write(turn, client, proxy)
            turn.is_announced = True
            return True
        turn.reason = self._counted(
            lambda: self._why_not(limits, turn, client), turn, client, proxy
        )
        turn.is_counted = not turn.reason
        turn.is_announced |= turn.is_counted
        return turn.is_counted

    def announce(self, turn: Turn, proxy: Peer) -> bool:
        """Write down a proxy that has not said yet for whom it comes, unless there is no place.

        It is of no source.
        """
        limits = self.gate.limits
        if limits.most:
            turn.reason = self._counted(lambda: self._why_full(limits, turn), turn, NOBODY, proxy)
        else:
            self._write(turn, NOBODY, proxy)
        turn.is_announced = not turn.reason
        return turn.is_announced

    def name(self, given: str | None) -> None:
        """Note what others call the connection that may have the place, None if nothing."""
        self._board.write_identity(self._number, given)

    @property
    def identity(self) -> str:
        """Return what the connection is called that has the place."""
        return identity(self._board, self._number, self._board.record(self._number))

    def leave_queue(self, turn: Turn) -> None:
        """Have somebody wait for a place no more."""
        if turn.queued_ns and not turn.is_announced:
            self._board.join_queue(self._number, 0)
        turn.queued_ns = 0

    def watch(self) -> Watch:
        """Begin to wait for the end of somebody who is served."""
        return Watch(self._board)

    def leave_listener(self) -> None:
        """Give the listener back: no lock is needed any more."""
        if self._listener_fd >= 0:
            os.close(self._listener_fd)
            self._listener_fd = -1

    def _why_not(self, limits: Limits, turn: Turn, client: Peer) -> str:
        limit = limits.sources
        is_to_be_counted = limit.most > 0 and not turn.is_counted
        if is_to_be_counted and not has_room(self._board.serving(), limit, client):
            return CROWDED
        return self._why_full(limits, turn) or self._take_turns(limits, turn, client)

    def _why_full(self, limits: Limits, turn: Turn) -> str:
        """Return why there is no place at all; who is announced has one by now."""
        before_ns = turn.queued_ns or _NEVER_NS
        if limits.most and not turn.is_announced:
            queued = self._board.queued(before_ns)
            if are_full(self._board.serving(), limits.most, queued):
                turn.queue_ns = limits.queue_ns
                if limits.queue_ns and not turn.queued_ns:
                    turn.queued_ns = time.monotonic_ns()
                    self._board.join_queue(self._number, turn.queued_ns)
                return FULL
        return ""

    def _counted(self, why_not: Callable[[], str], turn: Turn, client: Peer, proxy: Peer) -> str:
        """Write somebody down unless there is a reason not to, as the only worker that counts."""
        try:
            with locked(self._listener_fd):
                reason = why_not()
                if not reason:
                    self._write(turn, client, proxy)
        except (OSError, ValueError):
            return UNCOUNTED
        return reason

    def _take_turns(self, limits: Limits, turn: Turn, client: Peer) -> str:
        """Take a turn of the source, then one of all together.

        There is none of the source if there is none of the other. Who waits for the former takes
        the latter behind that: else it would keep it from others.
        """
        rates, now_ns = self.gate.rates, time.monotonic_ns()
        turn.is_half = False
        of_source = None
        if not turn.is_counted and limits.source_rate:
            name = name_of(client, limits.sources)
            of_source = rates.turn_of_source(name, limits.source_rate, now_ns, limits.longest_ns)
            if of_source.wait_ns is None:
                of_source.keep()
                return HASTY
            turn.wait_ns = of_source.wait_ns
        if limits.rate:
            turn.is_half = turn.wait_ns > 0
            if not turn.is_half:
                of_all = rates.turn_of_all(limits.rate, now_ns, limits.longest_ns)
                of_all.keep()
                if of_all.wait_ns is None:
                    return OVER_RATE
                turn.wait_ns = of_all.wait_ns
        if of_source is not None:
            of_source.keep()
        return ""

    def _write(self, turn: Turn, client: Peer, proxy: Peer) -> None:
        if turn.is_announced:
            self._board.write_peers(self._number, client, proxy)
        else:
            self._board.write_accepted(self._number, time.monotonic_ns(), client, proxy)
