"""The timer wheel: rules one by one, and any order of calls against a naive list of timers."""

import math
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from socketd.loop.wheel import Timer, Wheel

LEVELS = 7
SLOTS = 64
LAST_TICK = SLOTS**LEVELS - 1
DAY_SECONDS = 86_400.0


class Diary:
    """A wheel of one tick a second, and the names of the timers that have fired."""

    def __init__(self, now: float = 0.0) -> None:
        self.wheel = Wheel(now, tick_seconds=1.0)
        self.fired: list[str] = []

    def add(self, due: float, name: str) -> Timer:
        """Have a name written down when it is due."""
        return self.wheel.add(due, partial(self.fired.append, name))


@pytest.mark.parametrize(
    ("now", "fired"), [(4.0, []), (4.999, []), (5.0, ["a"]), (5.5, ["a"]), (900.0, ["a"])]
)
def test_timer_fires_in_the_first_advance_past_it(now: float, fired: list[str]) -> None:
    """A timer fires when its time has come, not before."""
    diary = Diary()
    diary.add(5.0, "a")
    diary.wheel.advance(now)

    assert diary.fired == fired


@pytest.mark.parametrize(("now", "fired"), [(5.9, []), (6.0, ["a"])])
def test_time_between_ticks_waits_for_the_next_tick(now: float, fired: list[str]) -> None:
    """A timer due between two ticks fires at the later one, at most a tick late."""
    diary = Diary()
    diary.add(5.25, "a")
    diary.wheel.advance(now)

    assert diary.fired == fired


def test_timer_fires_once() -> None:
    """A timer that has fired is gone."""
    diary = Diary()
    diary.add(1.0, "a")
    diary.wheel.advance(1.0)
    diary.wheel.advance(500.0)

    assert diary.fired == ["a"]
    assert diary.wheel.next_due() is None


def test_timers_fire_in_the_order_of_their_ticks() -> None:
    """However they were added and however far apart, timers fire in the order of time."""
    diary = Diary()
    dues = [5000.0, 3.0, 64.0, 63.0, 300_000.0, 65.0, 4096.0]
    for due in dues:
        diary.add(due, str(due))
    diary.wheel.advance(400_000.0)

    assert diary.fired == [str(due) for due in sorted(dues)]


def test_binary_fraction_of_a_second_does_not_cost_a_tick() -> None:
    """A due time that is a whole number of ticks but for rounding fires at that tick."""
    fired: list[int] = []
    wheel = Wheel(0.1, tick_seconds=0.001)
    for milliseconds in range(1, 1000):
        wheel.add(0.1 + milliseconds / 1000, partial(fired.append, milliseconds))
        wheel.advance(0.1 + milliseconds / 1000)

        assert fired[-1:] == [milliseconds]


@pytest.mark.parametrize("due", [-1e6, 9.0, 10.0])
def test_time_that_has_passed_is_due_at_the_next_tick(due: float) -> None:
    """A timer for a moment that is gone fires at the next tick."""
    diary = Diary()
    diary.wheel.advance(10.0)
    diary.add(due, "late")
    assert diary.wheel.next_due() == 11.0

    diary.wheel.advance(11.0)

    assert diary.fired == ["late"]


def test_time_that_goes_backwards_fires_nothing_twice() -> None:
    """An advance to an earlier time than the last one leaves the wheel where it was."""
    diary = Diary()
    diary.add(5.0, "a")
    diary.wheel.advance(5.0)
    diary.wheel.advance(2.0)
    diary.add(3.0, "b")

    assert diary.fired == ["a"]
    assert diary.wheel.next_due() == 6.0


def test_cancelled_timer_does_not_fire() -> None:
    """Cancelling forgets a timer, and only that one, even among others of its tick."""
    diary = Diary()
    timers = [diary.add(5.0, name) for name in "abc"]
    diary.wheel.cancel(timers[1])
    diary.wheel.advance(5.0)

    assert diary.fired == ["a", "c"]


def test_cancelling_twice_or_too_late_is_harmless() -> None:
    """A timer that has fired or was cancelled may be cancelled again."""
    diary = Diary()
    fired, cancelled = diary.add(1.0, "a"), diary.add(2.0, "b")
    diary.add(2.0, "c")
    diary.wheel.cancel(cancelled)
    diary.wheel.advance(1.0)
    diary.wheel.cancel(fired)
    diary.wheel.cancel(cancelled)
    diary.wheel.advance(2.0)

    assert diary.fired == ["a", "c"]


def test_cancelling_the_only_timer_leaves_none_pending() -> None:
    """When the last timer is cancelled there is no time at which to advance."""
    diary = Diary()
    diary.wheel.cancel(diary.add(5000.0, "a"))

    assert diary.wheel.next_due() is None


def test_action_may_cancel_another_timer_of_its_tick() -> None:
    """A timer that is due but was cancelled by one that fired first does not fire."""
    diary = Diary()
    victims: list[Timer] = []

    def cancel_victims() -> None:
        for victim in victims:
            diary.wheel.cancel(victim)

    diary.wheel.add(5.0, cancel_victims)
    victims += [diary.add(5.0, "same tick"), diary.add(6.0, "next tick")]
    diary.wheel.advance(9.0)

    assert diary.fired == []
    assert diary.wheel.next_due() is None


def test_action_may_cancel_itself() -> None:
    """A timer that cancels itself while it fires has fired already."""
    diary = Diary()
    own: list[Timer] = []
    own.append(diary.wheel.add(5.0, lambda: diary.wheel.cancel(own[0])))
    diary.add(5.0, "b")
    diary.wheel.advance(5.0)

    assert diary.fired == ["b"]


def test_timer_that_rearms_itself_cannot_hold_advance() -> None:
    """A timer that arms itself for a moment that has passed waits for the next tick each time."""
    wheel = Wheel(0.0, tick_seconds=1.0)
    fired: list[int] = []

    def rearm() -> None:
        fired.append(len(fired))
        wheel.add(0.0, rearm)

    wheel.add(1.0, rearm)
    for now in (1.0, 1.0, 2.0, 7.0):
        wheel.advance(now)

    assert fired == list(range(7))
    assert wheel.next_due() == 8.0


def test_timer_added_by_an_action_fires_in_the_same_advance_if_it_is_due() -> None:
    """An advance over a long time does not leave behind what an action adds within it."""
    diary = Diary()

    def add_child() -> None:
        diary.add(70.0, "child")

    diary.wheel.add(5.0, add_child)
    diary.add(80.0, "later")
    diary.wheel.advance(100.0)

    assert diary.fired == ["child", "later"]


def test_failing_action_leaves_the_other_timers() -> None:
    """An error of an action reaches the caller, and the next advance goes on behind it."""
    diary = Diary()

    def fail() -> None:
        raise LookupError("an action failed")

    diary.wheel.add(5.0, fail)
    diary.add(5.0, "b")
    with pytest.raises(LookupError):
        diary.wheel.advance(5.0)
    diary.wheel.advance(5.0)

    assert diary.fired == ["b"]


@given(
    start=st.integers(0, SLOTS**5),
    delay=st.integers(1, SLOTS**6) | st.sampled_from([SLOTS**n for n in range(LEVELS)]),
)
@settings(max_examples=200, deadline=None)
def test_timer_costs_at_most_one_early_call_for_each_coarse_level(start: int, delay: int) -> None:
    """Whoever advances when next_due says so is called early no more than six times."""
    diary = Diary()
    diary.wheel.advance(float(start))
    diary.add(float(start + delay), "a")
    calls: list[float] = []
    while (due := diary.wheel.next_due()) is not None:
        calls.append(due)
        diary.wheel.advance(due)

    assert calls[-1] == start + delay
    assert calls == sorted(set(calls))
    assert len(calls) <= LEVELS


def test_timer_a_day_away_costs_four_early_calls() -> None:
    """With ticks of a millisecond, a day or more lies on the fifth level: four calls come early."""
    wheel = Wheel(0.0, tick_seconds=0.001)
    wheel.add(DAY_SECONDS + 1.337, lambda: None)
    calls = 0
    while (due := wheel.next_due()) is not None:
        wheel.advance(due)
        calls += 1

    assert calls == 5


def test_last_tick_of_the_wheel_can_be_reached() -> None:
    """The wheel holds a timer at the end of its reach, 139 years in milliseconds."""
    diary = Diary()
    diary.add(float(LAST_TICK), "a")
    diary.wheel.advance(LAST_TICK - 1.0)
    assert diary.fired == []

    diary.wheel.advance(float(LAST_TICK))

    assert diary.fired == ["a"]


@given(
    origin=st.floats(0.0, 2.0**22, allow_subnormal=False),
    delays=st.lists(st.floats(0.0, 1e5, allow_subnormal=False), min_size=1, max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_advance_to_next_due_always_gets_on(origin: float, delays: list[float]) -> None:
    """With real clock values, a loop that follows next_due fires all, none early, and ends."""
    wheel = Wheel(origin)
    fired: list[float] = []
    for delay in delays:
        wheel.add(origin + delay, partial(fired.append, origin + delay))
    calls = 0
    while (now := wheel.next_due()) is not None:
        before = len(fired)
        wheel.advance(now)
        calls += 1
        assert calls <= LEVELS * len(delays)
        for due in fired[before:]:
            assert due - 1e-8 <= now <= due + 0.001 + 1e-8


class WheelBesideList(RuleBasedStateMachine):
    """A wheel and a plain list of what is pending; each action checks itself against the list."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(0)

    @initialize(origin=st.integers(0, 2**40))
    def begin(self, origin: int) -> None:
        """Start both at some time; all times are exact in binary, ticks of a 64th of a second."""
        self.origin = float(origin)
        self.wheel = Wheel(self.origin, tick_seconds=1 / 64)
        self.tick = 0
        self.target = 0
        self.pending: dict[int, tuple[int, Timer]] = {}
        self.all: list[Timer] = []

    def seconds(self, ticks: float) -> float:
        """Return the time at so many ticks from the start."""
        return self.origin + ticks / 64

    def fire(self, number: int, victim: int | None, child: float | None) -> None:
        """Be a timer's action: check that it is its turn, then do what it was made for."""
        due = self.pending.pop(number)[0]

        assert due <= self.target
        assert all(due <= other for other, _ in self.pending.values())

        self.tick = due
        if victim is not None:
            self.forget(victim)
        if child is not None:
            self.add(self.target + child, None, None)

    def add(self, ticks: float, victim: int | None, child: float | None) -> None:
        """Add a timer to the wheel and to the list."""
        number = len(self.all)
        timer = self.wheel.add(self.seconds(ticks), partial(self.fire, number, victim, child))
        self.all.append(timer)
        self.pending[number] = (max(math.ceil(ticks), self.tick + 1), timer)

    def forget(self, choice: int) -> None:
        """Cancel some timer in both, if there ever was one."""
        if self.all:
            number = choice % len(self.all)
            self.wheel.cancel(self.all[number])
            self.pending.pop(number, None)

    delays = (
        st.integers(-5, 200).map(lambda quarters: quarters / 4)
        | st.integers(50, 5000).map(float)
        | st.integers(0, 64**4).map(float)
    )

    @rule(delay=delays, victim=st.none() | st.integers(0, 99), child=st.none() | delays)
    def timer_added(self, delay: float, victim: int | None, child: float | None) -> None:
        """Add a timer whose action may cancel some timer and add another."""
        self.add(self.tick + delay, victim, child)

    @rule(choice=st.integers(0, 99))
    def timer_cancelled(self, choice: int) -> None:
        """Cancel some timer, perhaps one that has fired."""
        self.forget(choice)

    @rule(delay=delays)
    def time_passed(self, delay: float) -> None:
        """Let time go on; nothing that is due is left behind."""
        now = max(float(self.tick), self.tick + delay)
        self.target = math.floor(now)
        self.wheel.advance(self.seconds(now))
        self.tick = self.target

        assert all(due > self.tick for due, _ in self.pending.values())

    @rule()
    def next_due_followed(self) -> None:
        """Let time go on to where the wheel wants to be called next."""
        due = self.wheel.next_due()
        if due is not None:
            self.time_passed((due - self.origin) * 64 - self.tick)

    @invariant()
    def next_due_is_in_the_future_and_never_too_late(self) -> None:
        """See the wheel ask to be called after now, and no later than its first timer."""
        due = self.wheel.next_due()
        if not self.pending:
            assert due is None
        else:
            assert due is not None
            first = min(tick for tick, _ in self.pending.values())
            assert self.seconds(self.tick) < due <= self.seconds(first)


TestWheelBesideList = pytest.mark.slow(WheelBesideList.TestCase)
TestWheelBesideList.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
