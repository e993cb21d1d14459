"""When a state is put together, and for whom.

Owns the pace: how long the master does that at a time, and for how long a state is told again. Must
not know what is in one, nor how it is written.

A state of many services takes milliseconds, in which no worker is replaced. So it is made in steps,
with turns of the loop between. Who asks meanwhile gets the same; who asks soon after that, too: so
asking takes a fifth of the master's time at most, however often it is done.
"""

import time
from collections.abc import Iterator

from socketd.control.authority import Authority, Seen
from socketd.control.conversation import Conversation
from socketd.control.document import Server
from socketd.control.portrait import Portrait
from socketd.loop.wheel import OwnTimers

_STEP_SECONDS = 0.002
_REST_SECONDS = 0.002
_TOLD_AGAIN = 4.0  # times what it took


class Surveyor:
    """Makes states, one at a time, and tells them to whoever has asked."""

    def __init__(self) -> None:
        self._authority: Authority
        self._timers: OwnTimers
        self._survey: Iterator[Seen | Server] | None = None
        self._portrait = Portrait()
        self._asking: list[Conversation] = []
        self._took_seconds = 0.0
        self._line = b""
        self._line_until_seconds = 0.0
        self._is_out_of_date = False

    def begin(self, authority: Authority, timers: OwnTimers) -> None:
        """Ask this authority from now on."""
        self._authority, self._timers = authority, timers

    def tell(self, client: Conversation) -> None:
        """Tell a client the state, now or when it is there."""
        if self._survey is None and time.monotonic() < self._line_until_seconds:
            client.answer(self._line)
            return
        client.wait(self)
        self._asking.append(client)
        if self._survey is None:
            self._survey, self._took_seconds = self._authority.survey(), 0.0
            self._portrait.begin()
            self._is_out_of_date = False
            self._go_on()

    def forget(self) -> None:
        """Tell nothing again: something is different now."""
        self._line_until_seconds, self._is_out_of_date = 0.0, True

    def finish(self) -> None:
        """Tell all who have asked, at once."""
        while self._survey is not None:
            self._step(float("inf"))

    def _go_on(self) -> None:
        if self._survey is not None:
            self._step(_STEP_SECONDS)
        if self._survey is not None:
            self._timers.add(time.monotonic() + _REST_SECONDS, self._go_on)

    def _step(self, seconds: float) -> None:
        begun = time.monotonic()
        try:
            line = self._advance(begun + seconds)
        except Exception:
            self._end(None)
            raise
        now = time.monotonic()
        self._took_seconds += now - begun
        if line is not None:
            self._line = line
            if not self._is_out_of_date:
                self._line_until_seconds = now + _TOLD_AGAIN * self._took_seconds
            self._end(line)

    def _advance(self, until_seconds: float) -> bytes | None:
        """Go on for a while; return the line if that was enough."""
        assert self._survey is not None
        for part in self._survey:
            if isinstance(part, Server):
                return self._portrait.finish(part)
            self._portrait.add(part)
            if time.monotonic() >= until_seconds:
                return None
        raise AssertionError("a survey has ended without a server")

    def _end(self, line: bytes | None) -> None:
        self._survey = None
        asking, self._asking = self._asking, []
        for client in asking:
            client.waits_for = None
            if line is None:
                client.close()
            else:
                client.answer(line)
