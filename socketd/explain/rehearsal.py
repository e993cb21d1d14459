"""A server that runs for us alone: a process of its own, in a folder of its own.

Owns that process: its start, its events, its end. Must not know why it runs.

It is the real master with the settings of a service, so what it does is what the service would do.
Its log comes through a pipe. It ends with us, however we end; if we are killed, it removes the
folder. A signal that ends us may come at any moment, as an exception: it waits where something has
been made that nobody would undo yet.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NoReturn, Self

from socketd.config.services import ServiceSettings
from socketd.dataclass import replace
from socketd.errors import ExitCode, SocketdError, SystemFailureError
from socketd.explain import orphans
from socketd.explain.sightings import REFUSED, Sightings
from socketd.loop.listeners import listen
from socketd.master.faults import trace
from socketd.master.loop import Master
from socketd.master.signals import STOP_SIGNALS
from socketd.operations import log
from socketd.pool.settings import PoolSettings, Strategy
from socketd.settings.address import UnixAddress
from socketd.workers import kin

_NAME = "socket"
_WORKERS = 2  # one waits while the other is at work
_OWNER_ONLY = 0o600
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_PIECE_BYTES = 65536
_PATIENCE_SECONDS = 1.0  # between SIGTERM and the next, as with a service's operator in a hurry


class Rehearsal:
    """A server in a context: it has ended, and all that it has started, when the context ends."""

    def __init__(self, settings: ServiceSettings, folder: str) -> None:
        """Take a folder that nobody else uses; it is empty again at the end."""
        self.seen = Sightings()
        self.path = os.path.join(folder, _NAME)
        self._settings = replace(
            settings,
            address=UnixAddress(self.path, _OWNER_ONLY),
            pool=PoolSettings(
                _WORKERS,
                _WORKERS,
                Strategy.FIXED,
                drain_seconds=_PATIENCE_SECONDS,
                kill_seconds=_PATIENCE_SECONDS,
            ),
        )
        self._reading = self._pidfd = -1
        self._pid = 0
        self._rest = b""
        self._has_ended = False

    def __enter__(self) -> Self:
        """Start the server. Raises OSError."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            self._start()
            # A signal that has waited is answered here, by an exception perhaps.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        except BaseException:
            self._clean_up()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            raise
        return self

    def _start(self) -> None:
        self._reading, writing = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        try:
            self._pid = os.fork()
            if self._pid == 0:
                _serve(self._settings, writing, parent)
            self._pidfd = os.pidfd_open(self._pid)
        finally:
            os.close(writing)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it, with more haste if it takes long, and end whoever is left."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                if self._has_ended:
                    break
                kin.send(self._pid, number)
                self.watch(lambda: False, time.monotonic() + _PATIENCE_SECONDS)
        finally:
            self._clean_up()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def watch(self, is_enough: Callable[[], bool], until_seconds: float) -> bool:
        """Take events until it is enough; tell whether it is before the time or the server ends."""
        while not is_enough():
            left = until_seconds - time.monotonic()
            if self._has_ended or left <= 0:
                return False
            poll = select.poll()
            poll.register(self._reading, select.POLLIN)
            poll.register(self._pidfd, select.POLLIN)
            ready = dict(poll.poll(left * 1000))
            if ready.get(self._reading, 0) & select.POLLIN:
                self._read()
            elif ready:
                self._note_end()
        return True

    def _note_end(self) -> None:
        """Take note of the end of the server, which by its own is none by a signal."""
        self._has_ended = True
        end = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        if end is not None and end.si_code != os.CLD_EXITED:
            self.seen.reasons.append(f"the server has been ended by signal {end.si_status}")

    def _read(self) -> None:
        *lines, self._rest = (self._rest + os.read(self._reading, _PIECE_BYTES)).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError):  # cut off, since there was no room for all of it
                self.seen.take(json.loads(line))

    def _clean_up(self) -> None:
        orphans.end_all()
        for fd in (self._reading, self._pidfd):
            if fd >= 0:
                os.close(fd)
        self._reading = self._pidfd = -1
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


@contextlib.contextmanager
def private_folder() -> Iterator[str]:
    """Lend a folder for a socket, one rehearsal after another. Raises SystemFailureError."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        folder = tempfile.mkdtemp(prefix="socketd-explain-")
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise SystemFailureError(
            f"cannot create a folder for a socket: {error.strerror}; set TMPDIR to a writable "
            "directory"
        ) from error
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        yield folder
    finally:
        _remove(folder)


def _remove(folder: str) -> None:
    """Remove the folder, and a socket in it if a server has been killed."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(folder, _NAME))
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _serve(settings: ServiceSettings, writing: int, parent: int) -> NoReturn:
    """Be the server, and always end the process."""
    try:
        os.setsid()  # a Ctrl-C is for our parent, which stops us
        _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)
        if os.getppid() == parent:
            _run(settings, writing)
    except SocketdError as error:
        _tell(writing, str(error), error.exit_code)
    except BaseException as error:  # noqa: BLE001  the last resort: the parent says that it is a bug
        _tell(writing, f"{error!r}: {trace(error)}", ExitCode.BUG)
    finally:
        if os.getppid() != parent and isinstance(settings.address, UnixAddress):
            _remove(os.path.dirname(settings.address.path))  # our parent has been killed
        os._exit(0)


def _run(settings: ServiceSettings, writing: int) -> None:
    log.configure(log.LogFormat.JSON, log.LogLevel.DEBUG, "socketd")
    log.speak_to(writing)
    listener = listen(settings.address, socket.SOMAXCONN)
    try:
        Master(lambda: None).run([(settings, listener)])
    finally:
        listener.close()


def _tell(writing: int, reason: str, exit_code: int) -> None:
    line = {"event": REFUSED, "reason": reason, "exit_code": int(exit_code)}
    with contextlib.suppress(OSError):
        os.write(writing, json.dumps(line).encode() + b"\n")
