"""Retiring and connecting at the same instant: the connection wins."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable

import pytest

from harness.clients import connect, read_all
from harness.extent import by_extent
from harness.servers import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.ready("load", "read", "stop", "relay"),
]

CONNECTIONS = by_extent(1_500, 3_000)
CLIENTS = 4
CONNECTIONS_PER_RETIREMENT = 16


def test_no_connection_is_lost_while_workers_are_told_to_leave(
    serve: Callable[..., Server],
) -> None:
    """Thousands of connections are all answered while, again and again, every worker is retired."""
    server = serve(
        "-p", "cat", "-W", "8", "--max-workers", "24", "-B", "localhost", "-s", "0",
        is_measured=False,
    )  # fmt: skip
    place = server.place
    answered = [0] * CLIENTS
    retired = [0] * CLIENTS

    def talk(client: int) -> None:
        for number in range(CONNECTIONS // CLIENTS):
            payload = b"%d/%d" % (client, number)
            if number % CONNECTIONS_PER_RETIREMENT == 0:
                retired[client] += retire_all(server.pid)
            with connect(place) as connection:
                connection.sendall(payload)
                connection.shutdown(1)
                assert read_all(connection) == payload
            answered[client] += 1

    clients = [threading.Thread(target=talk, args=(client,)) for client in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    assert sum(answered) == CONNECTIONS
    assert sum(retired) > CONNECTIONS / CONNECTIONS_PER_RETIREMENT
    server.wait_settled(idle=8)


def retire_all(master_pid: int) -> int:
    """Tell every child of the master to retire, whatever it is doing; return how many."""
    with open(f"/proc/{master_pid}/task/{master_pid}/children") as file:
        pids = [int(pid) for pid in file.read().split()]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGWINCH)
    return len(pids)
