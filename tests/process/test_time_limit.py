"""`--time-limit`: how long a connection may take."""

import signal
from collections.abc import Callable

import pytest

from harness.clients import connect, exchange, read_all
from harness.processes import marked
from harness.servers import Server

pytestmark = pytest.mark.slow

Serve = Callable[..., Server]


def test_connection_that_takes_too_long_is_ended(serve: Serve) -> None:
    """Its program gets SIGTERM, and what it has started with it; others are served."""
    program = "read x; case $x in long) sleep 1000 & sleep 1000;; esac; echo $x"
    server = serve("--time-limit", "1s", "-p", program, "-W", "2", "-B", "127.0.0.1", "-s", "0")
    with connect(server.place) as connection:
        connection.sendall(b"long\n")
        assert exchange(server.place, b"short\n") == b"short\n"

        assert read_all(connection) == b""
    closed = server.wait_event("connection_closed", lambda line: line["status"] != 0)
    assert closed["status"] == -signal.SIGTERM
    server.wait_settled(idle=2)
    assert [one for one in marked(server.mark) if one.name == "sleep"] == []


def test_program_that_will_not_end_is_killed(serve: Serve) -> None:
    """After --kill-timeout, which begins with the SIGTERM that it has ignored."""
    program = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    limits = ["--time-limit", "1s", "--kill-timeout", "300ms"]
    server = serve(*limits, "-p", program, "-W", "1", "-B", "127.0.0.1", "-s", "0")
    with connect(server.place) as connection:
        assert read_all(connection) == b"up\n"
    assert server.wait_event("connection_closed")["status"] == -signal.SIGKILL


def test_connection_that_ends_in_time_is_left_alone(serve: Serve) -> None:
    """A limit is nothing to a connection that keeps it."""
    server = serve("--time-limit", "20s", "-p", "cat", "-W", "2", "-B", "127.0.0.1", "-s", "0")

    assert [exchange(server.place, b"x") for _ in range(20)] == [b"x"] * 20
    assert server.wait_statuses(20) == [0] * 20
