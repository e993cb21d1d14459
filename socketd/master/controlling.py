"""The control socket of a master, if it has one, and the past that is told there.

Owns what the loop says to it: that it begins, what came of a reload or a re-exec, that it is over.
Must not know what is asked or told on it.
"""

import signal
from collections.abc import Callable

from socketd.control.authority import ControlSocket, Later, Run
from socketd.control.passing import ControlState
from socketd.dataclass import dataclass
from socketd.loop.sources import Sources
from socketd.loop.wheel import Wheel
from socketd.master.endpoints import Endpoints
from socketd.master.history import History
from socketd.master.reexec import Snapshot
from socketd.operations import log


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What only the loop knows of a server."""

    state: str
    file: str | None
    control: str
    faults: int
    can_reload: bool = True
    can_reexec: bool = True


class Controlling:
    """What the loop knows of a control socket; without one only the past is kept.

    `describe` says how far the server has got, and how many faults it has survived. `run` calls
    what may fail: no service depends on it. `abilities` are whether it can reload, and re-exec.
    """

    def __init__(
        self,
        server: ControlSocket | None,
        describe: Callable[[], tuple[str, int]],
        run: Run,
        abilities: tuple[bool, bool] = (True, True),
    ) -> None:
        self.history = History()
        self._server = server
        self._describe = describe
        self._run = run
        self._abilities = abilities

    def open(
        self,
        endpoints: Endpoints,
        sources: Sources,
        wheel: Wheel,
        ring: Callable[[signal.Signals], None],
        snapshot: Snapshot | None,
    ) -> None:
        """Begin, or go on where a predecessor has stopped. Raises SocketdError."""
        if snapshot is not None:
            self.history = snapshot.history
            log.set_level(snapshot.log_level)
        if self._server is not None:
            from socketd.master.oversight import (
                Oversight,
            )  # which most servers of socket never need

            view = Oversight(endpoints, self.history, self._facts, ring)
            state = None if snapshot is None else snapshot.control
            self._server.open(view, sources, wheel, self._run, state)

    def note_reload(self, errors: list[str]) -> None:
        """Note what came of a reload; the socket may have to be elsewhere after it."""
        self.history.note_reload(errors)
        self._tell(Later.RELOAD, errors)

    def note_reexec(self, reason: str | None = None) -> None:
        """Note that a re-exec was done, or why it was not."""
        errors = [] if reason is None else [reason]
        self.history.note_reexec(errors)
        self._tell(Later.REEXEC, errors)

    def state(self) -> ControlState | None:
        """Return what `open` wants to know, of a snapshot."""
        return None if self._server is None else self._server.state()

    def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._run(self._server.close)

    def _tell(self, about: Later, errors: list[str]) -> None:
        server = self._server
        if server is not None:
            self._run(server.settle)
            self._run(lambda: server.tell(about, errors))

    def _facts(self) -> ServerFacts:
        assert self._server is not None  # it has asked
        state, faults = self._describe()
        path = self._server.path or ""
        return ServerFacts(state, self._server.file, path, faults, *self._abilities)
