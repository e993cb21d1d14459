"""A master as its control socket has it: what can be asked of it, and what it can be told.

Owns what each question and each order means. Must not know sockets, nor the loop: what the loop has
to do is what a signal has it do, and it is rung for.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

from socketd import __version__
from socketd.control.authority import Later, Order, Seen
from socketd.control.document import FORMAT, Server, Worker, WorkerList, text
from socketd.errors import UsageError
from socketd.master import acts
from socketd.master.controlling import ServerFacts
from socketd.master.endpoints import Endpoints
from socketd.master.history import History
from socketd.master.member import Member
from socketd.master.overview import Overview, workers_of
from socketd.master.signals import RELOAD_SIGNAL, REPLACE_SIGNAL
from socketd.operations import log
from socketd.system import procfs

_PYTHON = ".".join(map(str, sys.version_info[:3]))


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
        self._overview = Overview()
        self._orders: dict[str, Callable[[Order], str | Later]] = {
            "reload": lambda _: self._hand_over(RELOAD_SIGNAL, Later.RELOAD),
            "reexec": lambda _: self._hand_over(REPLACE_SIGNAL, Later.REEXEC),
            "stop": lambda _: self._hand_over(signal.SIGTERM, Later.STOP),
            "drain": self._drain,
            "resume": self._resume,
            "size": self._size,
            "retire": self._retire,
            "renew": self._renew,
            "end": self._end,
            "log_level": self._set_log_level,
        }

    def survey(self) -> Iterator[Seen | Server]:
        """Yield each listener in a step, and the server last."""
        yield from self._overview.of(tuple(self._endpoints.members))
        yield self.server()

    def workers(self, service: str | None, address: str | None, start: int) -> WorkerList:
        """Return some workers of a listener. Raises UsageError if there is no such one."""
        member = self._find(service, address)
        nobody: tuple[list[Worker], int | None] = ([], None)
        some, following = member.ask(lambda it: workers_of(it, start), otherwise=nobody)
        place = text(str(member.listener))
        return WorkerList(FORMAT, member.settings.name, place, some, following)

    def order(self, order: Order) -> str | Later:
        """Carry out an order; return what was done, or that it is not over yet."""
        carry_out = self._orders.get(order.do)
        if carry_out is None:
            raise UsageError(f"'do' is one of {', '.join(self._orders)}, not {order.do!r}")
        outcome = carry_out(order)
        log.emit("ordered", order=order.do, service=order.service)
        return outcome

    def _hand_over(self, number: signal.Signals, outcome: Later) -> Later:
        """Have the loop do what it does at a signal."""
        facts = self._describe()
        if facts.state == "stopping" and outcome is not Later.STOP:
            raise UsageError("the server is stopping")
        if outcome is Later.RELOAD and not facts.can_reload:
            raise UsageError("this server has nothing to read again: it would stop at SIGHUP")
        if outcome is Later.REEXEC and not facts.can_reexec:
            raise UsageError("this server cannot be replaced while it runs; start it again")
        self._ring(number)
        return outcome

    def _drain(self, order: Order) -> str:
        self._each(order, acts.drain, "drained")
        due = [one.departure.due_seconds for one in self._named(order) if one.departure]
        if not due:
            return f"{order.service} drained"
        seconds = max(0.0, max(due) - time.monotonic())
        return f"{order.service} says that it leaves, and is drained in {seconds:.1f} s"

    def _resume(self, order: Order) -> str:
        return self._each(order, acts.resume, "resumed")

    def _renew(self, order: Order) -> str:
        return self._each(order, acts.renew, "renewing")

    def _size(self, order: Order) -> str:
        members = self._named(order)
        sizes = [acts.check_sizes(one, order.minimum, order.maximum) for one in members]
        for member, override in zip(members, sizes, strict=True):
            member.set_for_now(override)
        return f"sizes of {order.service} set until the next reload"

    def _retire(self, order: Order) -> str:
        count = sum(acts.retire(member, order.pid) for member in self._named(order))
        return f"{count} workers of {order.service} asked to leave"

    def _end(self, order: Order) -> str:
        """End one connection, by the process that serves it."""
        pid = order.pid or 0
        known = self._endpoints.attribute(pid)
        slot = None if known is None else known[1].slot
        if known is None or slot is None:
            raise UsageError(f"process {order.pid} is no worker of this server")
        if not known[0].act(lambda endpoint: endpoint.end_connection(slot), otherwise=False):
            raise UsageError(f"process {order.pid} is a worker without a connection")
        return f"the connection of process {pid} told to end"

    def _set_log_level(self, order: Order) -> str:
        try:
            level = log.LogLevel(order.level)
        except ValueError:
            levels = ", ".join(one.value for one in log.LogLevel)
            raise UsageError(f"'level' is one of {levels}, not {order.level!r}") from None
        log.set_level(level)
        return f"log level {level.value}"

    def _each(self, order: Order, act: Callable[[Member], None], done: str) -> str:
        for member in self._named(order):
            act(member)
        return f"{order.service} {done}"

    def _named(self, order: Order) -> list[Member]:
        """Return the listeners of a service, or the one at an address. Raises UsageError."""
        if order.address is not None:
            found = [self._find(order.service, order.address)]
        else:
            found = [one for one in self._members() if one.settings.name == order.service]
        if not found:
            self._find(order.service, None)  # which says what there is
        leaving = [one for one in found if one.is_stopping]
        if leaving:
            raise UsageError(f"service {order.service!r} is stopping")
        return found

    def _members(self) -> list[Member]:
        return [one for one in self._endpoints.services if not one.is_finished]

    def _find(self, service: str | None, address: str | None) -> Member:
        """Return a listener; without an address the only one of its service."""
        members = self._members()
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

    def server(self) -> Server:
        """Return what the master is and does itself."""
        facts = self._describe()
        return Server(
            version=__version__,
            python=_PYTHON,
            pid=os.getpid(),
            file=None if facts.file is None else text(facts.file),
            control=text(facts.control),
            state=facts.state,
            log_level=log.level().value,
            started_at=round(self._history.started_at, 3),
            executed_at=round(self._executed_at, 3),
            answered_at=round(time.time(), 3),
            faults=facts.faults,
            cpu_seconds=round(time.process_time(), 6),
            rss_bytes=procfs.memory(os.getpid()) or 0,
            reloads=self._history.reloads,
            reexecs=self._history.reexecs,
        )
