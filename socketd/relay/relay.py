"""The relay: bytes between a connection and a pair of descriptors.

Owns the poll loop, the half-close, the back-pressure and the meaning of -c, -q, -r, -w and -N.
Must not know the pool, how the connection came about, or what is behind the descriptors beyond
this: a program, whose pipes end with it, or our own stdin and stdout.

Each direction holds at most one block, and reads the next when that one is written. So memory is
bounded, and a side that does not read stops only its own direction. That requires writes that never
block. Connections and program pipes are ours and non-blocking. Our stdout is shared with other
processes, which may not expect O_NONBLOCK: a pipe or a terminal is reopened through /proc, which
gives us our own open file description, and a socket is written with MSG_DONTWAIT (see Sink).

The ends, in the classic program's words where it had some:
- end of input: with -q the connection is closed, with -N its sending side; else nothing is said to
  the peer. With -w nothing else can happen, so that is the end.
- end of the peer's stream: a program sees the end of its stdin, and its output is still delivered.
  Our own input may be a terminal or a pipe that never ends, so it is read no further; unless it is
  a file, which does end, or -N asks for it.
- the program has closed its stdin and its output has ended: nothing can follow.

Client mode pays for every import: no typing, no contextlib, and of socket only the part in C.
"""

import _socket as socket
import errno
import os
import select
import stat

from socketd.errors import RelayError
from socketd.relay.crlf import FromCrlf, ToCrlf, Unchanged

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK_BYTES = 65536
_PIPE_ROOM = 4096  # poll(2) calls a pipe writable when it has room for PIPE_BUF, pipe(7)
_MOST_LEFTOVER_BLOCKS = 64
_LOST = select.POLLERR | select.POLLHUP
_NOTHING = memoryview(b"")
_RECEIVING = "read from connection"
_SENDING = "write to connection"


class RelaySettings:
    """What the options ask of a relay; never changed once made."""

    __slots__ = ("crlf", "half_close", "quits", "read_only", "write_only")

    def __init__(
        self,
        *,
        crlf: bool = False,
        read_only: bool = False,
        write_only: bool = False,
        quits: bool = False,
        half_close: bool = False,
    ) -> None:
        self.crlf = crlf
        self.read_only = read_only
        self.write_only = write_only
        self.quits = quits
        self.half_close = half_close


class Source:
    """The source of the bytes to send: a descriptor, never written to."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name

    def read(self) -> bytes:
        """Return a block, nothing at the end. Raises BlockingIOError or RelayError."""
        try:
            return os.read(self.fd, BLOCK_BYTES)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _failure(f"read from {self.name}", error) from error

    def is_sure_to_end(self) -> bool:
        """Tell whether reading on can neither block nor last for ever."""
        return stat.S_ISREG(os.fstat(self.fd).st_mode)


class Sink:
    """The destination of received bytes: a descriptor, written to without blocking."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self._own_fd = -1
        self._most_bytes = BLOCK_BYTES * 2
        self._socket: socket.socket | None = None
        mode = os.fstat(fd).st_mode
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(fd))
        elif (stat.S_ISFIFO(mode) or os.isatty(fd)) and os.get_blocking(fd):
            try:
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._own_fd = self.fd = os.open(f"/proc/self/fd/{fd}", flags)
            except OSError:  # of another user, no /proc, or no reader left
                self._most_bytes = _PIPE_ROOM

    def write(self, block: memoryview) -> int:
        """Write as much as there is room for. Raises BlockingIOError or RelayError."""
        piece = block[: self._most_bytes]
        try:
            if self._socket is None:
                return os.write(self.fd, piece)
            return self._socket.send(piece, socket.MSG_DONTWAIT)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _failure(f"write to {self.name}", error) from error

    def close(self) -> None:
        """Close the descriptor that this sink opened."""
        if self._own_fd >= 0:
            os.close(self._own_fd)
            self._own_fd = -1
        if self._socket is not None:
            self._socket.close()


class _Flow:
    """One direction, from reading a block to writing its last byte."""

    def __init__(
        self,
        read: "Callable[[], bytes]",
        write: "Callable[[memoryview], int]",
        translation: Unchanged,
        *,
        is_open: bool,
    ) -> None:
        self.is_open = is_open
        self._read = read
        self._write = write
        self._translation = translation
        self._block = _NOTHING

    @property
    def wants_input(self) -> bool:
        """Tell whether there is room for a block."""
        return self.is_open and not self._block

    @property
    def wants_output(self) -> bool:
        """Tell whether something waits to be written."""
        return bool(self._block)

    @property
    def is_over(self) -> bool:
        """Tell whether nothing will be written any more."""
        return not self.is_open and not self._block

    def pull(self) -> None:
        """Read a block, or the end."""
        try:
            block = self._read()
        except BlockingIOError:
            return
        if block:
            self._block = memoryview(self._translation.feed(block))
        else:
            self.end()

    def push(self) -> None:
        """Write as much as there is room for."""
        try:
            written = self._write(self._block)
        except BlockingIOError:
            return
        self._block = self._block[written:]

    def end(self) -> None:
        """Stop reading; what was read is still written."""
        if self.is_open:
            self.is_open = False
            rest = self._translation.finish()
            if rest:
                self._block = memoryview(bytes(self._block) + rest)

    def drop(self) -> None:
        """Stop reading and discard what was read: the other side is gone."""
        self.is_open = False
        self._block = _NOTHING


class Relay:
    """Relays one connection to its end, then closes it.

    The relay owns the connection and makes it non-blocking. `source` is None if nothing is to be
    sent (-r), `sink` if nothing is to be received (-w). `say` gets what -v prints.
    `close_program_stdin` is set exactly if source and sink belong to a program.
    """

    def __init__(
        self,
        connection: socket.socket,
        source: Source | None,
        sink: Sink | None,
        settings: RelaySettings,
        say: "Callable[[str], None]",
        close_program_stdin: "Callable[[], None] | None" = None,
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._source = source
        self._sink = sink
        self._settings = settings
        self._say = say
        self._close_program_stdin = close_program_stdin
        to_socket, from_socket = (
            (ToCrlf(), FromCrlf()) if settings.crlf else (Unchanged(), Unchanged())
        )
        self._sending = _Flow(
            source.read if source else bytes, self._send, to_socket, is_open=source is not None
        )
        self._receiving = _Flow(
            self._receive,
            sink.write if sink else len,
            from_socket,
            is_open=sink is not None,
        )
        self._has_sent_all = source is None
        self._has_received_all = sink is None
        self._has_peer_ended = False
        self._is_over = False

    def run(self) -> None:
        """Relay until the end. Raises RelayError if the connection or our side fails.

        The connection is closed in any case.
        """
        if self._source is None and self._settings.half_close:
            self._shut_down_sending()
        try:
            self._advance()
            while not self._is_over:
                self._turn()
                self._advance()
        except RelayError:
            self._hang_up()
            try:
                self._deliver_rest()
            except RelayError:
                pass  # the first failure is the one to report
            raise
        finally:
            self._hang_up()
        self._deliver_rest()

    def _turn(self) -> None:
        """Wait until something can be done, and do it."""
        receiving, sending = self._receiving, self._sending
        poll = select.poll()
        wanted = receiving.wants_input * select.POLLIN | sending.wants_output * select.POLLOUT
        if wanted or not receiving.wants_output:
            poll.register(self._connection, wanted)
        if self._source is not None and sending.wants_input:
            poll.register(self._source.fd, select.POLLIN)
        if self._sink is not None:
            if receiving.wants_output:
                poll.register(self._sink.fd, select.POLLOUT)
            elif self._close_program_stdin is not None and receiving.is_open:
                poll.register(self._sink.fd, 0)  # reports when the program has closed its stdin
        ready = dict(poll.poll())

        if self._source is not None and self._source.fd in ready:
            sending.pull()
        happened = ready.get(self._connection.fileno(), 0)
        if happened & _LOST and not wanted:
            self._lose_connection()
            return
        if happened and receiving.wants_input:
            receiving.pull()
        if happened and sending.wants_output:
            sending.push()
        if self._sink is not None and self._sink.fd in ready:
            self._pour()

    def _pour(self) -> None:
        """Write to the sink, or notice that it has no reader any more."""
        if self._close_program_stdin is None:
            self._receiving.push()
        elif not self._receiving.wants_output:
            self._receiving.drop()
        else:
            try:
                self._receiving.push()
            except RelayError as error:
                if error.number != errno.EPIPE:
                    raise
                self._receiving.drop()

    def _advance(self) -> None:
        """Do what follows when a direction has ended."""
        if self._sending.is_over and not self._has_sent_all:
            self._has_sent_all = True
            if not self._has_peer_ended or self._close_program_stdin is not None:
                self._end_sending()
        if self._receiving.is_over and not self._has_received_all:
            self._has_received_all = True
            self._end_receiving()
        self._is_over = self._is_over or (self._sending.is_over and self._receiving.is_over)

    def _end_sending(self) -> None:
        if self._settings.quits:
            self._say("connection closed")
            self._is_over = True
            return
        self._say("end of input on stdin")
        if self._settings.half_close:
            self._shut_down_sending()

    def _end_receiving(self) -> None:
        if self._has_peer_ended:
            self._say("connection closed by peer")
        if self._close_program_stdin is not None:
            self._close_program_stdin()
        elif self._source is not None and not self._is_source_read_to_its_end(self._source):
            self._sending.end()

    def _is_source_read_to_its_end(self, source: Source) -> bool:
        """Tell whether our input is sent to its end although the peer has ended its stream."""
        return source.is_sure_to_end() or (self._settings.half_close and not os.isatty(source.fd))

    def _receive(self) -> bytes:
        try:
            block = self._connection.recv(BLOCK_BYTES)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _failure(_RECEIVING, error) from error
        if not block:
            self._has_peer_ended = True
        return block

    def _send(self, block: memoryview) -> int:
        """Send; if the peer has ended its stream, it may be gone, which is no error."""
        try:
            return self._connection.send(block)
        except BlockingIOError:
            raise
        except OSError as error:
            if not self._has_peer_ended:
                raise _failure(_SENDING, error) from error
            self._sending.is_open = False
            return len(block)

    def _lose_connection(self) -> None:
        """Notice that the peer is gone while we neither read nor write."""
        number = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number and not self._has_peer_ended:
            raise RelayError(_RECEIVING, number, is_of_connection=True)
        if not self._has_peer_ended:
            self._say("connection closed by peer")
        self._is_over = True

    def _shut_down_sending(self) -> None:
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer is gone; reading will report it

    def _hang_up(self) -> None:
        """Close the connection so that everything that we sent arrives.

        With unread input close() resets the connection, and a reset discards what the peer has not
        read yet. Closing it again has no effect.
        """
        if self._connection.fileno() < 0:
            return
        self._shut_down_sending()
        try:
            for _ in range(_MOST_LEFTOVER_BLOCKS):
                if not self._connection.recv(BLOCK_BYTES):
                    break
        except OSError:
            pass  # nothing is left, or the peer is gone
        self._connection.close()

    def _deliver_rest(self) -> None:
        """Write the rest to our stdout, however slowly it is read."""
        if self._sink is None or self._close_program_stdin is not None:
            return
        poll = select.poll()
        poll.register(self._sink.fd, select.POLLOUT)
        while self._receiving.wants_output:
            poll.poll()
            self._receiving.push()


def _failure(attempt: str, error: OSError) -> RelayError:
    is_of_connection = attempt in (_RECEIVING, _SENDING)
    return RelayError(attempt, error.errno or 0, is_of_connection=is_of_connection)
