"""When the clients of busy workers are looked at, and what follows."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from socketd.pool.clientwatch import LOOK_SECONDS, ClientWatch
from socketd.pool.messages import (
    ArmTimer,
    Command,
    DisarmTimer,
    KillWorkers,
    LookAtClients,
    PoolTimer,
    TerminateWorkers,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
)
from socketd.pool.settings import PoolSettings
from socketd.pool.timelimit import EndReason, TimeLimit
from socketd.system.clientlook import has_client_gone

EXPIRED = TimerExpired(PoolTimer.CLIENTS)


def armed(now: float) -> list[Command]:
    """Return the command for the next look."""
    return [ArmTimer(PoolTimer.CLIENTS, now + LOOK_SECONDS)]


def test_only_connections_that_last_are_looked_at() -> None:
    """The timer is there as long as a worker is busy, and gone with the last one."""
    watch = ClientWatch(is_wanted=True)

    assert watch.handle(WorkerAccepted(1), 0.0) == armed(0.0)
    assert watch.handle(WorkerAccepted(2), 1.0) == []
    assert watch.handle(EXPIRED, 2.0) == [LookAtClients((1,)), *armed(2.0)]
    assert watch.handle(WorkerExited(1, 0), 3.0) == []
    assert watch.handle(EXPIRED, 4.0) == [LookAtClients((2,)), *armed(4.0)]
    assert watch.handle(WorkerExited(2, 0), 5.0) == [DisarmTimer(PoolTimer.CLIENTS)]
    assert watch.handle(WorkerAccepted(2), 9.0) == armed(9.0)


def test_nobody_is_looked_at_where_that_is_not_wanted() -> None:
    """After a reload that ends it, connections from before are still looked at."""
    watch = ClientWatch(is_wanted=True)
    watch.handle(WorkerAccepted(1), 0.0)
    watch.reload(is_wanted=False)

    assert watch.handle(WorkerAccepted(2), 0.0) == []
    assert watch.handle(EXPIRED, 2.0) == [LookAtClients((1,)), *armed(2.0)]


def test_a_connection_without_a_client_is_terminated_once_and_then_killed() -> None:
    """What the time limit does at the end of its time; being looked at again changes nothing."""
    limit = TimeLimit(PoolSettings(minimum=1, maximum=4, kill_seconds=5.0))
    limit.handle(WorkerAccepted(1), 0.0)

    kill_timer = ArmTimer(PoolTimer.LIMIT, 7.0)
    assert limit.end((1,), EndReason.CLIENT_GONE, 2.0) == [TerminateWorkers((1,)), kill_timer]
    assert limit.end((1,), EndReason.CLIENT_GONE, 4.0) == []
    assert limit.handle(TimerExpired(PoolTimer.LIMIT), 7.0) == [KillWorkers((1,))]


def test_a_connection_without_a_client_need_not_wait_for_its_time_limit() -> None:
    """Its deadline comes sooner then."""
    limit = TimeLimit(PoolSettings(minimum=1, maximum=4, kill_seconds=5.0, limit_seconds=60.0))
    assert limit.handle(WorkerAccepted(1), 0.0) == [ArmTimer(PoolTimer.LIMIT, 60.0)]

    kill_timer = ArmTimer(PoolTimer.LIMIT, 7.0)
    assert limit.end((1,), EndReason.CLIENT_GONE, 2.0) == [TerminateWorkers((1,)), kill_timer]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_other_side_of_a_socket_is_seen_to_go(family: socket.AddressFamily, tmp_path: Path) -> None:
    """In another process; who only sends no more is there, and the socket is left as it was."""
    with socket.socket(family) as listener:
        places = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0)}
        listener.bind(places.get(family, str(tmp_path / "s")))
        listener.listen()
        client = socket.socket(family)
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
    with connection:
        child = subprocess.Popen(
            [sys.executable, "-IS", "-c", "import sys; sys.stdin.read()"],
            stdin=subprocess.PIPE, stdout=connection.fileno(),
        )  # fmt: skip
    try:
        assert not has_client_gone(child.pid, 1)
        assert not has_client_gone(child.pid, 0)
        assert not has_client_gone(child.pid, 77)
        client.shutdown(socket.SHUT_WR)
        assert not has_client_gone(child.pid, 1)
        client.close()
        assert has_client_gone(child.pid, 1)
    finally:
        client.close()
        child.communicate()
    assert not has_client_gone(child.pid, 1)
    assert not has_client_gone(os.getpid(), 0)
