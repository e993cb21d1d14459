"""`socketd` in which any public method of a service's can be made to fail; run as a script.

With SOCKETD_TEST_SERVICE=socket it is `socket`, and the service its only one. What is called for
that service, else for the one named `broken`, looks for the file that SOCKETD_TEST_FAULT names.
It holds `CLASS.METHOD N EXCEPTION`: the N-th call of that method from then on raises. With
SOCKETD_TEST_CALLS, a file, the methods that are called for the service are written there; whoever
takes it away has them written anew.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from socketd.loop.doorbell import Doorbell
from socketd.loop.listeners import Listener
from socketd.master.endpoint import Endpoint
from socketd.master.guarded import GuardedEndpoint
from socketd.operations.title import Title
from socketd.pool.policy import Pool
from socketd.pool.template_life import TemplateLife
from socketd.pool.timelimit import TimeLimit
from socketd.workers.board import Board
from socketd.workers.holding import Hold
from socketd.workers.launch import Template
from socketd.workers.processes import Processes
from socketd.workers.python_worker import PythonSpawner
from socketd.workers.templates import NativeSpawner

SERVICE_VARIABLE = "SOCKETD_TEST_SERVICE"
SERVICE = os.environ.get(SERVICE_VARIABLE, "broken")
CLASSES = (
    Endpoint, Processes, NativeSpawner, PythonSpawner, Board, Listener, Pool, TimeLimit,
    TemplateLife, Hold, Template
)  # fmt: skip
# Of the master itself, whoever it is for; also what no name of its own can be called by.
MASTERS = {Doorbell: ("take",), Title: ("_renew",)}
KINDS = {"RuntimeError": RuntimeError, "MemoryError": MemoryError, "OSError": OSError}
FAULT_VARIABLE = "SOCKETD_TEST_FAULT"
CALLS_VARIABLE = "SOCKETD_TEST_CALLS"


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(kind).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            yield name, member


class Injector:
    """Raises what it is told to, in the process that it was made in and for one service alone."""

    def __init__(self, path: str | None, calls: str | None) -> None:
        self._path = path
        self._calls = calls
        self._called: set[str] = set()
        self._pid = os.getpid()
        self._owners: list[bool] = []
        self._boards: set[int] = set()
        self._order = ""
        self._left = 0

    def install(self) -> None:
        """Put a check before each method."""
        for kind in CLASSES:
            for name, member in _members(kind):
                full = f"{kind.__name__}.{name}"
                if isinstance(member, property):
                    assert member.fget is not None
                    setattr(kind, name, property(self._wrap(full, member.fget)))
                else:
                    setattr(kind, name, self._wrap(full, member))
        for master, names in MASTERS.items():
            for name in names:
                setattr(master, name, self._wrap(f"{master.__name__}.{name}", vars(master)[name]))
        found = Processes.__init__

        @functools.wraps(found)
        def note(processes: Processes, service: str, *arguments: Any) -> None:  # noqa: ANN401  whatever it takes
            with self._on_behalf(is_ours=service == SERVICE):
                found(processes, service, *arguments)
            if service == SERVICE:
                self._boards.add(id(processes.board))

        Processes.__init__ = note  # type: ignore[method-assign, assignment]  # the purpose

        run = GuardedEndpoint._run  # noqa: SLF001  where timers come in

        @functools.wraps(run)
        def run_for(endpoint: GuardedEndpoint, action: Callable[[], None]) -> None:
            with self._on_behalf(is_ours=endpoint.settings.name == SERVICE):
                run(endpoint, action)

        GuardedEndpoint._run = run_for  # type: ignore[method-assign, assignment]  # noqa: SLF001  the same

    def _wrap(self, full: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def check(one: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  any method
            if os.getpid() != self._pid:
                return method(one, *arguments, **options)
            is_ours = self._is_ours(one)
            if is_ours:
                if not isinstance(one, tuple(MASTERS)):
                    self._note(full)
                self._fail_if_wanted(full)
            with self._on_behalf(is_ours=is_ours):
                return method(one, *arguments, **options)

        return check

    @contextlib.contextmanager
    def _on_behalf(self, *, is_ours: bool) -> Iterator[None]:
        self._owners.append(is_ours)
        try:
            yield
        finally:
            self._owners.pop()

    def _is_ours(self, one: object) -> bool:
        if isinstance(one, tuple(MASTERS)):
            return True
        if isinstance(one, Endpoint):
            return one.settings.name == SERVICE
        if isinstance(one, Processes):
            return one.service == SERVICE
        if isinstance(one, NativeSpawner):
            return one._service == SERVICE  # noqa: SLF001  nobody else knows
        if isinstance(one, Listener):
            return SERVICE in one.host
        if isinstance(one, Board) and id(one) in self._boards:
            return True
        return bool(self._owners) and self._owners[-1]

    def _note(self, full: str) -> None:
        if self._calls is None:
            return
        if not os.path.exists(self._calls):
            self._called.clear()
        if full not in self._called:
            self._called.add(full)
            with open(self._calls, "a") as file:
                file.write(f"{full}\n")

    def _fail_if_wanted(self, full: str) -> None:
        if self._path is None:
            return
        with contextlib.suppress(FileNotFoundError), open(self._path) as file:
            order = file.read()
            # Whoever writes it may not have got further than to make the file.
            name, count, kind = order.split() or ("", "0", "")
            if name != full:
                return
            self._left = self._left if order == self._order else int(count)
            self._order = order
            self._left -= 1
            if self._left == 0:
                self._order = ""
                os.unlink(self._path)
                raise KINDS[kind](f"injected into {full}")


if __name__ == "__main__":
    Injector(os.environ.get(FAULT_VARIABLE), os.environ.get(CALLS_VARIABLE)).install()
    if SERVICE == "socket":
        from socketd.cli.entry import main
    else:
        from socketd.cli.socketd import main
    sys.argv[0] = "socketd"
    main()
