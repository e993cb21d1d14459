"""A service with `stop_delay` says that it leaves, and serves on until then."""

import signal
from collections.abc import Callable, Iterator

import pytest

from control.asking import asked, listening, state, when
from harness.clients import exchange
from harness.supervisors import Supervisor, run_socketd
from harness.waiting import wait_for
from socketd.control.client import RefusedError

Serve = Callable[..., Supervisor]
CAT = '[service.s]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\nstop_delay = "1h"\n'
OTHER = CAT.replace("service.s", "service.other")
HOUR = 3600.0


@pytest.fixture
def serve(serve: Serve) -> Iterator[Serve]:
    """Start servers whose delay a test does not have to end."""
    servers: list[Supervisor] = []

    def start(text: str) -> Supervisor:
        servers.append(serve(text))
        return servers[-1]

    yield start
    for one in servers:
        if one.server.process.poll() is None:
            one.server.signal(signal.SIGTERM)
            wait_for(lambda at=one: state(at).server.state == "stopping", "it has heard")  # type: ignore[misc]  # its own


def departing(server: Supervisor, service: str = "s") -> None:
    """Expect that a service says that it leaves, and serves."""
    one = when(server, lambda one: one.state == "departing", service)
    assert one.departs_in_seconds is not None
    assert 0 < one.departs_in_seconds <= HOUR
    assert exchange(server.place(service), b"still") == b"still"


def test_stop_is_told_before_it_begins(serve: Serve) -> None:
    """Whoever asks hears of it at once; new clients are served; a second stop ends the delay."""
    server = serve(CAT)
    place = server.place("s")
    server.server.signal(signal.SIGTERM)
    departing(server)
    assert state(server).server.state == "stopping"
    checked = run_socketd("status", "--check", str(server.file))
    assert (checked.status, "it is departing" in checked.stdout) == (1, True)
    shown = run_socketd("status", str(server.file)).stdout
    assert "it leaves, and takes connections for 3" in shown
    with asked(server) as asking:
        for order, service in (("reload", None), ("reexec", None), ("drain", "s"), ("resume", "s")):
            with pytest.raises(RefusedError, match="is stopping"):
                asking.order(order, service=service)
    server.server.signal(signal.SIGHUP)  # no reload undoes a stop
    assert exchange(place, b"more") == b"more"
    assert run_socketd("stop", str(server.file)).status == 0
    assert server.server.wait() == 0


def test_delay_ends_by_itself(serve: Serve) -> None:
    """Then the service stops as it would have without one."""
    server = serve(CAT.replace("1h", "100ms"))
    assert run_socketd("stop", str(server.file)).stdout == "stopped\n"
    assert server.server.wait() == 0
    words = [line["event"] for line in server.server.lines]
    assert words.index("departing") < words.index("stopping")


def test_drain_is_told_before_it_begins(serve: Serve) -> None:
    """It lasts through a re-exec; resuming takes it back, draining again ends the delay."""
    server = serve(CAT)
    done = run_socketd("drain", "s", str(server.file))
    assert done.stdout == "s says that it leaves, and is drained in 3600.0 s\n"
    departing(server)
    assert state(server).server.state == "running"
    assert server.replace()["event"] == "reexec_done"
    departing(server)
    assert run_socketd("resume", "s", str(server.file)).status == 0
    assert listening(server).state == "running"
    for _ in range(2):
        run_socketd("drain", "s", str(server.file))
    assert listening(server).state == "drained"
    run_socketd("drain", "s", str(server.file))
    assert listening(server).state == "drained"
    server.reload()
    assert (listening(server).state, exchange(server.place("s"), b"x")) == ("running", b"x")


def test_reload_takes_back_a_drain_that_is_to_come(serve: Serve) -> None:
    """As it takes back one that has been."""
    server = serve(CAT)
    run_socketd("drain", "s", str(server.file))
    departing(server)
    server.reload()
    assert listening(server).state == "running"


def test_service_that_a_reload_removes_says_so_first(serve: Serve) -> None:
    """It lasts through a re-exec; a stop of the server is the second that it is told."""
    server = serve(CAT + OTHER)
    both = server.file.read_text()
    server.reload(both.replace(OTHER, ""))
    departing(server, "other")
    assert server.reload(both)["event"] == "reloaded"
    assert listening(server, "other").state == "running"  # it is wanted again
    server.reload(both.replace(OTHER, ""))
    server.reload()
    departing(server, "other")
    assert server.replace()["event"] == "reexec_done"
    departing(server, "other")
    assert state(server).server.state == "running"
    server.server.signal(signal.SIGTERM)
    departing(server)
    wait_for(lambda: listening(server, "other").state == "finished", "the other has ended")
    server.server.signal(signal.SIGTERM)
    assert server.server.wait() == 0


def test_service_without_a_delay_stops_at_once(serve: Serve) -> None:
    """A service without a delay stops at once, whatever others still say."""
    server = serve(CAT + OTHER.replace('stop_delay = "1h"\n', ""))
    server.server.signal(signal.SIGTERM)
    server.wait_events("stopping", 1, service="other")
    departing(server)
    server.server.signal(signal.SIGTERM)
    assert server.server.wait() == 0
