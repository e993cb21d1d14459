"""What is found out about a program, as values."""

import pytest

from socketd.explain.findings import Choice, Explanation, Finding
from socketd.explain.sharing import (
    Access,
    SharedFile,
    State,
    parse_descriptors,
    random_state,
    sharing_of,
)
from socketd.explain.sightings import Sightings
from socketd.explain.visitor import Visit
from socketd.programs.command import Program
from socketd.settings.readiness import ReadyLevel
from socketd.system.procfs import OpenFile, describe

AUTO = Choice(ReadyLevel.LOAD)


def test_descriptors_of_the_log_are_taken_apart_again() -> None:
    """What `template_started` lists comes back, blanks in paths included."""
    files = [
        OpenFile(3, "/etc/passwd", 0o100000),
        OpenFile(4, "/tmp/a b", 0o100001, is_locked=True),
        OpenFile(5, "/var/log/x", 0o102001),
        OpenFile(6, "pipe:[77]"),
        OpenFile(7, "socket:[78]"),
    ]

    assert parse_descriptors(describe(files)) == (
        (
            SharedFile(3, "/etc/passwd", Access.OWN),
            SharedFile(4, "/tmp/a b", Access.WRITE, is_locked=True),
            SharedFile(5, "/var/log/x", Access.APPEND),
            SharedFile(6, "pipe:[77]", Access.OWN),
            SharedFile(7, "socket:[78]", Access.SHARED),
        ),
        False,
    )
    assert parse_descriptors("") == ((), False)
    assert parse_descriptors("3=/x ...") == ((SharedFile(3, "/x", Access.OWN),), True)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("cat", State.SHARED),
        ("bash", State.RESEEDED),
        ("python3.13t", State.RESEEDED),
        ("perl", State.RESEEDED),
        ("ruby3.1", State.RESEEDED),
        ("php8.2", State.RESEEDED),
        ("mawk", State.FRESH),
        ("dash", State.FRESH),
        ("pythonic", State.SHARED),
    ],
)
def test_random_state_is_shared_where_nobody_renews_it(name: str, state: State) -> None:
    """Before main() nothing is drawn; who draws without renewal is not held by other rules."""
    program = Program(f"/nowhere/{name}", (name,))

    assert random_state(ReadyLevel.LOAD, program) is State.FRESH
    assert random_state(ReadyLevel.READ, program) is random_state(ReadyLevel.STOP, program) is state


def test_reason_of_a_shared_canary_is_kept() -> None:
    """The event says `own`, or `shared` and why."""
    program = Program("/bin/cat", ("cat",))

    own = sharing_of(ReadyLevel.READ, program, "", "own")
    shared = sharing_of(ReadyLevel.READ, program, "", "shared: it has a second stack")

    assert (own.canary_reason, shared.canary_reason) == (None, "it has a second stack")


def test_times_are_medians_and_missing_ones_are_not_known() -> None:
    """One connection that did not end makes the time to the end unknown."""
    finding = Finding(
        ReadyLevel.FORK,
        visits=(Visit(1.0, 2.0, 1, b"a"), Visit(3.0, None, 1, b"a"), Visit(2.0, 5.0, 1, b"a")),
    )

    assert (finding.first_byte_seconds, finding.end_seconds) == (2.0, None)
    assert finding.has_hung
    assert not finding.is_silent


def test_answers_are_compared_with_the_first() -> None:
    """A level whose answers are not those of the first level with one has another answer."""
    same = Finding(ReadyLevel.FORK, visits=(Visit(1.0, 1.0, 1, b"a"),))
    other = Finding(ReadyLevel.READ, visits=(Visit(1.0, 1.0, 1, b"b"),))
    explanation = Explanation((same, other, Finding(ReadyLevel.RELAY, "why")), AUTO)

    assert [explanation.has_another_answer(one) for one in explanation.findings] == [
        False, True, False,
    ]  # fmt: skip
    assert explanation.of(ReadyLevel.READ) is other


def test_workers_that_wait_are_those_without_a_connection() -> None:
    """A worker that has accepted waits no more, and the reasons come in order."""
    seen = Sightings()
    seen.take({"event": "worker_started", "pid": 1})
    seen.take({"event": "worker_started", "pid": 2})
    seen.take({"event": "connection_accepted", "pid": 1})
    seen.take({"event": "connection_closed", "pid": 1, "status": 3})
    seen.take({"event": "template_failed", "reason": "first"})
    seen.take({"event": "worker_failed", "reason": "second"})
    seen.take({"event": "pool_resized", "idle": 1})

    assert list(seen.waiting) == [2]
    assert seen.statuses == [3]
    assert seen.reasons == ["first", "second"]
