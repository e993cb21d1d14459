"""Sizes come down: whatever has happened, a pool ends at what the last windows have needed."""

import math
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.simulation import Simulation
from socketd.dataclass import replace
from socketd.pool.settings import PoolSettings, Strategy

IDLE_SECONDS = 30.0
HOUR = 3600.0
MOST_AHEAD = 64


def simulate(
    strategy: Strategy, minimum: int, maximum: int, birth_seconds: float = 0.001
) -> Simulation:
    """Return a pool that is up."""
    most = minimum if strategy is Strategy.FIXED else maximum
    settings = PoolSettings(minimum, most, strategy, IDLE_SECONDS)
    simulation = Simulation(settings, birth_seconds)
    simulation.run(1.0)
    return simulation


def most_idle(strategy: Strategy, minimum: int, busy: int, completions: int) -> int:
    """Return how many may wait in a pool that settles, as socketd/pool/strategies.py has it.

    No more than `busy` are at work at once, no more than `completions` end in a window.
    """
    match strategy:
        case Strategy.FIXED | Strategy.EAGER:
            return minimum
        case Strategy.ADAPTIVE:
            return max(minimum, min(busy, MOST_AHEAD))
        case Strategy.INCREMENTAL:
            return max(minimum, busy) + 2 * completions + 1
        case Strategy.SURGE:
            return max(minimum, busy + 1)


def windows_to_settle(maximum: int) -> int:
    """Return after how many windows a pool that comes down by halves is down."""
    return maximum.bit_length() + 3


@pytest.mark.parametrize("minimum", [1, 4])
@pytest.mark.parametrize("gap", [1.0, 29.0, 31.0])
@pytest.mark.parametrize("strategy", Strategy)
def test_trickle_for_hours_keeps_nobody_up(strategy: Strategy, gap: float, minimum: int) -> None:
    """One short connection at a time needs one worker, whether each idle time has one or not.

    With `surge` a connection after a quiet time brings up all; they come down before the next.
    """
    pool = simulate(strategy, minimum, 256)
    pool.trickle(gap, HOUR)
    pool.forget_peaks()
    pool.trickle(gap, 4 * HOUR)

    surges = strategy is Strategy.SURGE and gap > IDLE_SECONDS
    per_window = math.ceil(IDLE_SECONDS / gap)
    bound = 256 if surges else most_idle(strategy, minimum, 1, per_window)
    assert pool.most_idle <= bound
    pool.run(pool.now + windows_to_settle(256) * IDLE_SECONDS)
    assert (pool.idle, pool.sleeps_for_ever) == (minimum, True)


@pytest.mark.parametrize("strategy", Strategy)
def test_reloads_under_load_leave_no_more_than_was_there(strategy: Strategy) -> None:
    """Ten generations that take long to come up, while the old ones go on accepting."""
    pool = simulate(strategy, 4, 256, birth_seconds=0.05)
    for seed in range(10):
        pool.load(200, pool.now + 1, 0.05, seed)
        pool.reload()
    pool.load(200, pool.now + 1, 0.05)
    pool.trickle(1.0, pool.now + windows_to_settle(256) * IDLE_SECONDS)
    pool.forget_peaks()
    pool.trickle(1.0, pool.now + HOUR)

    assert pool.most_idle <= most_idle(strategy, 4, 1, 30)


@pytest.mark.parametrize("strategy", Strategy)
def test_storm_leaves_no_more_than_was_there(strategy: Strategy) -> None:
    """Far more at once than were there, with reloads and deaths, then one a second."""
    pool = simulate(strategy, 4, 256, birth_seconds=0.02)
    pool.kill(2)
    for seed in range(5):
        pool.load(1500, pool.now + 0.2, 0.05, seed)
        pool.reload()
    pool.load(1500, pool.now + 0.2, 0.05)
    pool.run(pool.now + 60.0)
    pool.trickle(1.0, pool.now + windows_to_settle(256) * IDLE_SECONDS)
    pool.forget_peaks()
    pool.trickle(1.0, pool.now + HOUR)

    assert pool.most_idle <= most_idle(strategy, 4, 1, 30)


def test_surge_grows_again_when_more_come_than_it_has_come_down_to() -> None:
    """A pool that has come down under a trickle is no trap for the burst that follows."""
    pool = simulate(Strategy.SURGE, 1, 64)
    pool.trickle(10.0, HOUR)
    assert pool.pool.size.total == 2

    for _ in range(50):
        pool.connect(5.0)
    pool.run(pool.now + 0.1)

    assert pool.pool.size.busy == 50


Happening = Literal["wait", "connect", "reload", "kill"]
EVENTS: st.SearchStrategy[tuple[Happening, float]] = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from((0.0005, 0.1, 7.0, 29.0, 31.0))),
    st.tuples(st.just("connect"), st.sampled_from((0.0001, 0.01, 5.0, 40.0))),
    st.tuples(st.just("reload"), st.just(0.0)),
    st.tuples(st.just("kill"), st.just(0.0)),
)


@given(
    strategy=st.sampled_from(Strategy),
    minimum=st.integers(1, 12),
    spare=st.integers(0, 40),
    birth_seconds=st.sampled_from((0.001, 0.05, 3.0)),
    events=st.lists(EVENTS, max_size=60),
    busy=st.integers(0, 12),
    stay=st.sampled_from((0.01, 1.0, 20.0)),
    gap=st.sampled_from((1.0, 4.0, 28.0)),
)
@settings(max_examples=100, deadline=None)
def test_every_pool_settles_at_what_it_needs(
    strategy: Strategy,
    minimum: int,
    spare: int,
    birth_seconds: float,
    events: list[tuple[Happening, float]],
    busy: int,
    stay: float,
    gap: float,
) -> None:
    """Anything may happen; then so many clients at most, one after the other; then nothing."""
    pool = simulate(strategy, minimum, minimum + spare, birth_seconds)
    for event, number in events:
        match event:
            case "wait":
                pool.run(pool.now + number)
            case "connect":
                pool.connect(number)
            case "reload":
                pool.reload()
            case "kill":
                pool.kill(1)
    pool.run(pool.now + 200.0)

    settling = windows_to_settle(minimum + spare) * IDLE_SECONDS
    end = pool.now + 2 * settling

    def come() -> None:
        if pool.now < end:
            pool.connect(stay, lambda: pool.at(pool.now + gap, come))

    for _ in range(busy):
        come()
    pool.run(pool.now + settling)
    pool.forget_peaks()
    pool.run(end)

    completions = busy * math.ceil(IDLE_SECONDS / (stay + gap) + 1)
    surges = strategy is Strategy.SURGE and stay + gap >= IDLE_SECONDS
    if not surges:
        assert pool.most_idle <= most_idle(strategy, minimum, busy, completions)
    assert pool.most_in_all <= minimum + spare
    assert pool.pool.size.total >= minimum

    pool.run(pool.now + 2 * settling)
    assert (pool.idle, pool.sleeps_for_ever) == (minimum, True)


@pytest.mark.parametrize("strategy", Strategy)
def test_pool_of_none_serves_nobody_and_then_goes_on(strategy: Strategy) -> None:
    """With sizes of 0 who waits leaves, and none is started until there are others."""
    pool = simulate(strategy, 2, 8)
    former = pool.settings
    pool.connect(5.0)
    pool.run(2.0)
    pool.adjust(replace(former, minimum=0, maximum=0))
    pool.connect(0.01)
    pool.run(4.0)
    assert (pool.idle, pool.pool.size.busy) == (0, 1)
    pool.run(100.0)
    assert (pool.processes, pool.waited_seconds) == (0, 0.0)

    pool.adjust(former)
    pool.run(200.0)
    assert pool.idle >= 2
    assert pool.waited_seconds == pytest.approx(98.0, abs=0.1)
