"""A service that crashes, wherever it does, takes nobody with it and comes back."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from barrier.conftest import Start
from barrier.pairs import OCCASIONS, Pair, Witness, be_asked, reload, replace
from harness import injector
from harness.clients import connect, exchange, read_all
from harness.processes import children_of
from harness.servers import Server
from harness.waiting import wait_for

# How a service may be served, and of which methods each variant tries every one that is called.
VARIANTS = {
    "native": ("", ("",)),
    "python": ('worker = "python"', ("PythonSpawner.",)),
    "held": ('ready = "read"', ("NativeSpawner.", "Hold.", "Template.")),
}
# So that a test which has come to try nothing is noticed.
_AT_LEAST = {
    "": ("Endpoint.look", "Endpoint.state", "Processes.on_stopped", "Board.find", "Pool.handle"),
    "PythonSpawner.": ("spawn",),
    "NativeSpawner.": ("on_exit", "spawn"),
    "Hold.": ("look",),
}


@contextlib.contextmanager
def witness(pair: Pair) -> Iterator[None]:
    """Have the healthy service be asked all the time, and fail if it ever does not answer."""
    seen = Witness(pair.healthy)
    try:
        yield
        before = seen.answers
        wait_for(lambda: seen.answers > before, "the healthy service answers")
    finally:
        seen.close()
    assert seen.failures == []


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("variant", VARIANTS)
def test_crash_in_any_call_is_survived(start_pair: Start, variant: str) -> None:
    """Whatever call fails: the other answers throughout, the one comes back, the code tells."""
    keys, kinds = VARIANTS[variant]
    pair = start_pair(keys)
    tried: set[str] = set()
    wanted = {f"{kind}{name}" for kind in kinds for name in _AT_LEAST.get(kind, ())}
    with witness(pair):
        for occasion in OCCASIONS:
            pair.take_calls()
            occasion(pair)
            pair.wait_answer()
            called = {one for one in pair.take_calls() if one.startswith(kinds)}
            # Once more, if it was not called: a template may still have been on its way.
            for position, method in enumerate([*sorted(called - tried), *sorted(called & wanted)]):
                if method in tried:
                    continue
                before = pair.faults
                pair.arm(method, ("RuntimeError", "MemoryError")[position % 2])
                occasion(pair)
                pair.wait_answer()
                pair.disarm()
                reload(pair)  # delays start over
                pair.wait_answer()
                if pair.faults > before:
                    tried.add(method)

    assert pair.server.stop() == 70
    assert tried >= wanted


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_crash_at_the_start_is_a_failed_start(start_pair: Start) -> None:
    """Whatever call fails first: one line, exit code 70, the traceback in the log, nobody left."""
    pair = start_pair(fault="nothing 1 RuntimeError")
    pair.wait_ready()
    called = pair.take_calls()
    assert {
        "Endpoint.start",
        "Processes.make_spawner",
        "NativeSpawner.spawn",
        "Board.claim",
    } <= called

    def start(method: str) -> None:
        failing = start_pair(fault=f"{method} 1 RuntimeError")
        wait_for(lambda: failing.is_over or failing.is_ready, "a verdict")
        if failing.is_ready:  # it has crashed when it had just come up, and has come back
            assert (method, failing.server.stop()) == (method, 70 if failing.faults else 0)
            return
        assert (method, failing.server.wait()) == (method, 70)
        told = "service 'broken' has crashed: RuntimeError: injected into"
        assert [line for line in failing.server.noise if told in line] == failing.server.noise
        assert len(failing.server.noise) == 1
        assert failing.server.events("service_crashed")[0]["delay_s"] is None
        assert not Path(failing.healthy).exists()
        failing.server.close()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(start, sorted(called)))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_crash_at_the_stop_stops_it_all_the_same(start_pair: Start) -> None:
    """Whatever call fails on the way to the end: it ends, with 70, and leaves nothing behind."""
    pair = start_pair()
    pair.take_calls()
    assert pair.server.stop() == 0
    called = pair.take_calls()
    assert {"Endpoint.stop", "Listener.refuse_new", "Processes.retire", "Board.close"} <= called

    def stop(method: str) -> None:
        failing = start_pair()
        failing.arm(method)
        status = failing.server.stop()
        assert (method, status) == (method, 70 if failing.faults else 0)
        assert not Path(failing.broken).exists()
        failing.server.close()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(stop, sorted(called)))


def _is_program(pid: int) -> bool:
    """Tell a worker that has become cat, though the log may not say yet that it has accepted."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text() == "cat\n"
    return False


def test_busy_outlive_a_crash_and_idle_do_not(start_pair: Start) -> None:
    """A connection goes on to its end; workers that wait leave, and a fresh service takes over."""
    pair = start_pair()
    with connect(pair.broken) as connection:
        connection.sendall(b"one ")
        assert connection.recv(4) == b"one "
        idle = wait_for(
            lambda: [pid for pid in pair.idle if not _is_program(pid)], "another waits"
        )[0]
        pair.arm("Endpoint.look")
        be_asked(pair)
        pair.server.wait_event("service_crashed")
        wait_for(lambda: not Path(f"/proc/{idle}").exists(), "the idle worker is gone")
        pair.wait_answer()
        connection.sendall(b"two")
        connection.shutdown(1)
        assert read_all(connection) == b"two"

    assert pair.server.stop() == 70


def test_stop_ends_whoever_is_left_of_a_crash(start_pair: Start) -> None:
    """A second stop signal ends a connection that a crash has left, as it does any other."""
    pair = start_pair()
    with connect(pair.broken) as connection:
        connection.sendall(b"one")
        assert connection.recv(3) == b"one"
        pair.arm("Endpoint.look")
        be_asked(pair)
        crashed = pair.server.wait_event("service_crashed")
        pair.server.wait_event(
            "service_ready", lambda line: line["timestamp"] > crashed["timestamp"]
        )
        pair.server.signal(signal.SIGTERM)
        pair.server.wait_event("stopped", lambda line: line["service"] == "broken")
        pair.server.signal(signal.SIGTERM)
        assert read_all(connection) == b""
        assert pair.server.wait() == 70


def test_crash_is_passed_on_to_the_next_version(start_pair: Start) -> None:
    """A service that is put away, who is left of it and the exit code survive a re-exec."""
    pair = start_pair()
    with connect(pair.broken) as connection:
        connection.sendall(b"one")
        assert connection.recv(3) == b"one"
        pair.arm("Endpoint.state")
        replace(pair)
        pair.wait_answer()
        connection.shutdown(1)
        assert read_all(connection) == b""

    assert pair.server.events("reexec_failed") == []
    assert pair.server.stop() == 70


def test_crash_while_a_reload_is_prepared_fails_the_reload(start_pair: Start) -> None:
    """What crashes before anything was changed undoes the reload, and comes back as it was."""
    pair = start_pair()
    pair.arm("Processes.make_spawner")
    reload(pair)
    pair.wait_answer()
    reload(pair)

    verdicts = [line["event"] for line in pair.server.lines if "reload" in line["event"]]
    assert verdicts == ["reload_failed", "reloaded"]
    assert "'broken' has crashed" in pair.server.events("reload_failed")[0]["reason"]
    assert pair.server.stop() == 70


def test_template_that_nobody_knows_of_is_ended(start_pair: Start) -> None:
    """A crash between the start of a template and the note of it leaves no process behind."""
    pair = start_pair('ready = "read"')
    pair.wait_ready()
    pair.arm("TemplateLife.handle", count=2)  # the first has it started, the second is told of it
    reload(pair)
    pair.wait_answer()

    usual = {"socketd-zygote", "socketd-held", "socketd-worker"}
    wait_for(
        lambda: {one.name for one in children_of(pair.server.pid)} <= usual, "nobody else is there"
    )
    assert pair.server.stop() == 70


def test_crashes_leak_no_descriptor(start_pair: Start) -> None:
    """A service that crashes again and again leaves the master with as many descriptors as ever."""
    pair = start_pair()

    def crash() -> None:
        before = pair.faults
        pair.arm("Endpoint.look")
        be_asked(pair)
        wait_for(lambda: pair.faults > before, "a crash")
        reload(pair)
        pair.wait_answer()

    def count() -> int:
        return len(os.listdir(f"/proc/{pair.server.pid}/fd"))

    before = count()
    for _ in range(4):
        crash()
    wait_for(lambda: count() <= before, f"{before} descriptors again")
    assert pair.server.stop() == 70


def test_fault_outside_of_any_service_ends_the_master_loudly(start_pair: Start) -> None:
    """Where no service can be put away, workers are told, a line says why, and the code is 70."""
    pair = start_pair()
    pair.arm("Doorbell.take")
    pair.server.signal(signal.SIGCHLD)

    assert pair.server.wait() == 70
    assert pair.server.events("master_fault")[0]["attempt"] == "serve"
    assert [line for line in pair.server.noise if "the master has crashed" in line]


def test_failing_title_is_said_once_and_harms_nobody(start_pair: Start) -> None:
    """What the master does for show may fail: it goes on, and the exit code tells."""
    pair = start_pair()
    pair.arm("Title._renew")
    be_asked(pair)
    pair.server.wait_event("master_fault", lambda line: line["attempt"] == "set the title")
    pair.wait_answer()

    assert pair.server.stop() == 70


@pytest.fixture
def start_socket(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Return a function that starts `socket` with workers, to fail as the file `fault` says."""
    servers: list[Server] = []

    def start() -> Server:
        variables = {
            injector.SERVICE_VARIABLE: "socket",
            injector.FAULT_VARIABLE: str(tmp_path / "fault"),
        }
        command = (sys.executable, injector.__file__, "-v", "--log-format", "json")
        path = str(tmp_path / "s")
        arguments = ["-p", "cat", "-W", "2", "-s", path]
        servers.append(Server(arguments, variables, is_quiet=False, command=command))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_only_service_comes_back_too(start_socket: Callable[[], Server], tmp_path: Path) -> None:
    """`socket`, which has one service, does not end because that crashes."""
    server = start_socket()
    assert exchange(server.place, b"before") == b"before"
    (tmp_path / "fault").write_text("Endpoint.look 1 RuntimeError")
    assert exchange(server.place, b"meanwhile") == b"meanwhile"
    server.wait_event("service_crashed")
    assert exchange(server.place, b"after") == b"after"

    assert server.stop() == 70
    assert not (tmp_path / "s").exists()


def test_only_service_that_crashes_first_does_not_start(
    start_socket: Callable[[], Server], tmp_path: Path
) -> None:
    """`socket` ends with one line and 70 if its service has never been ready."""
    (tmp_path / "fault").write_text("Board.claim 1 RuntimeError")
    server = start_socket()

    assert server.wait() == 70
    assert [line.partition(":")[0] for line in server.noise] == ["socket"]
    assert not (tmp_path / "s").exists()
