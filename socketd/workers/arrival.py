"""Who has come by a connection, and whether it may come in, for a worker forked in Python.

Owns the order: who has connected, what a proxy says, what the gate says of the client. Must not
know how a connection is made, nor what becomes of it. native/arrival.c does the same.
"""

import socket

from socketd.admission.intake import Intake
from socketd.admission.proxy_header import Header, Verdict
from socketd.admission.refusal import LATE_HEADER, NO_HEADER, send_away
from socketd.dataclass import replace
from socketd.programs.environment import connection_variables
from socketd.programs.peer import NOBODY, Peer, identify
from socketd.workers.sources import Place

_MS_PER_SECOND = 1000


class Arrival:
    """A connection at the gate; it stands on the board if it may come in.

    `is_silent` says that it is a proxy's, which has not said yet for whom it comes. Whether it may
    come in is known after `hear`.
    """

    def __init__(self, place: Place, connection: socket.socket, name: object) -> None:
        self._place = place
        self._connection = connection
        self._intake = Intake(connection)
        self._behind: Peer | None = None
        self._said: dict[str, str] = {}
        self.client = identify(connection, name)
        self.proxy = NOBODY
        self.is_silent = False
        self._verdict = place.gate.meet(self.client)
        if not self._verdict.is_granted:
            return
        if self._verdict.header_ms:
            heard = self._intake.take()
            if heard is Verdict.MORE:
                self.is_silent = True
                place.announce(self.client)
                return
            self._take(heard)
        self._take_place()

    @property
    def may_come_in(self) -> bool:
        """Tell whether the client may come in, as far as is known."""
        return self._verdict.is_granted

    def hear(self) -> None:
        """Wait for what a silent proxy has to say, as long as it may take."""
        self._take(self._intake.take_within(self._verdict.header_ms / _MS_PER_SECOND))

    def settle(self) -> None:
        """Decide on the client of a proxy that was silent, with all signals blocked."""
        self._take_place()

    def send_away(self) -> bool:
        """Close the connection and write that down; tell whether the master is to be rung."""
        send_away(self._connection, self._verdict.refusal)
        return self._place.gate.write_down(self.client, self.proxy, self._verdict.reason)

    def variables(self) -> dict[str, str]:
        """Return the variables that tell a program about its connection."""
        known = connection_variables(self._connection, self.client, self.proxy, self._behind)
        return known | self._said | self._verdict.variables

    def _take(self, heard: Header | Verdict) -> None:
        if not isinstance(heard, Header):
            self._refuse(LATE_HEADER if heard is Verdict.MORE else NO_HEADER)
            return
        self._said = heard.variables
        if heard.source is not None:
            self.client, self.proxy, self._behind = heard.source, self.client, heard.destination
        self._verdict = self._place.gate.decide(self.client)

    def _take_place(self) -> None:
        if self._verdict.is_granted:
            why = self._place.take(self.client, self.proxy, is_announced=self.is_silent)
            if why:
                self._refuse(why)

    def _refuse(self, reason: str) -> None:
        self._verdict = replace(self._verdict, is_granted=False, reason=reason)
