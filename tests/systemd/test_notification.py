"""What the service manager hears, in order, at a real datagram socket."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clients import connect, exchange
from harness.managers import NotifySocket
from harness.servers import Server, run_socket
from socketd.errors import SystemFailureError
from socketd.loop.wheel import Wheel
from socketd.operations.systemd import Notifier, ServiceManager, find_manager

_WATCHDOG_USEC = 400_000


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NotifySocket]:
    """Lend a manager's socket of each kind."""
    address = f"{tmp_path}/notify" if request.param == "path" else f"@socketd-test-{os.getpid()}"
    with NotifySocket(address) as socket_of_manager:
        yield socket_of_manager


class Desk:
    """A notifier with a clock that the test moves, and what it has complained of."""

    def __init__(self, manager: ServiceManager) -> None:
        self.now = 100.0
        self.status = "fine"
        self.complaints: list[str] = []
        self.wheel = Wheel(self.now)
        self.notifier = Notifier(
            manager, self.wheel, lambda: self.status, self.complaints.append, lambda: self.now
        )

    def pass_time(self, seconds: float) -> None:
        """Let time go by, in steps as a loop would take them."""
        end = self.now + seconds
        while (due := self.wheel.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.wheel.advance(self.now)
        self.now = end
        self.wheel.advance(end)


@pytest.fixture
def desk(manager: NotifySocket) -> Iterator[Desk]:
    """Lend a notifier without a watchdog."""
    desk = Desk(ServiceManager(manager.address))
    yield desk
    desk.notifier.close()


def test_each_step_is_told_with_the_status(manager: NotifySocket, desk: Desk) -> None:
    """READY names the main process, RELOADING the time of the monotonic clock, STOPPING is once."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    desk.notifier.tell_ready()
    desk.notifier.tell_reloading()
    desk.notifier.tell_ready()
    desk.notifier.tell_stopping()
    desk.notifier.tell_stopping()
    desk.notifier.close()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    ready = {"READY": "1", "MAINPID": str(os.getpid()), "STATUS": "fine"}
    assert manager.receive() == ready
    reloading = manager.receive()
    assert before <= int(reloading.pop("MONOTONIC_USEC")) <= after
    assert reloading == {"RELOADING": "1", "STATUS": "fine"}
    assert manager.receive() == ready
    assert manager.receive() == {"STOPPING": "1", "STATUS": "fine"}
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.receive()


def test_a_status_is_told_once_a_second_and_only_if_it_is_new(
    manager: NotifySocket, desk: Desk
) -> None:
    """A thousand changes are one message; while nothing changes no timer is pending."""
    desk.notifier.tell_ready()
    for number in range(1000):
        desk.status = str(number)
        desk.notifier.note_change()
    desk.pass_time(1.5)
    desk.notifier.note_change()
    desk.pass_time(1.5)
    desk.notifier.tell_stopping()

    heard = [manager.receive() for _ in range(3)]

    assert [message["STATUS"] for message in heard] == ["fine", "999", "999"]
    assert "STOPPING" in heard[2]
    assert desk.wheel.next_due() is None


def test_the_watchdog_hears_of_us_at_half_its_time(manager: NotifySocket) -> None:
    """Every 0.1 s for a watchdog of 0.2 s, from the start to the end and not beyond."""
    desk = Desk(ServiceManager(manager.address, watchdog_seconds=0.2))
    desk.pass_time(0.95)
    desk.notifier.close()
    desk.pass_time(10)
    desk.notifier.tell_stopping()

    assert [manager.receive() for _ in range(10)] == [{"WATCHDOG": "1"}] * 10
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.receive()


def test_a_full_manager_is_not_waited_for_and_hears_all_later(
    manager: NotifySocket, desk: Desk
) -> None:
    """Nothing blocks, nothing is lost and the order stays; a status is not queued again."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as noisy:
        noisy.setblocking(False)
        noisy.connect(manager.socket.getsockname())
        filling = 0
        with contextlib.suppress(BlockingIOError):
            while noisy.send(b"X=1"):
                filling += 1
    desk.notifier.tell_ready()
    desk.notifier.note_change()
    desk.pass_time(5)
    desk.notifier.tell_reloading()
    for _ in range(filling):
        manager.receive()
    desk.pass_time(0.2)

    assert "READY" in manager.receive()
    assert "RELOADING" in manager.receive()
    assert desk.complaints == []


def test_a_manager_that_is_gone_is_complained_of_and_harms_nobody(
    manager: NotifySocket, desk: Desk
) -> None:
    """The message is lost, the service goes on, and a long silence is one complaint."""
    manager.socket.close()
    if manager.address.startswith("/"):
        os.unlink(manager.address)

    desk.notifier.tell_ready()
    desk.notifier.tell_reloading()

    assert desk.complaints in (["No such file or directory"], ["Connection refused"])
    assert desk.wheel.next_due() is None


def test_without_a_manager_nothing_is_said_or_timed() -> None:
    """No socket and no timer."""
    desk = Desk(ServiceManager())
    desk.notifier.tell_ready()
    desk.notifier.note_change()
    desk.notifier.tell_reloading()
    desk.notifier.tell_stopping()
    desk.notifier.close()

    assert desk.wheel.next_due() is None
    assert desk.complaints == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ServiceManager()),
        ({"WATCHDOG_USEC": "5"}, ServiceManager()),
        ({"NOTIFY_SOCKET": "@x"}, ServiceManager("@x")),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1500000"}, ServiceManager("/x", 1.5)),
        (
            {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "7"},
            ServiceManager("/x", 1.5),
        ),
        (
            {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "8"},
            ServiceManager("/x"),
        ),
    ],
)
def test_the_manager_is_found_in_the_environment(
    variables: dict[str, str], expected: ServiceManager
) -> None:
    """A watchdog for another process is none of ours."""
    assert find_manager(variables, 7) == expected


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"NOTIFY_SOCKET": "@"}, "NOTIFY_SOCKET: '@' is neither an absolute path nor"),
        ({"NOTIFY_SOCKET": "run/notify"}, "NOTIFY_SOCKET: 'run/notify' is neither"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, "WATCHDOG_USEC: '0' is not a number of"),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, "WATCHDOG_USEC: 'soon' is not a"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(variables: dict[str, str], reason: str) -> None:
    """The error says which variable and what it holds."""
    with pytest.raises(SystemFailureError) as caught:
        find_manager(variables, 7)

    assert str(caught.value).startswith(reason)


@pytest.mark.slow
def test_a_mistake_of_the_manager_refuses_the_start() -> None:
    """One line and exit code 71."""
    outcome = run_socket("-p", "cat", "-s", "-B", "127.0.0.1", "0", NOTIFY_SOCKET="notify")

    assert outcome.status == 71
    assert outcome.stderr.startswith("socket: NOTIFY_SOCKET: 'notify' is neither")


@pytest.mark.slow
def test_a_server_tells_its_whole_life_in_order(manager: NotifySocket) -> None:
    """Ready with its pid, counts that follow what happens, signs of life all along, stopping."""
    server = Server(
        ["-p", "cat", "-W", "2", "--strategy", "fixed", "-B", "127.0.0.1", "-s", "0"],
        environment={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(_WATCHDOG_USEC)},
    )
    try:
        began = time.monotonic()
        start = manager.receive_until("READY")
        place = server.place
        with connect(place) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            assert exchange(place, b"y") == b"y"
            told = manager.receive_until("STATUS")
        quiet = [manager.receive() for _ in range(3)]
        seconds = time.monotonic() - began
        server.signal(signal.SIGTERM)
        end = manager.receive_until("STOPPING")
        assert server.wait() == 0
    finally:
        server.close()

    assert start[-1] == {
        "READY": "1",
        "MAINPID": str(server.pid),
        "STATUS": "2 idle, 0 busy, 0 connections so far",
    }
    assert told[-1]["STATUS"].endswith("2 connections so far")
    signs = [message for message in [*start, *told, *quiet] if "WATCHDOG" in message]
    assert len(signs) >= seconds / (_WATCHDOG_USEC / 1_000_000) - 1  # half of them may be late
    assert "STOPPING" in end[-1]


@pytest.mark.slow
def test_manager_hears_of_a_stop_before_its_delay(manager: NotifySocket) -> None:
    """With --stop-delay clients are still served when it has; a second signal ends the delay."""
    server = Server(
        "-p cat -W 1 --stop-delay 1h -B localhost -s 0".split(),
        environment={"NOTIFY_SOCKET": manager.address},
    )
    try:
        place = server.place
        manager.receive_until("READY")
        server.signal(signal.SIGTERM)
        manager.receive_until("STOPPING")
        assert exchange(place, b"still") == b"still"
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    finally:
        server.close()
