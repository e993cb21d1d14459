"""The targets of log lines: standard error, a file, the journal.

Owns the descriptors, and what happens if a line cannot be written. Must not know what a line says:
it gets bytes.

The master must not block on its log. A line without room or without a reader is dropped and
counted, and a note before the next line that is written gives the number.
"""

import contextlib
import errno
import os
import select
import socket
import stat
import struct
from collections.abc import Callable, Iterable, Mapping

from socketd.errors import SystemFailureError, describe_errno
from socketd.system.directory import absolute
from socketd.system.ownfile import inode_at, inode_of, open_own

JOURNAL_SOCKET = "/run/systemd/journal/socket"
_STDERR_FD = 2
_LOG_FILE_MODE = 0o640
_LENGTH = struct.Struct("<Q")


class Target:
    """Something that takes records."""

    def send(self, *records: bytes) -> None:
        """Write records without blocking. Raises OSError if that is not possible."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what was opened."""


class Outlet:
    """The one way to a target; `note` makes the record that tells of so many dropped ones.

    It has structlog's methods of a logger, which get what the last processor has made.
    """

    def __init__(self, target: Target, note: Callable[[int], bytes]) -> None:
        self._target = target
        self._note = note
        self._dropped = 0

    def msg(self, record: bytes) -> None:
        """Hand a record to the target, or count it as dropped."""
        records = [self._note(self._dropped), record] if self._dropped else [record]
        try:
            self._target.send(*records)
        except OSError:
            self._dropped += 1
        else:
            self._dropped = 0

    debug = info = warning = error = msg

    def close(self) -> None:
        """Close the target."""
        self._target.close()


_CANNOT_OPEN = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)


class StderrTarget(Target):
    """Standard error of any kind; its flags are not changed, because other processes share them.

    Nor is it written by what they are: programs write there too, and may fill it after we have
    looked. So a pipe is opened anew for each line, and a socket is told not to wait.

    `fd` is another descriptor while a command on its way to the background keeps the terminal.
    """

    def __init__(self) -> None:
        self.fd = _STDERR_FD
        self._is_torn = False

    def send(self, *records: bytes) -> None:
        """Write lines if there is room: all at once, since one may fill a small pipe."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        if not dict(poll.poll(0)).get(self.fd, 0) & select.POLLOUT:
            raise BlockingIOError
        lines = b"\n".join([b""] * self._is_torn + [*records, b""])
        written = self._write(lines)
        self._is_torn = written < len(lines)
        if self._is_torn:
            raise BlockingIOError

    def draw(self, text: bytes) -> None:
        """Write something that is no line, if there is room. Raises OSError."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        if dict(poll.poll(0)).get(self.fd, 0) & select.POLLOUT:
            self._write(text)

    def close(self) -> None:
        """Do nothing: it is not ours alone."""

    def _write(self, lines: bytes) -> int:
        mode = os.fstat(self.fd).st_mode
        if stat.S_ISSOCK(mode):
            shared = socket.socket(fileno=self.fd)
            try:
                return shared.send(lines, socket.MSG_DONTWAIT)
            finally:
                shared.detach()
        if stat.S_ISFIFO(mode) and (own := self._open_own()) is not None:
            try:
                return os.write(own, lines)
            finally:
                os.close(own)
        return os.write(self.fd, lines)

    def _open_own(self) -> int | None:
        """Open the pipe anew, None where that cannot be: without /proc, or without descriptors.

        When those have run out there is something to say: then there was room a moment ago.
        """
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            return os.open(f"/proc/self/fd/{self.fd}", flags)
        except OSError as error:
            if error.errno in _CANNOT_OPEN:
                return None
            raise


class FileTarget(Target):
    """A file that may be rotated at any time.

    When it has been moved away or deleted, the next line begins a new one under the old name;
    when it has been copied and cut short, O_APPEND goes on at its new end. It is never written
    through a link. Raises SystemFailureError if it cannot be opened at first; later the former one
    is kept.
    """

    def __init__(self, path: str) -> None:
        self._path = absolute(path)
        try:
            self._fd = self._open()
        except OSError as error:
            why = error.strerror
            raise SystemFailureError(f"cannot open the log file {path!r}: {why}") from error

    def send(self, *records: bytes) -> None:
        """Append lines."""
        if not self._is_current():
            with contextlib.suppress(OSError):
                fd = self._open()
                os.close(self._fd)
                self._fd = fd
        os.write(self._fd, b"\n".join([*records, b""]))

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _open(self) -> int:
        return open_own(self._path, os.O_WRONLY | os.O_APPEND, _LOG_FILE_MODE, is_file=False)

    def _is_current(self) -> bool:
        return inode_at(self._path) == inode_of(os.fstat(self._fd))


class JournalTarget(Target):
    """The journal's own socket, which takes a record of fields.

    Raises SystemFailureError if no process listens there at first.
    """

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            # Not connected: when the journal restarts, it has another socket.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
                probe.connect(path)
        except OSError as error:
            self._socket.close()
            why = describe_errno(error.errno or 0)
            raise SystemFailureError(f"cannot reach the journal at {path!r}: {why}") from error

    def send(self, *records: bytes) -> None:
        """Send a datagram for each record of fields."""
        for record in records:
            self._socket.sendto(record, self._path)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def is_journal(environment: Mapping[str, str]) -> bool:
    """Tell whether standard error leads to the journal. Source: systemd.exec(5), JOURNAL_STREAM."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(_STDERR_FD)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def encode_fields(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return a record of the journal's native protocol; a value may hold any bytes."""
    record = bytearray()
    for name, text in fields:
        value = text.encode(errors="replace")
        if b"\n" in value:
            record += name.encode() + b"\n" + _LENGTH.pack(len(value)) + value + b"\n"
        else:
            record += name.encode() + b"=" + value + b"\n"
    return bytes(record)
