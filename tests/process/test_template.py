"""The native template dies, hangs or cannot be started: its workers and the service go on."""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.processes import Offspring, children_of
from harness.servers import Line, Server
from harness.waiting import wait_for
from socketd.config.services import ServiceSettings
from socketd.errors import SystemFailureError
from socketd.loop.doorbell import Doorbell
from socketd.loop.reaper import DeadChild, reap
from socketd.loop.wheel import Wheel
from socketd.pool.settings import PoolSettings
from socketd.programs.command import Program
from socketd.settings.address import InheritedAddress
from socketd.system.products import ZYGOTE, is_built
from socketd.workers.board import Board
from socketd.workers.children import Children
from socketd.workers.contract import RETIRE_SIGNAL, RING_SIGNAL
from socketd.workers.layout import SlotState, Step
from socketd.workers.ledger import Ledger
from socketd.workers.spawner import WorkerPlan
from socketd.workers.templates import NativeSpawner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_built(), reason="the native worker was not built: no C compiler"),
]

CAPACITY = 8
TEMPLATE_NAME = "socketd-zygote"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers with native workers, and debug lines in the log."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Server:
            common = ["--worker", "native", "--ready", "fork", "--log-level", "debug"]
            common += ["-B", "127.0.0.1", "-s", "0"]
            server = Server([*common, *arguments], is_quiet=False)
            stack.callback(server.close)
            return server

        yield start


def templates(parent: int) -> list[int]:
    """Return the templates that a process has; one that has ended counts until it is collected."""
    return [one.pid for one in children_of(parent) if one.name == TEMPLATE_NAME]


def wait_template(server: Server, *, beside: int = 0) -> int:
    """Wait for a template other than the given one to be started; return its pid."""
    return int(server.wait_event("template_started", lambda line: line["pid"] != beside)["pid"])


def failures(server: Server) -> list[tuple[str, int]]:
    """Return reason and step of each warning that the template has failed."""
    return [(line["reason"], line["step"]) for line in server.events("template_failed")]


def wait_next(server: Server, event: str, known: int) -> Line:
    """Wait for one line of an event more than are known; return it."""
    wait_for(lambda: len(server.events(event)) > known, f"{event} once more")
    return server.events(event)[known]


def cause_outage(server: Server) -> None:
    """Kill one template after another until the next is more than a second away."""
    while True:
        started, failed = server.events("template_started"), server.events("template_failed")
        os.kill(int(started[-1]["pid"]), signal.SIGKILL)
        if wait_next(server, "template_failed", len(failed))["delay_s"] > 1.0:
            return
        wait_next(server, "template_started", len(started))


def test_idle_workers_show_their_service(serve: Callable[..., Server]) -> None:
    """What ps shows of the template and of idle workers is the name, and nothing else."""
    server = serve("-p", "cat", "-W", "2")
    server.wait_settled(idle=2)

    for pid in [*templates(server.pid), *server.workers()]:
        assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"socketd: socket\0"


def test_killed_template_is_replaced(serve: Callable[..., Server]) -> None:
    """Workers are unharmed, also busy ones; a new template makes the next ones."""
    server = serve("-p", "cat", "-W", "3")
    place = server.place
    server.wait_settled(idle=3)
    first = wait_template(server)
    before = set(server.workers())
    with connect(place) as busy:
        server.wait_event("connection_accepted")
        wait_for(lambda: server.board.idle == 3, "three idle beside the busy one")

        os.kill(first, signal.SIGKILL)
        second = wait_template(server, beside=first)

        assert before <= set(server.workers())
        assert failures(server) == [("ended with status -9", 1)]
        busy.sendall(b"unharmed")
        busy.shutdown(socket.SHUT_WR)
        assert read_all(busy) == b"unharmed"
    for _ in range(10):
        assert exchange(place, b"x") == b"x"
    server.wait_settled(idle=3)
    assert templates(server.pid) == [second]
    assert server.stop() == 0
    assert failures(server) == [("ended with status -9", 1)]


def test_connections_during_the_outage_are_served_by_those_who_wait(
    serve: Callable[..., Server],
) -> None:
    """Existing workers need no template; what was asked for meanwhile is made up for."""
    server = serve("-p", "cat", "-W", "4")
    place = server.place
    server.wait_settled(idle=4)
    cause_outage(server)
    started = len(server.events("template_started"))

    replies = [exchange(place, b"%d" % number) for number in range(4)]

    assert replies == [b"0", b"1", b"2", b"3"]
    assert len(server.events("template_started")) == started
    assert exchange(place, b"after the outage") == b"after the outage"
    server.wait_settled(idle=4)
    assert len(server.events("template_started")) == started + 1
    assert server.events("worker_failed") == []


def test_stopped_template_is_noticed_and_replaced(serve: Callable[..., Server]) -> None:
    """A template that somebody has stopped would make nobody for ever, so it is ended."""
    server = serve("-p", "cat", "-W", "2")
    place = server.place
    server.wait_settled(idle=2)
    old = wait_template(server)

    os.kill(old, signal.SIGSTOP)
    new = wait_template(server, beside=old)

    for _ in range(5):
        assert exchange(place, b"x") == b"x"
    server.wait_settled(idle=2)
    assert templates(server.pid) == [new]
    assert failures(server) == [("ended with status -9", 1)]


def test_template_that_keeps_dying_is_started_ever_more_slowly(
    serve: Callable[..., Server],
) -> None:
    """Each death in a row doubles the wait, and the service is still there afterwards."""
    server = serve("-p", "cat", "-W", "2")
    server.wait_settled(idle=2)

    cause_outage(server)

    for line in server.events("template_failed"):
        usual = 0.1 * 2 ** (line["step"] - 1)
        assert 0.74 * usual <= line["delay_s"] <= 1.26 * usual
    assert exchange(server.place, b"still here") == b"still here"
    server.wait_settled(idle=2)


def test_stop_during_the_outage_is_clean(serve: Callable[..., Server]) -> None:
    """Without a template a stop finishes as ever, with 0 and nobody left."""
    server = serve("-p", "cat", "-W", "2")
    place = server.place
    server.wait_settled(idle=2)
    cause_outage(server)
    started = len(server.events("template_started"))
    with connect(place) as connection:
        server.wait_event("connection_accepted")
        server.signal(signal.SIGTERM)
        server.wait_event("stopping")
        connection.sendall(b"to the end")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"to the end"

    assert server.wait() == 0
    assert server.events("stopped")[0]["connections"] == 1
    assert len(server.events("template_started")) == started


class Master:
    """The parts of a master around a spawner whose executable can be taken away."""

    def __init__(self, folder: Path, doorbell_fd: int) -> None:
        self.offspring = Offspring()
        self.executable = folder / TEMPLATE_NAME  # the kernel names the process for it
        self.board = Board(CAPACITY)
        self.now = time.monotonic()
        self.clock_readings: list[float] = []
        self.wheel = Wheel(self.now)
        self.listener = socket.create_server(("127.0.0.1", 0))
        shutil.copy(ZYGOTE, self.executable)
        plan = WorkerPlan(
            ServiceSettings(
                "test",
                InheritedAddress(""),
                Program("/bin/cat", ("cat",)),
                {"PATH": os.defpath},
                PoolSettings(1, 1),
            ),
            self.listener,
            doorbell_fd,
            os.getpid(),
            generation=1,
        )
        self.ledger = Ledger(self.board, Children().add_family())
        self.spawner = NativeSpawner(
            plan,
            self.ledger,
            "test",
            self.wheel,
            self.read_clock,
            str(self.executable),
        )
        self.plan = plan

    def read_clock(self) -> float:
        """Return our own time, and keep in mind that somebody has asked."""
        self.clock_readings.append(self.now)
        return self.now

    def take_away(self) -> None:
        """Have the executable refuse: no template can be started."""
        self.executable.chmod(0)

    def give_back(self) -> None:
        """Have the executable run again."""
        self.executable.chmod(0o755)

    def ask(self, *numbers: int) -> None:
        """Ask for workers."""
        for number in numbers:
            self.ledger.claim(number, generation=1)
        self.spawner.spawn(numbers)

    def wait_idle(self, *numbers: int) -> None:
        """Wait until exactly these workers wait for connections."""
        wait_for(lambda: self.board.find(SlotState.IDLE) == list(numbers), f"{numbers} are idle")

    def kill_template(self) -> None:
        """Kill the template, and tell the spawner."""
        [pid] = templates(os.getpid())
        os.kill(pid, signal.SIGKILL)
        self.wait_collected()

    def wait_collected(self) -> None:
        """Collect children until the spawner has no process of its own."""

        def is_gone() -> bool:
            for child in reap():
                assert isinstance(child, DeadChild)
                self.spawner.on_exit(child)
            return self.spawner.is_gone

        wait_for(is_gone, "the template is collected")

    def pass_time(self, seconds: float) -> None:
        """Let time pass on our own clock, and fire what is due."""
        self.now += seconds
        self.wheel.advance(self.now)

    def end(self) -> None:
        """Let every process end, and collect it."""
        self.listener.close()
        self.spawner.close()
        for number in range(CAPACITY):
            pid = self.board.pid(number)
            if pid:
                os.kill(pid, RETIRE_SIGNAL)
        wait_for(lambda: [*reap()] == [] and self.offspring.left() == [], "nobody is left")
        self.board.close()


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    """Lend a spawner with its first template."""
    with Doorbell((RING_SIGNAL, signal.SIGCHLD)) as doorbell:
        master = Master(tmp_path, doorbell.write_fd)
        yield master
        master.end()


def test_numbers_of_the_outage_are_born_by_the_successor(master: Master) -> None:
    """As long as there is no template nobody is born, then everybody who was asked for is."""
    master.ask(0, 1)
    master.wait_idle(0, 1)
    first = [master.board.pid(number) for number in (0, 1)]
    master.take_away()
    master.kill_template()
    master.ask(2, 3)

    for _ in range(4):
        master.pass_time(60.0)
    assert templates(os.getpid()) == []
    assert master.board.find(SlotState.STARTING) == [2, 3]
    assert master.wheel.next_due() is not None
    master.ask(4)

    master.give_back()
    master.pass_time(60.0)
    master.wait_idle(0, 1, 2, 3, 4)

    assert [master.board.pid(number) for number in (0, 1)] == first
    assert len(templates(os.getpid())) == 1
    assert master.wheel.next_due() is None
    place = master.listener.getsockname()
    assert exchange(place, b"served") == b"served"


def test_failing_starts_back_off(master: Master) -> None:
    """From a tenth of a second the wait doubles up to ten, a quarter more or less."""
    master.take_away()
    master.kill_template()

    attempts = [master.now]
    while len(attempts) < 11:
        master.clock_readings.clear()
        due = master.wheel.next_due()
        assert due is not None
        master.pass_time(due - master.now)
        attempts += master.clock_readings[:1]

    for step, (earlier, later) in enumerate(itertools.pairwise(attempts)):
        usual = min(10.0, 0.1 * 2**step)
        assert 0.74 * usual <= later - earlier <= 1.26 * usual


def test_stop_during_the_outage_gives_up_the_unborn(master: Master) -> None:
    """Who was asked for and cannot be born any more is stillborn, and no start is pending."""
    master.ask(0)
    master.wait_idle(0)
    master.take_away()
    master.kill_template()
    master.ask(1, 2)

    master.spawner.close()

    assert master.board.find(SlotState.STILLBORN) == [1, 2]
    assert master.board.record(1).step is Step.FORK
    assert master.wheel.next_due() is None
    assert master.spawner.is_gone
    assert master.board.find(SlotState.IDLE) == [0]


def test_stop_lets_the_template_finish_what_it_was_given(master: Master) -> None:
    """Closing is the end of the pipe: numbers that are in it are born first."""
    master.ask(*range(CAPACITY))

    master.spawner.close()
    master.wait_collected()

    master.wait_idle(*range(CAPACITY))


def test_first_template_that_cannot_be_started_is_an_error(master: Master) -> None:
    """A service that cannot come up says so, and leaves no descriptor behind."""
    master.take_away()
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(SystemFailureError, match=r"cannot start '.*zygote': Permission denied"):
        NativeSpawner(
            master.plan,
            master.ledger,
            "test",
            master.wheel,
            executable=str(master.executable),
        )

    assert len(os.listdir("/proc/self/fd")) == before


def test_strangers_are_not_the_template(master: Master) -> None:
    """A child that is not the template is left to others, dead or stopped."""
    [pid] = templates(os.getpid())

    assert not master.spawner.on_exit(DeadChild(pid + 1, 0, 0.0, 0))
    master.spawner.on_stopped(pid + 1)

    master.ask(0)
    master.wait_idle(0)
