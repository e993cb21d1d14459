"""Workers of both kinds with privileges, made by the spawners themselves."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from harness.clients import TIMEOUT_SECONDS, read_all
from harness.processes import Offspring
from harness.reach import skip_if_out_of_reach
from harness.waiting import wait_for
from socketd.config.services import ServiceSettings
from socketd.loop.doorbell import Doorbell
from socketd.loop.reaper import reap
from socketd.loop.wheel import Wheel
from socketd.pool.settings import PoolSettings
from socketd.programs.command import Program
from socketd.settings.address import InheritedAddress
from socketd.settings.confinement import Confinement
from socketd.settings.readiness import AT_FORK, Readiness, ReadyLevel
from socketd.system.products import is_built
from socketd.workers.board import Board
from socketd.workers.children import Children
from socketd.workers.contract import RETIRE_SIGNAL, RING_SIGNAL
from socketd.workers.layout import SlotState
from socketd.workers.ledger import Ledger
from socketd.workers.python_worker import PythonSpawner
from socketd.workers.spawner import Spawner, WorkerPlan
from socketd.workers.templates import NativeSpawner

CAPACITY = 4
LEVELS = ("load", "read")


class Workers:
    """What a master has around the workers of one service; the test's process is their parent."""

    def __init__(
        self, kind: str, confinement: Confinement, script: str, doorbell: Doorbell
    ) -> None:
        self.offspring = Offspring()
        self.doorbell = doorbell
        self.board = Board(CAPACITY)
        self.wheel = Wheel(time.monotonic())
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.spawner: Spawner | None = None
        readiness = Readiness(ReadyLevel(kind), is_strict=True) if kind in LEVELS else AT_FORK
        plan = WorkerPlan(
            ServiceSettings(
                "test",
                InheritedAddress(""),
                Program("/bin/sh", ("sh", "-c", script)),
                {"PATH": os.defpath},
                PoolSettings(1, 1),
                confinement=confinement,
                readiness=readiness,
            ),
            self.listener,
            doorbell.write_fd,
            os.getpid(),
            generation=1,
        )
        try:
            self.ledger = Ledger(self.board, Children().add_family())
            if kind == "python":
                self.spawner = PythonSpawner(plan, self.ledger)
            else:
                self.spawner = NativeSpawner(plan, self.ledger, "test", self.wheel)
        except BaseException:
            self.end()
            raise

    def start(self, *numbers: int) -> None:
        """Start workers and wait until they wait for connections."""
        assert self.spawner is not None
        for number in numbers:
            self.ledger.claim(number, 1)
        spawner = self.spawner
        spawner.spawn(numbers)

        def are_idle() -> bool:
            for child in reap():  # a loader that was asked has answered
                spawner.on_exit(child)  # type: ignore[arg-type]  # nobody is stopped here
            self.wheel.advance(time.monotonic())  # looks how far a program is that is to be held
            return self.board.find(SlotState.IDLE) == list(numbers)

        wait_for(are_idle, f"{numbers} are idle")

    def ask(self, payload: str = "") -> str:
        """Connect, send a payload to its end; return all that the program prints."""
        with socket.create_connection(self.listener.getsockname(), TIMEOUT_SECONDS) as client:
            client.sendall(payload.encode())
            client.shutdown(socket.SHUT_WR)
            return read_all(client).decode()

    def end(self) -> None:
        """End every process, and collect it."""
        self.listener.close()
        if self.spawner is not None:
            self.spawner.close()
        for number in range(CAPACITY):
            if self.board.pid(number):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.board.pid(number), RETIRE_SIGNAL)

        def is_over() -> bool:
            for child in reap():
                if self.spawner is not None:
                    self.spawner.on_exit(child)  # type: ignore[arg-type]  # nobody is stopped here
            return self.offspring.left() == []

        wait_for(is_over, "all workers are gone")
        self.board.close()


StartWorkers = Callable[..., Workers]


@pytest.fixture(params=["native", "python", "load"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of worker in turn, and a level: the contract is one."""
    if request.param != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    if request.param in LEVELS:
        skip_if_out_of_reach()
    return str(request.param)


@pytest.fixture
def workers(kind: str) -> Iterator[StartWorkers]:
    """Make workers that are ended when the test is."""
    with (
        contextlib.ExitStack() as stack,
        Doorbell((RING_SIGNAL, signal.SIGCHLD)) as doorbell,
    ):

        def start(confinement: Confinement, script: str, count: int = 1) -> Workers:
            made = Workers(kind, confinement, script, doorbell)
            stack.callback(made.end)
            made.start(*range(count))
            return made

        yield start
