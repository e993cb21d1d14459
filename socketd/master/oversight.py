"""A master as its control socket has it: what can be asked of it, and what it can be told.

Owns what each question and each order means. Must not know sockets, nor the loop: what the loop has
to do is what a signal has it do, and it is rung for.
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable

from socketd import __version__
from socketd.control.authority import Later, Order
from socketd.control.document import FORMAT, Server, State, Worker, WorkerList
from socketd.dataclass import dataclass
from socketd.errors import UsageError
from socketd.master.endpoints import Endpoints
from socketd.master.history import History
from socketd.master.member import Member
from socketd.master.overview import services_of, text, workers_of
from socketd.operations import log
from socketd.system import procfs


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What only the loop knows of a server."""

    state: str
    file: str | None
    control: str
    faults: int


class Oversight:
    """Answers questions about all services, and carries out orders."""

    def __init__(
        self,
        endpoints: Endpoints,
        history: History,
        describe: Callable[[], ServerFacts],
        ring: Callable[[signal.Signals], None],
    ) -> None:
        self._endpoints = endpoints
        self._history = history
        self._describe = describe
        self._ring = ring
        self._executed_at = time.time()

    def state(self) -> State:
        """Return the state, without a wait for anything."""
        return State(FORMAT, self._server(), services_of(self._endpoints.members))

    def workers(self, service: str | None, address: str | None, start: int) -> WorkerList:
        """Return some workers of a listener. Raises UsageError if there is no such one."""
        member = self._find(service, address)
        nobody: tuple[list[Worker], int | None] = ([], None)
        some, following = member.ask(lambda it: workers_of(it, start), otherwise=nobody)
        place = text(str(member.listener))
        return WorkerList(FORMAT, member.settings.name, place, some, following)

    def order(self, order: Order) -> str | Later:
        """Carry out an order; return what was done, or that it is not over yet."""
        raise UsageError(f"'do' cannot be {order.do!r}")

    def _find(self, service: str | None, address: str | None) -> Member:
        """Return a listener; without an address the only one of its service."""
        members = [one for one in self._endpoints.services if not one.is_finished]
        named = [one for one in members if one.settings.name == service]
        if not named:
            names = ", ".join(dict.fromkeys(one.settings.name for one in members)) or "none at all"
            raise UsageError(f"there is no service {service!r}; there are: {names}")
        found = [one for one in named if address is None or text(str(one.listener)) == address]
        if len(found) == 1:
            return found[0]
        places = ", ".join(text(str(one.listener)) for one in named)
        what = f"several listeners, so 'address' is needed; there are: {places}"
        if address is not None:
            what = f"no listener {address!r}; there are: {places}"
        raise UsageError(f"service {service!r} has {what}")

    def _server(self) -> Server:
        facts = self._describe()
        used = resource.getrusage(resource.RUSAGE_SELF)
        usage = procfs.usage(os.getpid())
        return Server(
            version=__version__,
            python=".".join(map(str, sys.version_info[:3])),
            pid=os.getpid(),
            file=None if facts.file is None else text(facts.file),
            control=text(facts.control),
            state=facts.state,
            log_level=log.level().value,
            started_at=round(self._history.started_at, 3),
            executed_at=round(self._executed_at, 3),
            answered_at=round(time.time(), 3),
            faults=facts.faults,
            cpu_seconds=round(used.ru_utime + used.ru_stime, 6),
            rss_bytes=0 if usage is None else usage[1],
            reloads=self._history.reloads,
            reexecs=self._history.reexecs,
        )
