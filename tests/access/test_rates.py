"""How often clients may come: a source, and all together; who is over is sent away, or waits."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from access.services import ECHO, complaint_about, say, service

from harness.clients import Place
from harness.supervisors import Supervisor
from socketd.system.products import is_built

Supervise = Callable[..., Supervisor]
OVER = b"421 too often\r\n"
SAID = 'refusal_text = "421 too often\\r\\n"'
OF_SOURCE, OF_ALL = "too often from its source", "too often"


def rated(kind: str, *keys: str, **more: str) -> str:
    """Return a file with one service that answers, and says so to who comes too often."""
    return service(kind, SAID, *keys, program=ECHO, **more)


def begin(place: Place, host: str = "127.0.0.1") -> socket.socket:
    """Return a connection from an address, over which something was sent."""
    assert isinstance(place, tuple)
    client = socket.socket()
    client.settimeout(30)
    client.bind((host, 0))
    client.connect(place)
    client.sendall(b"hello\n")
    return client


def test_source_that_comes_too_often_is_sent_away(supervise: Supervise, kind: str) -> None:
    """Others are served, and its prefix is one source."""
    supervisor = supervise(rated(kind, 'source_rate = "2/d"', "source_prefix_ipv4 = 31"))
    place = supervisor.place("s")

    assert [say(place, f"127.0.0.{last}") for last in (2, 3)] == [b"hello\n"] * 2
    assert [say(place, f"127.0.0.{last}") for last in (2, 3)] == [OVER] * 2
    assert say(place, "127.0.0.4") == b"hello\n"
    supervisor.wait_events("connection_refused", 2, service="s", reason=OF_SOURCE)


def test_rate_outlives_reload_and_reexec(supervise: Supervise, early: str) -> None:
    """What was taken stays taken; another rate is in force at once."""
    keys = ('source_rate = "1/d:2"', 'rate = "1/d:3"')
    supervisor = supervise(rated(early, *keys))
    place = supervisor.place("s")
    assert say(place) == b"hello\n"
    supervisor.reload(rated(early, *keys))
    assert say(place) == b"hello\n"
    assert say(place) == OVER
    supervisor.replace()
    assert say(place) == OVER
    assert say(place, "127.0.0.2") == b"hello\n"
    assert say(place, "127.0.0.3") == OVER
    supervisor.wait_events("connection_refused", 1, reason=OF_ALL)
    supervisor.reload(rated(early, 'source_rate = "1/d:2"'))
    assert say(place) == OVER
    assert say(place, "127.0.0.3") == b"hello\n"
    supervisor.reload(service(early, program=ECHO))
    assert say(place) == b"hello\n"


def test_turn_that_all_together_have_not_is_not_taken_of_a_source(
    supervise: Supervise, early: str
) -> None:
    """Who was sent away for others may come as often as before."""
    supervisor = supervise(rated(early, 'rate = "1/d"', 'source_rate = "1/d"'))
    place = supervisor.place("s")
    assert say(place) == b"hello\n"
    assert say(place, "127.0.0.2") == OVER
    supervisor.reload(rated(early, 'source_rate = "1/d"'))
    assert say(place, "127.0.0.2") == b"hello\n"
    assert say(place, "127.0.0.2") == OVER


@pytest.mark.parametrize("second", ["python", "fork"])
def test_as_many_as_may_come_at_one_moment(supervise: Supervise, early: str, second: str) -> None:
    """Never one over, whatever kind of worker they meet."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    supervisor = supervise(rated(early, 'rate = "1/d:7"'))
    place = supervisor.place("s")
    supervisor.reload(rated(second, 'rate = "1/d:7"'))
    with ExitStack() as stack:
        clients = []
        for number in range(60):
            client = stack.enter_context(socket.socket())
            client.bind((f"127.0.1.{number}", 0))
            client.settimeout(30)
            client.connect(place)
            clients.append(client)
        served = 0
        for client in clients:
            try:
                client.sendall(b"hello\n")
                served += client.recv(100) == b"hello\n"
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert served == 7


def test_who_waits_is_served_in_turn_and_keeps_nobody_else_waiting(
    supervise: Supervise, kind: str
) -> None:
    """Of a source that has come too often; the service is for others meanwhile."""
    supervisor = supervise(rated(kind, 'source_rate = "10/s:1"', 'over_rate = "wait:30s"'))
    place = supervisor.place("s")

    clients = [begin(place) for _ in range(4)]
    assert say(place, "127.0.0.2") == b"hello\n"
    for client in clients:
        with client:
            assert client.recv(100) == b"hello\n"
    assert not supervisor.server.events("connection_refused")


def test_who_would_wait_too_long_is_sent_away_at_once(supervise: Supervise, early: str) -> None:
    """A turn that is too far away is nobody's."""
    supervisor = supervise(rated(early, 'rate = "1/h"', 'over_rate = "wait:30m"'))
    place = supervisor.place("s")

    assert say(place) == b"hello\n"
    assert say(place) == OVER


def test_turn_of_all_is_taken_behind_that_of_the_source(supervise: Supervise, kind: str) -> None:
    """Who has waited for its source may still be one too many."""
    keys = ('source_rate = "20/s:1"', 'rate = "1/d:2"', 'over_rate = "wait:10s"')
    supervisor = supervise(rated(kind, *keys))
    place = supervisor.place("s")

    assert [say(place) for _ in range(3)] == [b"hello\n", b"hello\n", OVER]
    supervisor.wait_events("connection_refused", 1, reason=OF_ALL)
    supervisor.wait_events("connection_accepted", 3)


def test_worker_that_waits_ends_with_the_service(supervise: Supervise, kind: str) -> None:
    """It is a connection like any other, so it is asked to end when there is no more time."""
    text = rated(kind, 'rate = "1/h"', 'over_rate = "wait:2h"')
    supervisor = supervise(text + '[service.s.timeouts]\ndrain = "10ms"\n')
    place = supervisor.place("s")
    assert say(place) == b"hello\n"
    with begin(place) as client:
        supervisor.wait_events("connection_accepted", 2)
        supervisor.server.stop()
        with pytest.raises(ConnectionResetError):  # nobody has read what it has sent
            client.recv(100)


def test_client_behind_a_proxy_is_the_source(supervise: Supervise, kind: str) -> None:
    """Whether the header comes at once or late."""
    keys = ('source_rate = "1/d"', 'proxy_protocol = ["127.0.0.1"]')
    supervisor = supervise(rated(kind, *keys))
    place = supervisor.place("s")
    assert isinstance(place, tuple)
    lines = [b"PROXY TCP4 192.0.2.%d 198.51.100.2 1234 443\r\n" % last for last in (1, 2, 1)]

    for line, heard in zip(lines, (b"hello\n", b"hello\n", OVER), strict=True):
        with socket.create_connection(place, 30) as proxy:
            proxy.sendall(line[:9])
            supervisor.wait_events("connection_accepted", lines.index(line) + 1)
            proxy.sendall(line[9:] + b"hello\n")
            assert proxy.recv(100) == heard
    assert say(place, text=lines[0] + b"hello\n") == OVER


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ('rate = "0/s"', "a number from 1 to 100000 with /s, /m, /h or /d"),
        ('source_rate = "1/s:0"', "how many at once, up to 10000"),
        ('rate = "1/s"\nover_rate = "wait"', "refuse, or wait: and a duration"),
        ('over_rate = "wait:5s"', "needs rate or source_rate"),
    ],
)
def test_rate_that_cannot_be_is_a_mistake_of_the_file(
    tmp_path: Path, keys: str, complaint: str
) -> None:
    """One line at the start, with what to give."""
    assert complaint in complaint_about(tmp_path, keys)
