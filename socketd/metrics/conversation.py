"""One HTTP request over two descriptors, and one answer.

Owns reading and sending, and for how long a client may take. h11 owns the protocol. Must not know
what is answered.
"""

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from http import HTTPStatus

import h11

from socketd.metrics.answers import Answer, Request, plain

_MOST_HEAD_BYTES = 32 << 10
_PART = 1 << 16
_HEAD_SECONDS = 10.0
_SEND_SECONDS = 20.0
# A client that still sends when we close loses what it has not read of the answer (RFC 9112, 9.6).
_LEAVE_SECONDS = 1.0
_MOST_BYTES_TO_IGNORE = 1 << 20


class _LostError(Exception):
    """The client has gone."""


class _LateError(_LostError):
    """The client has taken too long."""


class _Line:
    """The two directions to a client; none of them blocks for longer than until a deadline."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        """Let all that follows take so long together."""
        self._deadline = time.monotonic() + seconds

    def receive(self) -> bytes:
        """Return what has come, nothing at the end."""
        self._wait(self._read_fd, select.POLLIN)
        try:
            return os.read(self._read_fd, _PART)
        except OSError as error:
            raise _LostError from error

    def send(self, content: bytes) -> None:
        """Send all of something."""
        rest = memoryview(content)
        # A write of much more than there is room for would block, whatever poll() has said.
        os.set_blocking(self._write_fd, False)
        try:
            while rest:
                self._wait(self._write_fd, select.POLLOUT)
                with contextlib.suppress(BlockingIOError):
                    rest = rest[os.write(self._write_fd, rest[:_PART]) :]
        except OSError as error:
            raise _LostError from error
        finally:
            os.set_blocking(self._write_fd, True)  # it may be the terminal of a shell

    def leave(self) -> None:
        """Say that no more will come, and ignore what still does."""
        try:
            with socket.socket(fileno=os.dup(self._write_fd)) as connection:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            return  # no socket, or the client has gone
        left = _MOST_BYTES_TO_IGNORE
        while left > 0 and (part := self.receive()):
            left -= len(part)

    def _wait(self, fd: int, event: int) -> None:
        poll = select.poll()
        poll.register(fd, event)
        rest = self._deadline - time.monotonic()
        if rest <= 0 or not poll.poll(rest * 1000):
            raise _LateError


def converse(read_fd: int, write_fd: int, answer: Callable[[Request], Answer]) -> None:
    """Read a request, send the answer to it. A client that leaves, or says nothing, is no error."""
    line = _Line(read_fd, write_fd)
    with contextlib.suppress(_LostError):
        line.allow(_HEAD_SECONDS)
        request = None
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD_BYTES)
        try:
            request = _read(line, connection)
        except h11.RemoteProtocolError as error:
            made = plain(HTTPStatus(error.error_status_hint), "this is no request of HTTP/1.1")
        except _LateError:
            if connection.their_state is h11.IDLE and not connection.trailing_data[0]:
                return
            made = plain(HTTPStatus.REQUEST_TIMEOUT, "the request has not come in time")
        else:
            if request is None:
                return
            made = answer(request)
        line.allow(_SEND_SECONDS)
        is_head = request is not None and request.method == "HEAD"
        line.send(_sent(connection, made, is_without_body=is_head))
        line.allow(_LEAVE_SECONDS)
        line.leave()


def _read(line: _Line, connection: h11.Connection) -> Request | None:
    """Return the request, None if the client has left before its end."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            fields: dict[str, str] = {}
            for name, value in event.headers:
                key, text = name.decode("ascii"), value.decode("latin-1")
                fields[key] = f"{fields[key]}, {text}" if key in fields else text
            return Request(event.method.decode("ascii"), event.target.decode("ascii"), fields)
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(line.receive())


def _sent(connection: h11.Connection, made: Answer, *, is_without_body: bool) -> bytes:
    """Return an answer as bytes. One to HEAD says how long its body would be."""
    head = h11.Response(
        status_code=made.status.value,
        reason=made.status.phrase.encode(),
        headers=[
            *made.fields,
            ("Content-Length", str(len(made.body))),
            ("Connection", "close"),
        ],
    )
    body = b"" if is_without_body else made.body
    parts = [connection.send(one) for one in (head, h11.Data(data=body))]
    return b"".join(part for part in parts if part)
