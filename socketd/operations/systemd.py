"""The protocols of a service manager: sd_listen_fds(3), sd_notify(3).

Owns the activation variables and the notification protocol. Must not know the configuration or the
pool: its user passes the status as text.

A message that the manager has no room for is kept and sent again by a timer, in order. So the
master never blocks, and READY=1 is not lost. Without a manager everything here does nothing.
"""

import contextlib
import os
import socket
import stat
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping

from socketd.dataclass import dataclass
from socketd.errors import ListenError, SystemFailureError, describe_errno

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from socketd.loop.wheel import Timer, Timers

FIRST_PASSED_FD = 3
_MOST_PASSED = 2**16
_LONGEST_NAME = 255  # sd_listen_fds(3)
_ACTIVATION = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_MOST_DIGITS = 18  # int() refuses thousands
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
_STATUS_SECONDS = 1.0
_RETRY_SECONDS = 0.1
_USEC_PER_SECOND = 1_000_000
_NSEC_PER_USEC = 1_000


@dataclass(frozen=True, slots=True)
class PassedSocket:
    """A listening socket that was passed; its name may be empty."""

    fd: int
    name: str


def take_passed_sockets(environment: MutableMapping[str, str], pid: int) -> list[PassedSocket]:
    """Return what was passed to process `pid`, checked and close-on-exec.

    Nothing was if LISTEN_PID is not set, is empty or names another process. The variables are
    removed either way, so that no child takes them for its own. Whether a socket blocks is left as
    its owner wants it. Raises ListenError for whatever does not make sense.
    """
    values = {name: environment.pop(name, None) for name in _ACTIVATION}
    owner, count, names = (values[name] for name in _ACTIVATION)
    if not owner:
        return []
    if _whole_number("LISTEN_PID", owner, 2**31 - 1) != pid:
        return []
    if count is None:
        raise ListenError("LISTEN_FDS is not set though LISTEN_PID is: the caller must set both")
    total = _whole_number("LISTEN_FDS", count, _MOST_PASSED)
    labels = _split_names(names, total)
    fds = range(FIRST_PASSED_FD, FIRST_PASSED_FD + total)
    for fd in fds:
        _check_listening(fd)
    for fd in fds:
        os.set_inheritable(fd, False)
    return [PassedSocket(fd, label) for fd, label in zip(fds, labels, strict=True)]


def _whole_number(variable: str, text: str, highest: int) -> int:
    if not _is_number(text) or not 1 <= int(text) <= highest:
        raise ListenError(f"{variable}: {text!r} is not a whole number from 1 to {highest}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def _split_names(names: str | None, total: int) -> list[str]:
    if names is None:
        return [""] * total
    labels = names.split(":")
    if len(labels) != total:
        raise ListenError(f"LISTEN_FDNAMES: {names!r} has {len(labels)} names for {total} sockets")
    for label in labels:
        if not label.isascii() or (label and not label.isprintable()) or len(label) > _LONGEST_NAME:
            raise ListenError(
                f"LISTEN_FDNAMES: {label!r} is not up to {_LONGEST_NAME} printable ASCII characters"
            )
    return labels


def _check_listening(fd: int) -> None:
    place = f"passed descriptor {fd}"
    try:
        mode = os.fstat(fd).st_mode
    except OSError as error:
        raise ListenError(f"{place}: {describe_errno(error.errno or 0)}") from error
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{place} is not a socket")
    passed = socket.socket(fileno=fd)
    try:
        if passed.family not in _FAMILIES:
            raise ListenError(f"{place} is neither a TCP nor a UNIX socket")
        if passed.type != socket.SOCK_STREAM:
            raise ListenError(f"{place} is not a stream socket; use ListenStream= in its unit")
        if not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ListenError(f"{place} does not listen; use Accept=no in its unit")
    finally:
        passed.detach()


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """The manager's address, and the interval of its watchdog."""

    address: str | None = None
    watchdog_seconds: float | None = None


def find_manager(environment: Mapping[str, str], pid: int) -> ServiceManager:
    """Read NOTIFY_SOCKET and the watchdog's variables.

    Those for another process count as unset, and so do empty ones: a script sets them so.

    Raises SystemFailureError for what does not make sense. Leaves the variables alone: a master
    that replaces itself in place needs them again.
    """
    address = environment.get("NOTIFY_SOCKET") or None
    if address is None:
        return ServiceManager()
    if address[:1] not in ("/", "@") or len(address) == 1:
        raise SystemFailureError(
            f"NOTIFY_SOCKET: {address!r} is neither an absolute path nor an abstract name with @"
        )
    usec = environment.get("WATCHDOG_USEC") or None
    if usec is None or (environment.get("WATCHDOG_PID") or str(pid)) != str(pid):
        return ServiceManager(address)
    if not _is_number(usec) or int(usec) == 0:
        raise SystemFailureError(f"WATCHDOG_USEC: {usec!r} is not a number of microseconds")
    return ServiceManager(address, int(usec) / _USEC_PER_SECOND)


class Notifier:
    """Notifies the manager of each step of the master's life.

    `describe` returns the line of STATUS=. It is asked at each step, and within a second after
    `note_change`; while nothing changes no timer is pending but the watchdog's. `complain` is told
    why messages cannot be delivered, once until one is.
    """

    def __init__(
        self,
        manager: ServiceManager,
        wheel: "Timers",
        describe: Callable[[], str],
        complain: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wheel = wheel
        self._describe = describe
        self._complain = complain
        self._clock = clock
        self._manager = manager
        self._unsent: deque[bytes] = deque()
        self._retry: Timer | None = None
        self._status_timer: Timer | None = None
        self._last_status = ""
        self._is_stopping = False
        self._is_unheard = False
        self._watchdog: Timer | None = None
        self._socket: socket.socket | None = None
        self._place: str | bytes = ""
        if manager.address is not None:
            is_abstract = manager.address.startswith("@")
            self._place = "\0" + manager.address[1:] if is_abstract else manager.address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            if manager.watchdog_seconds is not None:
                self._live()

    def tell_ready(self) -> None:
        """Send READY=1 with our process id, after a start or a reload."""
        self._tell("READY=1", f"MAINPID={os.getpid()}", self._status())

    def tell_reloading(self) -> None:
        """Send RELOADING=1; `tell_ready` follows when the reload is over, successful or not."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // _NSEC_PER_USEC
        self._tell("RELOADING=1", f"MONOTONIC_USEC={usec}", self._status())

    def tell_stopping(self) -> None:
        """Send STOPPING=1, once."""
        if not self._is_stopping:
            self._is_stopping = True
            self._tell("STOPPING=1", self._status())

    def note_change(self) -> None:
        """Send the status soon, if it has changed by then."""
        if self._socket is not None and self._status_timer is None:
            due = self._clock() + _STATUS_SECONDS
            self._status_timer = self._wheel.add(due, self._tell_status)

    def close(self) -> None:
        """Stop sending."""
        for timer in (self._retry, self._status_timer, self._watchdog):
            if timer is not None:
                self._wheel.cancel(timer)
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._flush()  # as many as there is room for now
            self._socket.close()
            self._socket = None

    def _tell_status(self) -> None:
        self._status_timer = None
        before = self._last_status
        if self._unsent:
            self.note_change()
        elif self._status() != before:
            self._tell(self._last_status)

    def _status(self) -> str:
        self._last_status = f"STATUS={self._describe()}" if self._socket is not None else ""
        return self._last_status

    def _live(self) -> None:
        """Send WATCHDOG=1, and again after half of the interval."""
        assert self._manager.watchdog_seconds is not None
        due = self._clock() + self._manager.watchdog_seconds / 2
        self._watchdog = self._wheel.add(due, self._live)
        if not self._unsent:
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if self._socket is not None:
            self._unsent.append("\n".join(lines).encode(errors="replace"))
            if self._retry is None:
                self._send_unsent()

    def _send_unsent(self) -> None:
        self._retry = None
        try:
            self._flush()
        except BlockingIOError:
            self._retry = self._wheel.add(self._clock() + _RETRY_SECONDS, self._send_unsent)
        except OSError as error:
            # There is no receiver and there will be none; the service goes on without its manager.
            self._unsent.clear()
            if not self._is_unheard:
                self._complain(describe_errno(error.errno) if error.errno else str(error))
            self._is_unheard = True
        else:
            self._is_unheard = False

    def _flush(self) -> None:
        assert self._socket is not None
        while self._unsent:
            self._socket.sendto(self._unsent[0], self._place)
            self._unsent.popleft()
