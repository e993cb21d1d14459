"""Deaths and shortages: the pool heals, and other connections do not notice."""

import contextlib
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.processes import marked, view
from harness.servers import Server
from harness.waiting import wait_for
from socketd.workers.layout import SlotState

pytestmark = [pytest.mark.slow, pytest.mark.ready("load", "read", "stop", "relay")]

AS_USER = ["setpriv", "--reuid=54321", "--clear-groups"]

Serve = Callable[..., Server]


def test_idle_workers_leave_and_a_busy_one_finishes_when_the_master_is_killed(
    serve: Serve,
) -> None:
    """After `kill -9` of the master only connections are left, and a new start works at once."""
    server = serve("-p", "cat", "-W", "8", "-B", "localhost", "-s", "0")
    place = server.place
    server.wait_settled(idle=8)

    with connect(place) as connection:
        connection.sendall(b"before ")
        busy = server.wait_event("connection_accepted")["pid"]
        server.signal(signal.SIGKILL)
        server.wait()
        wait_for(
            lambda: {one.group for one in marked(server.mark)} == {busy},
            "only the busy worker is left",
            cap_seconds=1.0,
        )
        again = serve("-p", "cat", "-W", "8", "-B", "localhost", "-s", str(place[1]))
        assert exchange(again.place, b"again") == b"again"
        connection.sendall(b"and after")
        connection.shutdown(1)
        assert read_all(connection) == b"before and after"


def test_pool_heals_while_workers_are_killed_at_random(serve: Serve) -> None:
    """A killed worker costs its own connection at most; the pool is whole again afterwards."""
    server = serve(
        "-p", "cat", "-W", "8", "-B", "localhost", "-s", "0", is_quiet=False, is_measured=False
    )
    place = server.place
    source = random.Random(3)
    killed: set[int] = set()
    lost = 0
    stop = threading.Event()

    def kill() -> None:
        while not stop.is_set():
            with contextlib.suppress(IndexError, ProcessLookupError):
                pid = source.choice(server.workers())
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            stop.wait(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for number in itertools.count():
            if number >= 400 and len(killed) >= 10:
                break
            payload = b"%d" % number
            try:
                reply = exchange(place, payload)
            except OSError:
                reply = b""
            lost += reply != payload
    finally:
        stop.set()
        killer.join()

    # A connection fails only if its own worker was killed; idle ones were among the victims.
    assert lost < len(killed)
    server.wait_settled(idle=8)
    assert exchange(place, b"healed") == b"healed"


def limit_processes(server: Server, most: int) -> None:
    """Let the server's user have no more than `most` processes, hard limit left alone."""
    for one in marked(server.mark):
        command = [*AS_USER, "prlimit", f"--pid={one.pid}", f"--nproc={most}:"]
        subprocess.run(command, check=True)


@pytest.mark.usefixtures("reachable")
def test_full_process_table_is_waited_out(serve: Serve) -> None:
    """When fork fails the pool backs off with a warning, and recovers when there is room again."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv to run as a user whose processes can be limited")
    rights = "+dac_override"
    server = serve(
        "-p", "cat", "-W", "4", "-B", "localhost", "-s", "0",
        is_quiet=False,
        prefix=[*AS_USER, f"--inh-caps={rights}", f"--ambient-caps={rights}"],
    )  # fmt: skip
    place = server.place
    server.wait_settled(idle=4)
    limit_processes(server, 5)

    connections = [connect(place) for _ in range(4)]
    warning = server.wait_event("backing_off")

    assert warning["level"] == "warning"
    assert "Resource temporarily unavailable" in warning["reason"]
    limit_processes(server, 64)
    assert exchange(place, b"room again") == b"room again"
    for connection in connections:
        connection.close()
    server.wait_settled(idle=4)


def test_lack_of_descriptors_is_waited_out(serve: Serve) -> None:
    """When accept fails for want of descriptors the pool backs off; the client is served later."""
    server = serve("-p", "cat", "-W", "2", "-B", "localhost", "-s", "0", is_quiet=False)
    place = server.place
    server.wait_settled(idle=2)
    usual = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    workers = server.workers()
    starved = [one.pid for one in marked(server.mark) if one.pid not in workers]
    for pid in starved:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, usual[1]))

    first, second = (connect(place) for _ in range(2))
    warning = server.wait_event("backing_off")

    assert "Too many open files" in warning["reason"]
    for pid in starved:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    assert exchange(place, b"in the end") == b"in the end"
    first.close()
    second.close()
    server.wait_settled(idle=2)


@pytest.mark.ready
def test_program_that_cannot_be_run_backs_off_and_keeps_trying(
    serve: Serve, tmp_path: Path
) -> None:
    """One that is not there any more slows the pool down; it neither spins nor gives up."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    common = ("--ready", "fork", "-W", "2", "-B", "localhost", "-s", "0")
    server = serve("-p", str(program), *common, is_quiet=False)
    place = server.place
    assert exchange(place, b"there") == b"there"
    program.rename(tmp_path / "away")

    def has_failed_after_a_delay() -> bool:
        assert exchange(place) == b""
        return any(line["step"] == 2 for line in server.events("backing_off"))

    wait_for(has_failed_after_a_delay, "a failure after the first delay")
    assert server.events("recovered") == []
    (tmp_path / "away").rename(program)

    def has_recovered() -> bool:  # once a worker of after the last failure has served
        assert exchange(place, b"there again") == b"there again"
        return bool(server.events("recovered"))

    wait_for(has_recovered, "it is said that the failure is over")
    assert server.events("recovered")[0]["reason"] == server.events("backing_off")[-1]["reason"]
    server.wait_settled(idle=2)


@pytest.mark.ready("load", "stop")
@pytest.mark.parametrize("order", ["exit 127", "exit 126", "kill -SEGV $$", "exec /nowhere/x"])
def test_client_that_makes_a_program_end_delays_nobody(serve: Serve, order: str) -> None:
    """However a program ends that has been run, and however often, nothing follows from it."""
    program = 'read -r order; test "$order" = serve || eval "$order"; echo served'
    server = serve(
        "-p", program, "-W", "2", "-B", "localhost", "-s", "0", "--stderr", "null", is_quiet=False
    )
    place = server.place
    for _ in range(40):
        exchange(place, order.encode() + b"\n")

    assert exchange(place, b"serve\n") == b"served\n"
    assert server.events("backing_off") == []
    assert len(server.events("command_not_run")) == ("SEGV" not in order)
    server.wait_settled(idle=2)


@pytest.mark.ready("load", "stop")
def test_program_that_exits_at_once_is_normal(serve: Serve) -> None:
    """A program that ends right after its connection, with whatever status, is no failure."""
    server = serve("-p", "exit 3", "-W", "2", "-B", "localhost", "-s", "0")
    place = server.place

    for _ in range(20):
        assert exchange(place) == b""

    server.wait_settled(idle=2)
    assert server.wait_statuses(20) == [3] * 20
    assert server.events("backing_off") == []


def test_silent_client_occupies_only_its_own_worker(serve: Serve) -> None:
    """Clients that connect and say nothing do not keep others from being served."""
    server = serve("-p", "cat", "-W", "2", "-B", "localhost", "-s", "0")
    place = server.place

    silent = [connect(place) for _ in range(20)]

    assert exchange(place, b"served") == b"served"
    wait_for(lambda: server.board.count(SlotState.BUSY) == 20, "twenty silent connections")
    for connection in silent:
        connection.close()
    server.wait_settled(idle=2)


def test_client_that_resets_costs_nothing(serve: Serve) -> None:
    """Connections reset before and after they are accepted leave the pool as it was."""
    server = serve("-p", "cat", "-W", "2", "-B", "localhost", "-s", "0")
    place = server.place
    linger_zero = b"\1\0\0\0\0\0\0\0"

    for _ in range(50):
        with connect(place) as connection:
            connection.setsockopt(1, 13, linger_zero)

    assert exchange(place, b"alive") == b"alive"
    server.wait_settled(idle=2)


def test_stranger_among_the_children_is_collected(serve: Serve) -> None:
    """A child that is no worker of ours is reaped and does no harm."""
    server = serve("-p", "cat", "-W", "2", "-B", "localhost", "-s", "0")
    server.wait_settled(idle=2)
    for number in (signal.SIGCHLD, signal.SIGUSR1):
        for _ in range(100):
            server.signal(number)

    assert exchange(server.place, b"unharmed") == b"unharmed"
    assert view(server.pid) is not None


def test_program_that_is_killed_is_told_of_as_a_warning(serve: Serve) -> None:
    """Of many in a second one line tells, and the next one how many it did not."""
    program = "read -r x; kill -$x 0"
    server = serve("-p", program, "-B", "localhost", "-s", "0", "-l", is_quiet=False)
    for name in ("TERM", "PIPE", "KILL", "KILL"):
        exchange(server.place, f"{name}\n".encode())
    server.wait_event("program_killed")

    def is_told_later() -> bool:
        exchange(server.place, b"ABRT\n")
        return len(server.events("program_killed")) > 1

    wait_for(is_told_later, "a second line")
    first, second = server.events("program_killed")[:2]
    assert (first["signal"], first["level"], first["others"]) == ("SIGKILL", "warning", 0)
    assert second["signal"] == "SIGABRT"
    assert second["others"] >= 1
