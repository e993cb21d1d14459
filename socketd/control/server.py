"""The control socket of a master: who may ask, how many at a time, and who is answered what.

Owns the listening socket and its clients. Must not know how a master does what it is asked for, nor
where its socket ought to be.

Nothing here may keep the master from its services. Clients, their lines and the time that each has
are bounded, and so is the time that it takes to put a state together; see surveyor.py.
"""

import errno
import functools
import os
import socket
import time
from collections.abc import Callable

from socketd.control.authority import Authority, Later, Order, Run
from socketd.control.conversation import Conversation, is_allowed
from socketd.control.document import FORMAT, ServerOnly
from socketd.control.passing import ControlState
from socketd.control.place import Place
from socketd.control.requests import (
    QUESTIONS,
    STATE,
    Question,
    done,
    failed,
    line_of,
    read,
)
from socketd.control.surveyor import Surveyor
from socketd.errors import ExitCode, SocketdError, UsageError
from socketd.loop.listeners import Listener, listen, resume
from socketd.loop.sources import Source, Sources
from socketd.loop.wheel import OwnTimers, Timer, Wheel
from socketd.operations import log
from socketd.settings.address import UnixAddress

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
_OWNER_ONLY = 0o600
_BACKLOG = 128
_MOST_CLIENTS = 16
_MOST_AT_ONCE = 8
_REST_SECONDS = 1.0
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
# What a command ends with whose order was not carried out.
_CODES = {Later.RELOAD: ExitCode.CONFIGURATION, Later.REEXEC: ExitCode.SYSTEM}


class ControlServer:
    """The control socket; `wanted` says where it ought to be, None as long as that is not known.

    `file` is the configuration that the server was started with.

    `run` calls what may fail. Nothing raises, where nothing else is said.
    """

    def __init__(self, wanted: Callable[[], Place | None], file: str | None = None) -> None:
        self.file = file
        self.path: str | None = None
        self._wanted = wanted
        self._authority: Authority
        self._sources: Sources
        self._timers: OwnTimers
        self._run: Run
        self._listener: Listener | None = None
        self._source: Source | None = None
        self._clients: list[Conversation] = []
        self._surveyor = Surveyor()
        self._pause_seconds = 0.0
        self._retry: Timer | None = None

    def open(
        self,
        authority: Authority,
        sources: Sources,
        wheel: Wheel,
        run: Run,
        state: ControlState | None = None,
    ) -> None:
        """Begin to listen, or go on where another has stopped. Raises SocketdError."""
        self._authority, self._sources, self._run = authority, sources, run
        self._timers = OwnTimers(wheel, run)
        self._surveyor.begin(authority, self._timers)
        if state is not None:
            self._resume(state)
            return
        place = self._wanted()
        if place is not None and place.is_asked_for and place.path is not None:
            self._listen(place.path)
        else:
            self.settle()

    def settle(self) -> None:
        """Be where the socket ought to be now; stay where it is if that cannot be had.

        That is tried again from time to time: a former server of the same file may be on its way
        out, and has its socket until its last connection is over.
        """
        self._cancel_retry()
        place = self._wanted()
        if place is None:
            return
        path = place.path
        is_lost = self._listener is not None and self._listener.is_lost
        if path == self.path and not is_lost:
            self._pause_seconds = 0.0
            return
        try:
            if path is None:
                self._give_up_listener()
            else:
                self._listen(path)
            self._pause_seconds = 0.0
        except SocketdError as error:
            if not self._pause_seconds:
                log.emit("control_unavailable", path=path, reason=str(error))
            self._pause_seconds = min(
                max(_FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), _LONGEST_PAUSE_SECONDS
            )
            self._retry = self._timers.add(time.monotonic() + self._pause_seconds, self.settle)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._timers.cancel(self._retry)
            self._retry = None

    def tell(self, about: Later, errors: list[str]) -> None:
        """Tell those who wait for an outcome what it is."""
        line = failed(errors, _CODES[about]) if errors else done(about.value)
        self._surveyor.forget()
        for client in [one for one in self._clients if one.waits_for is about]:
            client.waits_for = None
            client.answer(line)

    def state(self) -> ControlState | None:
        """Return what `open` wants to know; those who wait for a re-exec are among it."""
        if self._listener is None or self.path is None:
            return None
        self._surveyor.finish()
        waiting = [one.fileno() for one in self._clients if one.waits_for is Later.REEXEC]
        resting = [one for one in self._clients if one.is_at_rest]
        others = tuple(one.fileno() for one in resting if not one.is_silent)
        silent = tuple(one.fileno() for one in resting if one.is_silent)
        return ControlState(self._listener.state(), self.path, tuple(waiting), others, silent)

    def close(self) -> None:
        """Answer nobody any more, and leave no file behind."""
        self._cancel_retry()
        self._give_up_listener()
        for client in tuple(self._clients):
            client.close()

    def _listen(self, path: str) -> None:
        listener = listen(UnixAddress(path, mode=_OWNER_ONLY), _BACKLOG)
        self._give_up_listener()
        self._take(listener, path)

    def _take(self, listener: Listener, path: str) -> None:
        listener.socket.setblocking(False)
        self._listener, self.path = listener, path
        hear = functools.partial(self._guarded, self._accept)
        self._source = self._sources.add(listener.socket.fileno(), hear)

    def _resume(self, state: ControlState) -> None:
        listener = resume(state.listener, UnixAddress(state.path, mode=_OWNER_ONLY))
        if listener.socket.fileno() >= 0:
            self._take(listener, state.path)
        for fd in (*state.waiting, *state.others, *state.silent):
            os.set_inheritable(fd, False)
            is_known = fd not in state.silent
            client = self._meet(socket.socket(fileno=fd), is_known=is_known)
            if fd in state.waiting:
                client.wait(Later.REEXEC)

    def _give_up_listener(self) -> None:
        if self._source is not None:
            self._source.remove()
            self._source = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.path = None

    def _guarded(self, action: Callable[[], object], _events: int = 0) -> None:
        self._run(action)

    def _accept(self) -> None:
        """Take those who have connected, a few at a time; the longest silent make room for them."""
        for _ in range(_MOST_AT_ONCE):
            if self._listener is None:
                return
            try:
                connection, name = self._listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _SHORT:
                    self._rest()
                    return
                continue  # it has gone already
            if not is_allowed(connection):
                connection.close()
                continue
            self._make_room()
            self._meet(connection, is_known=bool(name))

    def _rest(self) -> None:
        """Accept nobody for a while: the loop would not sleep as long as somebody waits."""
        source = self._source
        if source is not None:
            source.watch(0)
            self._timers.add(time.monotonic() + _REST_SECONDS, self._listen_again)

    def _listen_again(self) -> None:
        if self._source is not None:
            self._source.watch(1)

    def _make_room(self) -> None:
        patient = [one for one in self._clients if one.waits_for is None]
        if len(self._clients) >= _MOST_CLIENTS:
            least = min(patient or self._clients, key=lambda one: one.since_seconds)
            least.close()

    def _meet(self, connection: socket.socket, *, is_known: bool = False) -> Conversation:
        """Have a conversation; who is known is going to ask, however late that comes."""
        client = Conversation(
            connection,
            self._sources,
            self._timers,
            self._run,
            self._hear,
            self._clients.remove,
            is_known=is_known,
        )
        self._clients.append(client)
        return client

    def _hear(self, client: Conversation, line: bytes | None) -> None:
        """Answer a client, or have it wait."""
        try:
            request = STATE if line is None else read(line)
            if isinstance(request, Question):
                self._answer(client, request)
            else:
                self._carry_out(client, request)
        except SocketdError as error:
            client.answer(failed([str(error)], error.exit_code))
        except Exception:
            client.close()
            raise

    def _answer(self, client: Conversation, question: Question) -> None:
        match question.get:
            case "state":
                self._surveyor.tell(client)
            case "server":
                client.answer(line_of(ServerOnly(FORMAT, self._authority.server())))
            case "workers":
                some = self._authority.workers(question.service, question.address, question.start)
                client.answer(line_of(some))
            case _:
                raise UsageError(f"'get' is one of {', '.join(QUESTIONS)}, not {question.get!r}")

    def _carry_out(self, client: Conversation, order: Order) -> None:
        self._surveyor.forget()
        outcome = self._authority.order(order)
        if isinstance(outcome, str):
            client.answer(done(outcome))
            return
        client.wait(outcome)
        if outcome is Later.STOP:
            client.answer(done(outcome.value))
            client.wait(outcome)
