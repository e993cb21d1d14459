"""Taking a header of the PROXY protocol off a connection.

Owns how many bytes are taken: those of the header, and never one behind it, which is the program's.
Must not know what is in a header, nor what follows if there is none. native/proxy_intake.c does the
same, with the reasons.
"""

import select
import socket
import time

from socketd.admission.proxy_header import MOST_BYTES, Header, Verdict, parse

_MS_PER_SECOND = 1000


class Intake:
    """What has come of a header on a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._taken = b""

    def take(self) -> Header | Verdict:
        """Return the header, as far as it has come: this does not wait."""
        while True:
            room = MOST_BYTES - len(self._taken)
            try:
                there = self._connection.recv(room, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                return Verdict.MORE
            except OSError:
                return Verdict.WRONG
            if not there:
                return Verdict.WRONG
            heard = parse(self._taken + there)
            if heard is Verdict.WRONG:
                return heard
            size = heard.size - len(self._taken) if isinstance(heard, Header) else len(there)
            if not self._take(size):
                return Verdict.WRONG
            if isinstance(heard, Header):
                return heard

    def take_within(self, seconds: float) -> Header | Verdict:
        """Return all of the header, or MORE if it was not there in time."""
        end = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        while (heard := self.take()) is Verdict.MORE and (left := end - time.monotonic()) > 0:
            poll.poll(left * _MS_PER_SECOND)
        return heard

    def _take(self, size: int) -> bool:
        """Take bytes that are there; tell whether they were."""
        while size:
            try:
                part = self._connection.recv(size, socket.MSG_DONTWAIT)
            except OSError:
                return False
            if not part:
                return False
            self._taken += part
            size -= len(part)
        return True
