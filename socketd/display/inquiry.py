"""Asking a server again and again, for somebody who watches it.

Owns the connection, when it is made anew, and how often is often enough. Must not know what is done
with an answer.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

from socketd.control.client import Connection, ControlError
from socketd.display.history import Place
from socketd.display.messages import Command, End, Event, Heard, Leave, Listed, Look, Lost, Told
from socketd.errors import SocketdError

# A server that takes long to answer is left alone for so many times as long.
_SHARE = 4.0
# A closed connection says so at once; nobody looks for long at numbers that stand still.
_AT_ONCE_SECONDS, _LATE_SECONDS = 0.5, 2.0


class Inquiry:
    """Asks the server at the path that `path` returns; `tell` is given what comes of it."""

    def __init__(
        self, path: Callable[[], str], interval_seconds: float, tell: Callable[[Event], None]
    ) -> None:
        self._path = path
        self._interval_seconds = interval_seconds
        self._tell = tell
        self._connection: Connection | None = None
        self._place: Place | None = None
        self._taken_seconds = 0.0
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()

    def command(self, command: Command) -> None:
        """Have something done by `run`, which is in another thread."""
        self._commands.put(command)

    def run(self) -> None:
        """Ask until somebody leaves."""
        while self._do_for(self.pause_seconds()):
            with self._telling_late():
                self.ask()
        self.close()

    def pause_seconds(self) -> float:
        """Return for how long nobody asks after the last question."""
        return max(self._interval_seconds, _SHARE * self._taken_seconds)

    def begin(self) -> None:
        """Ask for the first time. Raises SocketdError if that leads to nothing."""
        self._tell(self._first())

    def ask(self) -> None:
        """Ask once."""
        begun = time.monotonic()
        try:
            self._tell(self._first())
            if self._place is not None:
                self._tell(Listed(self._place, tuple(self._connected().workers(*self._place))))
            self._taken_seconds = time.monotonic() - begun
        except SocketdError as error:
            self.close()
            self._tell(Lost(str(error)))
            self._taken_seconds = 0.0

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _telling_late(self) -> Iterator[None]:
        """Say meanwhile that there is no answer, if it does not come soon."""
        late = Lost(f"the server has not answered for {_LATE_SECONDS:g} s: it is busy, or stopped")
        timer = threading.Timer(_LATE_SECONDS, self._tell, (late,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _do_for(self, seconds: float) -> bool:
        """Do what is commanded meanwhile, and be back early then; tell whether to go on."""
        deadline_seconds = time.monotonic() + seconds
        while (rest := deadline_seconds - time.monotonic()) > 0:
            try:
                command = self._commands.get(timeout=rest)
            except queue.Empty:
                return True
            match command:
                case Leave():
                    return False
                case Look():
                    self._place = command.place
                    return True
                case End():
                    self._end(command.pid)
                    return True
        return True

    def _end(self, pid: int) -> None:
        try:
            self._connected().ask(do="end", pid=pid)
        except SocketdError as error:
            self._tell(Told(str(error), is_done=False))
        else:
            self._tell(Told(f"the connection of process {pid} told to end", is_done=True))

    def _first(self) -> Heard:
        """Return the state; a connection that was there before may have been closed meanwhile."""
        if self._connection is not None:
            begun = time.monotonic()
            try:
                return Heard(self._connection.state(), time.monotonic())
            except ControlError:
                self.close()
                if time.monotonic() - begun > _AT_ONCE_SECONDS:
                    raise
        return Heard(self._connected().state(), time.monotonic())

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._path())
        return self._connection
