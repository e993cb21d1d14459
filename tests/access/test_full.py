"""As many connections as may be: who comes then waits in the queue, or is sent away."""

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from access.services import say, service

from harness.clients import Place
from harness.supervisors import Supervisor, run_socketd
from harness.waiting import wait_for
from socketd.system.products import is_built

Supervise = Callable[..., Supervisor]
BUSY = b"421 busy\r\n"
ENDLESS = "queue:1h"


def bounded(kind: str, when_full: str, *keys: str, most: int = 2, **more: str) -> str:
    """Return a file with one service that gives back what it gets, to so many at once."""
    said = () if when_full == "queue" else ('refusal_text = "421 busy\\r\\n"',)
    keys = (f'when_full = "{when_full}"', *said, *keys)
    return service(kind, *keys, program="cat", **more).replace("max = 8", f"max = {most}")


def begin(place: Place) -> socket.socket:
    """Return a connection over which something was sent."""
    client = socket.socket(socket.AF_UNIX if isinstance(place, str) else socket.AF_INET)
    client.settimeout(30)
    client.connect(place)
    client.sendall(b"x")
    return client


@contextmanager
def held(place: Place, count: int) -> Iterator[list[socket.socket]]:
    """Have so many connections that are served."""
    with ExitStack() as stack:
        clients = [stack.enter_context(begin(place)) for _ in range(count)]
        for client in clients:
            assert client.recv(100) == b"x"
        yield clients


def test_who_comes_while_all_are_busy_is_sent_away(supervise: Supervise, kind: str) -> None:
    """Over and over; and when one has ended the next is served at once."""
    supervisor = supervise(bounded(kind, "refuse"))
    place = supervisor.place("s")

    with held(place, 1):
        with held(place, 1):
            assert [say(place) for _ in range(3)] == [BUSY] * 3
            supervisor.wait_events("connection_refused", 3, service="s", reason="all busy")
        wait_for(lambda: say(place) == b"hello\n", "the one that has gone is not counted")
    assert len(supervisor.server.events("template_failed")) == 0


def test_size_that_is_set_for_now_is_what_is_full(supervise: Supervise, kind: str) -> None:
    """Somebody is there to send clients away at that size as well."""
    supervisor = supervise(bounded(kind, "refuse"))
    place = supervisor.place("s")
    assert run_socketd("size", "s", "--max", "3", str(supervisor.file)).status == 0

    with held(place, 3):
        assert [say(place) for _ in range(3)] == [BUSY] * 3


@pytest.mark.parametrize("strategy", ["fixed", "eager", "adaptive", "incremental", "surge"])
def test_somebody_is_there_to_send_clients_away_with_each_strategy(
    supervise: Supervise, strategy: str
) -> None:
    """Though it may grow at other moments."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    text = bounded("fork", "refuse").replace("min = 2\nmax = 2", "min = 2")
    sizes = "" if strategy == "fixed" else "max = 2\n"
    supervisor = supervise(text + f'strategy = "{strategy}"\n{sizes}')
    place = supervisor.place("s")

    for turn in range(3):
        with held(place, 2):
            assert say(place) == BUSY
        supervisor.wait_events("connection_closed", 2 * turn + 2)


def test_as_many_as_may_be_at_one_moment(supervise: Supervise, early: str) -> None:
    """Never one over, and none too few, of clients that all come at once."""
    supervisor = supervise(bounded(early, "refuse", most=5))
    place = supervisor.place("s")
    with ExitStack() as stack:
        clients = [stack.enter_context(begin(place)) for _ in range(60)]
        heard = []
        for client in clients:
            try:
                heard.append(client.recv(100))
            except ConnectionResetError:
                heard.append(b"")
        assert heard.count(b"x") == 5


def test_who_waits_has_the_place_of_who_ends(
    supervise: Supervise, kind: str, tmp_path: Path
) -> None:
    """Before those who come later, on whatever socket; one that is killed makes room, too."""
    supervisor = supervise(bounded(kind, ENDLESS, listen=f"unix:{tmp_path}/socket"))
    place = supervisor.place("s")

    with held(place, 2) as clients, begin(place) as third:
        clients[0].close()
        assert third.recv(100) == b"x"
        lines = supervisor.wait_events("connection_accepted", 3)
        with begin(place) as fourth:
            os.kill(int(str(lines[2]["pid"])), signal.SIGKILL)
            assert fourth.recv(100) == b"x"
    assert not supervisor.server.events("connection_refused")


@pytest.mark.parametrize(("kind", "most"), [("python", 20), ("fork", 70)], indirect=["kind"])
def test_places_are_given_in_the_order_of_the_queue(
    supervise: Supervise, kind: str, most: int
) -> None:
    """Though more are served than a worker can watch, and others come as soon as one has ended."""
    supervisor = supervise(bounded(kind, ENDLESS, most=most))
    place = supervisor.place("s")

    with held(place, most) as clients, ExitStack() as stack:
        waiting = [stack.enter_context(begin(place)) for _ in range(6)]
        board, poll = supervisor.server.board, select.poll()
        for one in waiting:
            poll.register(one, select.POLLIN)
        for number, one in enumerate(waiting):
            wait_for(lambda: board.queued == 1, "the next one has been accepted")
            clients[-1 - number].close()
            assert [fd for fd, _ in poll.poll(30_000)] == [one.fileno()]
            assert one.recv(100) == b"x"


def test_who_has_waited_for_its_time_is_sent_away(supervise: Supervise, kind: str) -> None:
    """All who came together, by what the kernel says of each: not one after the other."""
    supervisor = supervise(bounded(kind, "queue:300ms"))
    place = supervisor.place("s")

    with held(place, 2), ExitStack() as stack:
        waiting = [stack.enter_context(begin(place)) for _ in range(3)]
        for client in waiting:
            heard = client.recv(100)
            assert heard == BUSY
        supervisor.wait_events("connection_refused", 3, reason="all busy")


def test_who_waits_survives_retirement_and_reload(supervise: Supervise, early: str) -> None:
    """The worker that holds it was asked to leave, and serves it first."""
    supervisor = supervise(bounded(early, ENDLESS))
    place = supervisor.place("s")
    with held(place, 2) as clients, begin(place) as third:
        supervisor.reload(bounded(early, ENDLESS))
        supervisor.replace()
        clients[0].close()
        assert third.recv(100) == b"x"


def test_limit_that_changes_is_in_force_at_once(supervise: Supervise, early: str) -> None:
    """For connections that there are, and for a client that waits in the queue."""
    supervisor = supervise(bounded(early, "queue"))
    place = supervisor.place("s")
    with held(place, 2), begin(place) as third:
        supervisor.reload(bounded(early, "refuse"))
        assert third.recv(100) == BUSY
        supervisor.reload(bounded(early, "refuse", most=3))
        with held(place, 1):
            assert say(place) == BUSY


def test_limit_that_goes_lets_in_who_waits(supervise: Supervise, early: str) -> None:
    """And its time begins with its place."""
    supervisor = supervise(bounded(early, ENDLESS))
    board = supervisor.server.board
    with held(supervisor.place("s"), 2), begin(supervisor.place("s")) as third:
        wait_for(lambda: board.queued == 1, "it has been accepted, and is no longer the kernel's")
        supervisor.reload(bounded(early, "queue"))
        assert third.recv(100) == b"x"
        third.close()
        [line] = supervisor.wait_events("connection_closed", 1)
        assert 0 <= float(str(line["duration_s"])) < 3600


def test_silent_proxy_has_a_place_of_its_own(supervise: Supervise, early: str) -> None:
    """It is a connection, so one more is sent away, and it is counted once."""
    supervisor = supervise(bounded(early, "refuse", 'proxy_protocol = ["127.0.0.1"]', most=2))
    place = supervisor.place("s")
    line = b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 443\r\n"
    assert isinstance(place, tuple)

    with socket.create_connection(place, 30) as one, socket.create_connection(place, 30) as two:
        for proxy in (one, two):
            proxy.sendall(line[:9])
        supervisor.wait_events("connection_accepted", 2)
        assert say(place, text=line[:9]) == BUSY
        assert say(place, text=line) == BUSY
        for proxy in (one, two):
            proxy.sendall(line[9:] + b"x")
            assert proxy.recv(100) == b"x"


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ('when_full = "wait"', "queue, refuse, or queue: and a duration"),
        ('when_full = "queue"\nrefusal_text = "x"', "everybody may come in"),
    ],
)
def test_setting_that_cannot_be_is_a_mistake_of_the_file(
    tmp_path: Path, keys: str, complaint: str
) -> None:
    """One line at the start, with what to give."""
    file = tmp_path / "services.toml"
    file.write_text(service("fork", keys))
    outcome = run_socketd("run", str(file))

    assert outcome.status == 78
    assert complaint in outcome.stderr
