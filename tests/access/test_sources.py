"""The most connections that a source may have at once: never one over, and never one too few."""

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from access.services import ECHO, complaint_about, say, service

from harness.clients import Place
from harness.supervisors import Supervisor
from harness.waiting import wait_for
from socketd.system.products import is_built

Supervise = Callable[..., Supervisor]
FULL = b"421 too many\r\n"
CAT = "cat"


def limited(
    kind: str, *keys: str, limit: int = 2, most: int = 8, program: str = CAT, **more: str
) -> str:
    """Return a file with one service that gives back what it gets, of which a source has a few."""
    keys = (f"source_limit = {limit}", 'refusal_text = "421 too many\\r\\n"', *keys)
    return service(kind, *keys, program=program, **more).replace("max = 8", f"max = {most}")


def begin(place: Place, host: str = "127.0.0.1") -> socket.socket:
    """Return a connection from an address, over which something was sent."""
    client = socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET)
    client.settimeout(30)
    if not isinstance(place, str):
        client.bind((host, 0))
    client.connect(place)
    client.sendall(b"x")
    return client


@contextmanager
def held(place: Place, count: int, host: str = "127.0.0.1") -> Iterator[None]:
    """Have so many connections that are served."""
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(begin(place, host))
            assert client.recv(100) == b"x"
        yield


def test_source_has_so_many_connections_at_once(supervise: Supervise, kind: str) -> None:
    """One more is sent away, others are served, and when one has ended there is room again."""
    supervisor = supervise(limited(kind))
    place = supervisor.place("s")

    with held(place, 1):
        with held(place, 1):
            assert say(place) == FULL
            assert say(place, "127.0.0.2") == b"hello\n"
            [line] = supervisor.wait_events("connection_refused", 1, service="s")
            assert line["reason"] == "too many from its source"
        wait_for(lambda: say(place) == b"hello\n", "the one that has gone is not counted")


def test_client_that_comes_back_at_once_is_served(supervise: Supervise, early: str) -> None:
    """Its former worker may not have been collected yet: it is counted as gone all the same.

    This program has its connection as long as it is there; cat closes it before it ends.
    """
    supervisor = supervise(limited(early, limit=1, program=ECHO))
    place = supervisor.place("s")

    for _ in range(50):
        assert say(place) == b"hello\n"


@pytest.mark.parametrize("second", ["python", "fork"])
def test_three_hundred_at_one_moment_are_as_many_as_may_be(
    supervise: Supervise, early: str, second: str
) -> None:
    """Over workers of two kinds: those of before a reload and those of after it."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    limit, clients = 7, 300
    supervisor = supervise(limited(early, limit=limit, most=64))
    place = supervisor.place("s")
    supervisor.reload(limited(second, limit=limit, most=64))
    with ExitStack() as stack:
        poll, waiting, served = select.poll(), {}, 0
        for _ in range(clients):
            client = stack.enter_context(socket.socket())
            client.bind(("127.0.0.9", 0))
            client.setblocking(False)
            client.connect_ex(place)
            waiting[client.fileno()] = client
            poll.register(client, select.POLLOUT)
        while waiting:
            ready = poll.poll(30_000)
            assert ready
            for fd, events in ready:
                client = waiting[fd]
                if events & select.POLLOUT:
                    client.send(b"x", socket.MSG_NOSIGNAL)
                    poll.modify(fd, select.POLLIN)
                    continue
                try:
                    heard = client.recv(100)
                except ConnectionResetError:
                    heard = b""
                served += heard == b"x"
                poll.unregister(fd)
                del waiting[fd]
        assert served == limit
        assert say(place, "127.0.0.9") == FULL
        assert say(place) == b"hello\n"


def test_source_is_a_prefix(supervise: Supervise, early: str) -> None:
    """All addresses that begin with so many bits."""
    supervisor = supervise(limited(early, "source_prefix_ipv4 = 25", limit=1))
    place = supervisor.place("s")

    with held(place, 1, "127.0.0.127"):
        assert say(place, "127.0.0.1") == FULL
        assert say(place, "127.0.0.128") == b"hello\n"


def test_source_is_a_user_on_a_unix_socket(
    supervise: Supervise, early: str, tmp_path: Path
) -> None:
    """By what the kernel says of the client."""
    supervisor = supervise(limited(early, limit=1, listen=f"unix:{tmp_path}/socket"))
    place = supervisor.place("s")

    with held(place, 1):
        assert say(place) == FULL


def test_killed_worker_is_not_counted(supervise: Supervise, kind: str) -> None:
    """At once: before the master has said that it is gone."""
    supervisor = supervise(limited(kind, limit=1))
    place = supervisor.place("s")
    with held(place, 1):
        [line] = supervisor.wait_events("connection_accepted", 1)
        os.kill(int(str(line["pid"])), signal.SIGKILL)
        wait_for(lambda: say(place) == b"hello\n", "the killed one is not counted")


def test_count_outlives_template_reload_and_reexec(supervise: Supervise, early: str) -> None:
    """Connections of before count, and a limit that has changed is in force at once."""
    supervisor = supervise(limited(early))
    place = supervisor.place("s")
    with held(place, 2):
        assert say(place) == FULL
        supervisor.reload(limited(early))
        assert say(place) == FULL
        supervisor.replace()
        assert say(place) == FULL
        supervisor.reload(limited(early, limit=3))
        with held(place, 1):
            assert say(place) == FULL
        supervisor.reload(limited(early, limit=1))
        assert say(place) == FULL
        supervisor.reload(service(early, program=CAT))
        assert say(place) == b"hello\n"


def test_workers_that_retire_count_their_last_client(supervise: Supervise, early: str) -> None:
    """Their listener is closed by then, and nobody is sent away for it."""
    supervisor = supervise(limited(early, limit=1, program=ECHO))
    place = supervisor.place("s")
    for _ in range(5):
        supervisor.server.signal(signal.SIGHUP)
        for _ in range(10):
            assert say(place) == b"hello\n"


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ("source_limit = 0", "a whole number from 1 to 32768"),
        ("source_prefix_ipv4 = 24", "needs source_limit or source_rate"),
        ("source_limit = 1\nsource_prefix_ipv6 = 129", "a whole number from 1 to 128"),
    ],
)
def test_limit_that_cannot_be_is_a_mistake_of_the_file(
    tmp_path: Path, keys: str, complaint: str
) -> None:
    """One line at the start, with what to give."""
    assert complaint in complaint_about(tmp_path, keys)
