"""One client of the control socket: what it says is cut into lines, and answers are sent.

Owns the client's socket, its bytes in both directions, and for how long it may take. Must not know
what a request means.

A client that does not read costs its answer, and nothing is read from it meanwhile; one that says
nothing, or sends no whole line, costs a timer. No more than one line is taken from the kernel at a
time: the loop turns to its other sources between two requests.
"""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable

from socketd.control.requests import MOST_REQUEST_BYTES
from socketd.loop.sources import READABLE, WRITABLE, Source, Sources
from socketd.loop.wheel import OwnTimers, Timer

_SILENT_SECONDS = 0.2
_SEND_SECONDS = 10.0
_PAUSE_SECONDS = 60.0
_MOST_UNREAD_PARTS = 16
_CREDENTIALS = struct.Struct("=iII")


def is_allowed(connection: socket.socket) -> bool:
    """Tell whether the other side is root, or the user of this process."""
    size = _CREDENTIALS.size
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return uid in (0, os.geteuid())


class Conversation:
    """A client from its accept to its end.

    `hear` is called with each line, and with None where a client says nothing at all; it may send
    an answer, now or later. `run` calls what may fail, `leave` is called at the end.
    `since_seconds` is when it was heard, `is_silent` tells that it never was, and may never be.
    """

    def __init__(
        self,
        connection: socket.socket,
        sources: Sources,
        timers: OwnTimers,
        run: "Callable[[Callable[[], object]], None]",
        hear: "Callable[[Conversation, bytes | None], None]",
        leave: "Callable[[Conversation], None]",
        *,
        is_known: bool = False,
    ) -> None:
        connection.setblocking(False)
        self.since_seconds = time.monotonic()
        self.waits_for: object = None
        self._socket = connection
        self._timers = timers
        self._run = run
        self._hear = hear
        self._leave = leave
        self._said = b""
        self._to_send: memoryview = memoryview(b"")
        self.is_silent = not is_known
        self._is_at_end = False
        self._is_last = False
        self._timer: Timer | None = None
        self._source: Source = sources.add(connection.fileno(), self._on_ready, READABLE)
        self._watch(_PAUSE_SECONDS if is_known else _SILENT_SECONDS)

    @property
    def is_at_rest(self) -> bool:
        """Tell whether there is nothing of it but its socket: what it says is in the kernel."""
        return not (self._said or self._to_send or self._is_at_end or self.waits_for)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def answer(self, line: bytes, *, is_last: bool = False) -> None:
        """Send a line, if it is still there; after the last one the connection is closed."""
        if self._socket.fileno() < 0:
            return
        self._is_last |= is_last
        self._to_send = memoryview(line)
        self._stop_timer()
        self._send()
        if self._to_send and self._socket.fileno() >= 0:
            self._watch(_SEND_SECONDS)

    def wait(self, what: object) -> None:
        """Give it all the time there is, until an answer or the end of the server comes."""
        self.waits_for = what
        self._stop_timer()

    def close(self) -> None:
        """End the conversation, whatever has not been sent."""
        self._stop_timer()
        if self._socket.fileno() >= 0:
            self._source.remove()
            self._socket.close()
            self._leave(self)

    def _on_ready(self, events: int) -> None:
        self._run(self._send if events & WRITABLE else self._receive)

    def _receive(self) -> None:
        if self.waits_for is not None:
            self._source.watch(0)  # there is an answer before the next request is taken
            return
        try:
            line = self._take_line()
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if line is not None:
            self.is_silent = False
            self.since_seconds = time.monotonic()
            self._hear(self, line)
        elif self._is_at_end:
            self._end()

    def _end(self) -> None:
        """Act on its end of file: what was no whole line is one, and nothing stands for all."""
        if self.is_silent:
            self._say_all()
        else:
            self.close()

    def _say_all(self) -> None:
        self.is_silent = False
        self._is_at_end = self._is_last = True
        self._hear(self, None)

    def _take_line(self) -> bytes | None:
        """Return the next line without its end, None while there is none. Raises OSError."""
        room = MOST_REQUEST_BYTES + 1 - len(self._said)
        ahead = self._socket.recv(room, socket.MSG_PEEK)
        if not ahead:
            self._is_at_end = True
            line, self._said = self._said, b""
            return line or None
        line_end = ahead.find(b"\n")
        part = self._socket.recv(len(ahead) if line_end < 0 else line_end + 1)
        self._said += part
        self.is_silent = False
        if line_end < 0 and len(self._said) <= MOST_REQUEST_BYTES:
            return None
        line, self._said = self._said.removesuffix(b"\n"), b""
        if line_end < 0:  # too long: what follows is the rest of it
            self._is_last = True
            self._read_what_is_there()
        return line

    def _read_what_is_there(self) -> None:
        """Read: a socket that is closed with something unread is reset, and the answer lost."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_UNREAD_PARTS):
                if not self._socket.recv(MOST_REQUEST_BYTES):
                    return

    def _send(self) -> None:
        try:
            sent = self._socket.send(self._to_send, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._to_send = self._to_send[sent:]
        if self._to_send:
            self._source.watch(WRITABLE)
        elif self._is_last or self._is_at_end:
            self.close()
        else:
            self._source.watch(READABLE)
            if self.waits_for is None:
                self._watch(_PAUSE_SECONDS)

    def _watch(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self._timers.add(time.monotonic() + seconds, self._on_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timers.cancel(self._timer)
            self._timer = None

    def _on_late(self) -> None:
        self._timer = None
        if self.is_silent:
            self._say_all()
        else:
            self.close()
