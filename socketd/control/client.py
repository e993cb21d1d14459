"""Asking a running server: one connection to its control socket, questions and answers.

Owns the connection, and what an answer has to be. Must not know where the socket is, nor what is
done with an answer. A server is only asked by the commands, which may wait; the master never does.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from socketd.control.document import FORMAT, State, Worker, WorkerList
from socketd.errors import ExitCode, SystemFailureError, describe_errno

_PATIENCE_SECONDS = 10.0
_PART = 1 << 20
_SECOND = 1.0
_TIME = struct.Struct("@ll")  # struct timeval
_MOST_BYTES = 256 << 20
_WAYS_OUT = {
    errno.ENOENT: "; is the server running, and is that its file?",
    errno.ECONNREFUSED: "; the server that it was of has ended",
    errno.EACCES: "; only root and the user of the server may ask it",
}
_UNKNOWN_ORDER = "'do' "  # what the answer to an order begins with that a server does not know
_Answer = TypeVar("_Answer")


class _Failure(msgspec.Struct):
    """The keys of any answer that tell whether it is one, and what came of an order."""

    format: int
    error: str | None = None
    errors: list[str] = []
    code: int = ExitCode.SYSTEM
    done: str = ""


class ControlError(SystemFailureError):
    """A server cannot be asked."""


class RefusedError(ControlError):
    """A server says no; `errors` has all that is in the way."""

    def __init__(self, errors: list[str], exit_code: int) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors
        self.exit_code = exit_code


class OlderError(ControlError):
    """A server does not know an order, because it is older than this version."""


class Connection:
    """A connection to the control socket at a path, as a context. Raises ControlError."""

    def __init__(self, path: str, patience_seconds: float | None = _PATIENCE_SECONDS) -> None:
        self.path = path
        self._rest = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._connect(patience_seconds)
        except ControlError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def state_line(self) -> bytes:
        """Return the state as the server sends it: one JSON object, without its newline."""
        return self.ask(get="state")

    def check_answer(self) -> None:
        """Raise ControlError if the server does not answer; it looks at no service for that.

        An older one does not know the question, and says so: that is an answer as well.
        """
        with contextlib.suppress(RefusedError):
            self.ask(get="server")

    def state(self) -> State:
        """Return the state."""
        return self._decode(self.state_line(), State)

    def workers(self, service: str, address: str | None = None) -> Iterator[Worker]:
        """Yield the workers of a service, or of one of its listeners; each answer has some."""
        start: int | None = 0
        while start is not None:
            question: dict[str, object] = {"get": "workers", "service": service, "from": start}
            if address is not None:
                question["address"] = address
            some = self._decode(self.ask(**question), WorkerList)
            yield from some.workers
            start = some.next

    def ask(self, **request: object) -> bytes:
        """Return the line that answers a request. Raises ControlError, also if that is an error."""
        with self._telling():
            self._socket.sendall(msgspec.json.encode(request) + b"\n")
            line = self._read_line()
        found = self._decode(line, _Failure)
        if found.format != FORMAT:
            raise ControlError(
                f"the server at {self.path!r} answers in format {found.format}, and this version "
                f"of socketd reads format {FORMAT}; use the one that runs there"
            )
        if found.error is not None:
            do = request.get("do")
            if do is not None and found.error.startswith(_UNKNOWN_ORDER):
                raise OlderError(
                    f"the server at {self.path!r} is older than this command and does not know the "
                    f"order {do!r}; replace it by a newer version"
                )
            raise RefusedError(found.errors or [found.error], found.code)
        return line

    def order(self, do: str, **about: object) -> str:
        """Have something done, however long that takes; return what was. Raises ControlError."""
        self._socket.settimeout(None)
        given = {key: value for key, value in about.items() if value is not None}
        done = self._decode(self.ask(do=do, **given), _Failure).done
        if not done:  # an older one tells its state to who was slow to ask
            raise ControlError(f"the server at {self.path!r} did not hear the order; try again")
        return done

    def wait_for_end(self, meanwhile: Callable[[], object] | None = None) -> None:
        """Wait until the server closes the connection, however long that takes.

        `meanwhile` is called each second.
        """
        with self._telling():
            self._socket.settimeout(None if meanwhile is None else _SECOND)
            while True:
                try:
                    if not self._socket.recv(_PART):
                        return
                except TimeoutError:
                    if meanwhile is not None:
                        meanwhile()

    def _connect(self, patience_seconds: float | None) -> None:
        with self._telling():
            # With a time-out of Python's a full queue would be an error at once.
            limit = _TIME.pack(int(patience_seconds or 0), 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            # The kernel gives it a name: so the server knows it as one that is going to ask.
            self._socket.bind("")
            # A path may be longer than an address has room for; that of a descriptor is not.
            folder, name = os.path.split(os.path.abspath(self.path))
            fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._socket.connect(f"/proc/self/fd/{fd}/{name}")
            finally:
                os.close(fd)
            self._socket.settimeout(patience_seconds)

    def _read_line(self) -> bytes:
        parts = [self._rest]
        size = len(self._rest)
        while b"\n" not in parts[-1]:
            part = self._socket.recv(_PART)
            if not part:
                raise ControlError(f"the server at {self.path!r} has closed the connection")
            size += len(part)
            if size > _MOST_BYTES:
                raise ControlError(f"what is at {self.path!r} never ends; it is no such server")
            parts.append(part)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def _decode(self, line: bytes, kind: type[_Answer]) -> _Answer:
        try:
            return msgspec.json.decode(line, type=kind)
        except ValueError as error:  # msgspec's are ValueErrors
            raise ControlError(
                f"what is at {self.path!r} does not answer as a control socket of socketd: {error}"
            ) from error

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, BlockingIOError):
            raise ControlError(
                f"the server at {self.path!r} does not answer; is it stopped (SIGSTOP)?"
            ) from None
        except OSError as error:
            number = error.errno or errno.ENAMETOOLONG  # which only Python has found
            why = describe_errno(number) + _WAYS_OUT.get(number, "")
            raise ControlError(f"cannot ask the server at {self.path!r}: {why}") from error


def state_of(path: str) -> State:
    """Return the state of the server whose control socket is at a path. Raises ControlError."""
    with Connection(path) as connection:
        return connection.state()
