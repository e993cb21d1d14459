"""What `socketd status` makes of a state, and how a state is judged."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from socketd.cli.status import lines_of
from socketd.control.document import (
    Attempts,
    BackOff,
    Listening,
    Outcome,
    Queue,
    Service,
    State,
)
from socketd.control.verdict import Health, judge
from socketd.dataclass import replace
from socketd.display.fields import FIELDS

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "state.json"
STATE = msgspec.json.decode(EXAMPLE.read_bytes(), type=State)
ROWS = [(service, one) for service in STATE.services for one in service.listeners]


def with_first(**changes: Any) -> State:  # noqa: ANN401  fields of a listener, each of its kind
    """Return a state of one listener that is well, but for some changes."""
    one = replace(STATE.services[0].listeners[0], **changes)
    service = replace(STATE.services[0], listeners=[one])
    server = replace(STATE.server, reloads=Attempts(1, 0, Outcome(0.0, [])))
    return replace(STATE, services=[service], server=server)


def busy(count: int, queue: Queue | None) -> State:
    """Return a state in which so many workers are busy."""
    workers = replace(STATE.services[0].listeners[0].workers, idle=0, busy=count)
    return with_first(workers=workers, queue=queue)


@pytest.mark.parametrize("width", [56, 60, 80, 132])
def test_table_fits_its_terminal(width: int) -> None:
    """No line is wider; an address loses its middle, and less important columns go first."""
    long = replace(ROWS[0][1], address="unix:/run/" + "x" * 90 + "/end")
    state = replace(STATE, server=replace(STATE.server, file=None, reloads=Attempts(0, 0, None)))
    lines = lines_of(state, [*ROWS[:1], (ROWS[0][0], long)], width)[2:]

    assert max(map(len, lines)) <= width
    assert lines[-1].split()[1].endswith("end")
    for name in ("BUSY", "IDLE", "MAX", "QUEUE"):
        assert name in lines[0]


def test_every_field_has_a_value() -> None:
    """Each field of -o can be said of each listener, also of one of which nothing is known."""
    service = Service("s", "/bin/cat", "none", [])
    bare = replace(ROWS[0][1], queue=None, board="", back_off=None)
    for name, field in FIELDS.items():
        assert field(*ROWS[0]) is not None or name == "back_off"
        field(service, bare)


@pytest.mark.parametrize(
    ("state", "health"),
    [
        (with_first(), Health.OK),
        (busy(7, Queue(0, 64)), Health.OK),
        (busy(8, Queue(3, 64)), Health.WARNING),
        (busy(8, None), Health.WARNING),
        (busy(8, Queue(64, 64)), Health.CRITICAL),
        (with_first(state="drained"), Health.WARNING),
        (with_first(state="crashed"), Health.CRITICAL),
        (with_first(back_off=BackOff(1.0, 2, "exec: gone")), Health.WARNING),
        (replace(with_first(), server=replace(STATE.server, state="starting")), Health.WARNING),
        (replace(with_first(), server=STATE.server), Health.WARNING),  # its last reload failed
        (
            replace(with_first(), server=replace(with_first().server, faults=1)),
            Health.WARNING,
        ),
    ],
)
def test_health_has_its_rules(state: State, health: Health) -> None:
    """What is not as it ought to be is told, and how bad it is."""
    verdict = judge(state)

    assert verdict.health == health
    assert bool(verdict.complaints) == (health is not Health.OK)


def test_pause_with_nobody_waiting_is_critical() -> None:
    """Who fails and has no worker left that waits serves nobody."""
    one: Listening = STATE.services[0].listeners[0]
    nobody = replace(one.workers, idle=0, outdated=0)
    state = with_first(workers=nobody, back_off=BackOff(1.0, 2, "exec: gone"))

    assert judge(state).health == Health.CRITICAL


def test_worst_comes_first() -> None:
    """The first complaint is one of the worst."""
    state = with_first(state="crashed")
    state = replace(state, server=replace(state.server, state="stopping"))

    assert [one.rpartition(" ")[2] for one in judge(state).complaints] == ["crashed", "stopping"]


def test_page_shows_what_the_example_looks_like() -> None:
    """The table in docs/control.md is that of docs/examples/state.json."""
    page = (EXAMPLE.parents[1] / "control.md").read_text()

    assert "\n".join(lines_of(STATE, ROWS, 132)) in page
