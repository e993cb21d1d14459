"""What a load balancer is told is what the state says, in HAProxy's words."""

import msgspec
import pytest

from harness.controls import EXAMPLE
from socketd.agent.advice import advise
from socketd.control.document import Listening, Queue, State
from socketd.dataclass import replace

STATE = msgspec.json.decode(EXAMPLE.read_bytes(), type=State)
ECHO = "echo"


def with_echo(state: str = "running", busy: int = 0, waiting: int = 0, most: int = 8) -> State:
    """Return the state of the documents with another first listener."""
    first = STATE.services[0]
    listening = first.listeners[0]
    workers = replace(listening.workers, busy=busy, max=most)
    changed: Listening = replace(
        listening, state=state, workers=workers, queue=Queue(waiting, 64), back_off=None
    )
    return replace(STATE, services=[replace(first, listeners=[changed]), *STATE.services[1:]])


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        (with_echo(), "up ready 100% maxconn:8"),
        (with_echo(busy=2), "up ready 75% maxconn:8"),
        (with_echo(busy=4, waiting=3), "up ready 12% maxconn:8"),
        (with_echo(busy=8), "up ready 1% maxconn:8"),
        (with_echo(busy=8, waiting=90), "up ready 1% maxconn:8"),
        (with_echo("departing"), "drain"),
        (with_echo("drained", most=0), "drain"),
        (with_echo("stopping"), "drain"),
        (with_echo("starting"), "stopped #echo tcp:127.0.0.1:7000: it is starting"),
        (with_echo("crashed"), "stopped #echo tcp:127.0.0.1:7000: it is crashed"),
        (replace(with_echo(), server=replace(STATE.server, state="stopping")), "drain"),
        (
            replace(with_echo(), server=replace(STATE.server, state="starting")),
            "stopped #the server is starting",
        ),
    ],
)
def test_answer_is_what_the_service_can_take(state: State, answer: str) -> None:
    """How much of its workers is free, that it leaves, or why it does not serve."""
    assert advise(state, ECHO) == answer
    assert advise(state, f" {ECHO}\r") == answer


def test_listener_can_be_named() -> None:
    """A service with several of them has one answer for each."""
    state = with_echo(busy=2)
    assert advise(state, "echo tcp:127.0.0.1:7000") == "up ready 75% maxconn:8"
    assert advise(state, "echo tcp:127.0.0.1:1") == (
        "stopped #there is no such service here: echo tcp:127.0.0.1:1"
    )


def test_nothing_named_is_all_that_balancers_send_clients_to() -> None:
    """The sum of all services but those that tell of others."""
    state = with_echo(busy=2)
    assert advise(state, "", [one.name for one in state.services[1:]]) == "up ready 75% maxconn:8"


def test_name_that_nobody_has_is_said_in_one_line() -> None:
    """Whatever is asked for, the answer ends where it ends."""
    assert advise(STATE, "n\x07\r\xe9") == "stopped #there is no such service here: n???"
