"""Who has come by a connection, and whether it may come in, for a worker forked in Python.

Owns the order: who has connected, what a proxy says, what the gate says of the client. Must not
know how a connection is made, nor what becomes of it. native/arrival.c does the same.
"""

import socket
import time

from socketd.admission.intake import Intake
from socketd.admission.proxy_header import Header, Verdict
from socketd.admission.refusal import FULL, LATE_HEADER, NO_HEADER, SENSED, send_away
from socketd.dataclass import replace
from socketd.programs.environment import connection_variables
from socketd.programs.peer import NOBODY, Peer, identify
from socketd.workers.place import Place, Turn
from socketd.workers.queue import Watch, queue_begin

_MS_PER_SECOND = 1000
_NS_PER_SECOND = 1_000_000_000
_IDENTITY = "UNIQUE_ID"


class Arrival:
    """A connection at the gate; it stands on the board if it may come in.

    `queue_end_ns` is until when it may wait for a place, by the limits that have left it none.
    `is_to_wait` says that it may come in only after a wait: for what a proxy has to say, or for its
    turn. What is so then is known after `settle`.
    """

    def __init__(self, place: Place, connection: socket.socket, name: object) -> None:
        self._place = place
        self._connection = connection
        self._intake = Intake(connection)
        self._behind: Peer | None = None
        self._said: dict[str, str] = {}
        self.client = identify(connection, name)
        self.proxy = NOBODY
        self._is_silent = False
        self._heard: Header | Verdict = Verdict.MORE
        self._turn = Turn()
        self._queue_begin_ns = 0
        self.queue_end_ns = 0
        self._verdict = place.gate.meet(self.client)
        place.name(None)
        if not self._verdict.is_granted:
            return
        if self._verdict.header_ms:
            heard = self._intake.take()
            if heard is Verdict.MORE:
                self._is_silent = True
                self._announce()
                return
            self._take(heard)
        else:
            self._keep_out()
        self._take_place()

    @property
    def may_come_in(self) -> bool:
        """Tell whether the client may come in, as far as is known."""
        return self._verdict.is_granted

    def leave_queue(self) -> None:
        """Have it wait for a place no more."""
        self._place.leave_queue(self._turn)

    def queue(self) -> Watch | None:
        """Begin to wait for a place, if somebody who has not come in may have one in time."""
        if self.may_come_in or self._verdict.reason != FULL:
            return None
        if not self._queue_begin_ns:
            self._queue_begin_ns = queue_begin(self._connection)
        self.queue_end_ns = self._queue_begin_ns + self._turn.queue_ns
        return self._place.watch() if time.monotonic_ns() < self.queue_end_ns else None

    def ask_again(self) -> None:
        """Decide again on somebody who had no place."""
        self._verdict = replace(self._verdict, is_granted=True, reason="")
        if self._is_silent:
            self._announce()
        else:
            self._take_place()

    @property
    def is_to_wait(self) -> bool:
        """Tell whether something has to be waited for before the client can be served."""
        return self.may_come_in and (self._is_silent or self._turn.wait_ns > 0)

    @property
    def needs_lock(self) -> bool:
        """Tell whether it will have to be counted behind its wait."""
        return self._turn.is_half or (self._is_silent and self._place.is_limited)

    def wait(self) -> None:
        """Wait for what a silent proxy has to say, as long as it may take, or for a turn."""
        if self._is_silent:
            self._heard = self._intake.take_within(self._verdict.header_ms / _MS_PER_SECOND)
        else:
            time.sleep(self._turn.wait_ns / _NS_PER_SECOND)

    def settle(self) -> None:
        """Decide behind a wait, with all signals blocked."""
        if self._is_silent:
            self._is_silent = False
            self._take(self._heard)
            self._take_place()
        elif self._turn.is_half:
            self._take_place()
        else:
            self._turn.wait_ns = 0

    def send_away(self) -> bool:
        """Close the connection and write that down; tell whether the master is to be rung."""
        send_away(self._connection, self._verdict.refusal)
        return self._place.gate.write_down(self.client, self.proxy, self._verdict.reason)

    def variables(self) -> dict[str, str]:
        """Return the variables that tell a program about its connection."""
        known = connection_variables(self._connection, self.client, self.proxy, self._behind)
        own = {} if _IDENTITY in self._said else {_IDENTITY: self._place.identity}
        return known | own | self._said | self._verdict.variables

    def _take(self, heard: Header | Verdict) -> None:
        if not isinstance(heard, Header):
            self._refuse(LATE_HEADER if heard is Verdict.MORE else NO_HEADER)
            return
        self._said = heard.variables
        self._place.name(self._said.get(_IDENTITY))
        if heard.source is not None:
            self.client, self.proxy, self._behind = heard.source, self.client, heard.destination
        self._verdict = self._place.gate.decide(self.client)
        self._keep_out()

    def _keep_out(self) -> None:
        """Keep out who was sensed, whatever the rules say."""
        if self._verdict.is_granted and self._place.keeps_out(self.client):
            self._refuse(SENSED)

    def _announce(self) -> None:
        if not self._place.announce(self._turn, self.client):
            self._refuse(self._turn.reason)

    def _take_place(self) -> None:
        if not self._verdict.is_granted:
            return
        if not self._place.take(self._turn, self.client, self.proxy):
            self._refuse(self._turn.reason)

    def _refuse(self, reason: str) -> None:
        self._verdict = replace(self._verdict, is_granted=False, reason=reason)
