"""The tally: what is counted where."""

from hypothesis import given
from hypothesis import strategies as st

from socketd.pool.tally import (
    DURATION_BOUNDS,
    FAILED,
    LIMIT,
    OK,
    REFUSED,
    SIGNAL,
    Meter,
    Tally,
    result_of,
)


def test_a_connection_has_one_result() -> None:
    """A limit comes before a refusal, a refusal before what became of the program."""
    assert result_of(0, None, is_refused=False) == OK
    assert result_of(3, None, is_refused=False) == FAILED
    assert result_of(-9, None, is_refused=False) == SIGNAL
    assert result_of(65, None, is_refused=True) == REFUSED
    assert result_of(-15, "time", is_refused=True) == LIMIT


@given(st.lists(st.floats(0, 1e6)))
def test_a_spread_counts_each_value_once(values: list[float]) -> None:
    """The counts are cumulative, say what they claim, and end with the number of all values."""
    tally = Tally()
    for value in values:
        tally.close(OK, None, value)

    for bound, count in zip(DURATION_BOUNDS, tally.durations.cumulative(), strict=False):
        assert count == sum(value <= bound for value in values)
    assert tally.durations.cumulative()[-1] == len(values) == tally.closed[OK]


def test_a_limit_is_counted_by_its_name() -> None:
    """What a limit has ended counts as such, and for that limit."""
    tally = Tally()
    tally.close(LIMIT, "idle", 2.0)

    assert (tally.closed[LIMIT], tally.ended["idle"], tally.ended["time"]) == (1, 1, 0)


def test_time_is_that_of_all_workers_together() -> None:
    """Two busy workers for three seconds have been busy for six; a clock that stands adds none."""
    tally = Tally()
    meter = Meter(tally, 10.0)
    meter.note(1, 2, 8, 11.0)
    meter.note(3, 0, 8, 14.0)
    meter.note(0, 0, 8, 14.0)

    assert (tally.busy_seconds, tally.idle_seconds) == (6.0, 3.0)


def test_seconds_that_are_under_way_are_known_without_being_counted() -> None:
    """Whoever asks between two changes adds them; the clock of a process may be earlier."""
    tally = Tally()
    meter = Meter(tally, 10.0)
    meter.note(2, 3, 8, 10.0)

    assert meter.running(12.0) == (4.0, 6.0)
    assert meter.running(9.0) == (0.0, 0.0)
    assert (tally.idle_seconds, tally.busy_seconds) == (0.0, 0.0)


def test_the_maximum_is_reached_once_until_there_is_room_again() -> None:
    """It counts when all that may be are busy, and again only after there was room."""
    tally = Tally()
    meter = Meter(tally, 0.0)
    for busy in (2, 3, 3, 2, 3):
        meter.note(0, busy, 3, 1.0)

    assert tally.max_reached == 2


def test_nobody_idle_counts_when_the_last_one_was_taken() -> None:
    """Connections that leave somebody waiting do not count."""
    tally = Tally()
    meter = Meter(tally, 0.0)
    for waiting in (2, 0, 0, 1):
        meter.note_taken(waiting)

    assert tally.nobody_idle == 2


@given(st.lists(st.integers(-(2**70), 2**70)))
def test_what_strangers_write_moves_a_counter_forward_only(counts: list[int]) -> None:
    """Whatever numbers stand on a board, refusals never go back, and stay readable."""
    tally, before = Tally(), 0
    for count in counts:
        tally.refuse("denied", count)
        assert before <= tally.refused["denied"] <= 2**53
        before = tally.refused["denied"]


def test_a_template_is_the_last_that_has_begun() -> None:
    """Each one counts; why it is not at the wanted level is forgotten with it."""
    tally = Tally()
    tally.begin_template(7, "it starts a thread", 1.0)
    tally.begin_template(8, "", 5.0)

    assert (tally.templates_begun, tally.template_pid, tally.template_reason) == (2, 8, "")


def test_every_counter_has_its_event() -> None:
    """A connection, its cost, its loss and a failed worker each count where they belong."""
    tally = Tally()
    tally.close(OK, None, 0.3)
    tally.close(LIMIT, "another", 0.3)
    tally.weigh(0.5, 2048)
    tally.lose(3)
    tally.fail("exec: gone", 7.0)
    tally.refuse("denied", 5)

    assert tally.durations.cumulative()[-1] == 2
    assert tally.memory.cumulative()[:2] == [0, 1]
    assert (tally.cpu_seconds, tally.memory.sum) == (0.5, 2048.0 * 1024)
    assert tally.closed["unknown"] == 3
    assert tally.ended["another"] == 1
    assert (tally.failures, tally.failure, tally.failed_seconds) == (1, "exec: gone", 7.0)
    assert tally.refused == {"denied": 5}
