"""The real pool in simulated time: what theory says of it, its bounds; nothing of it is chance."""

import functools
from array import array
from typing import Any

import pytest

from socketd.planning.durations import Exponential, Fixed, Lognormal, Seen
from socketd.planning.outcome import BINS, Outcome
from socketd.planning.queueing import erlang_c, poisson_tail, share_without, waiting
from socketd.planning.simulation import Machine, simulate
from socketd.planning.streams import STREAMS, Stream, steady
from socketd.planning.turns import Turns
from socketd.pool.messages import Event, WorkerAccepted, WorkerExited, WorkerStarted
from socketd.pool.policy import Pool
from socketd.pool.settings import PoolSettings, Strategy

IN_NO_TIME = Machine(start_seconds=0.0, clone_seconds=0.0, exit_seconds=0.0)


def run(stream: Stream, minimum: int, maximum: int, strategy: Strategy, **of: Any) -> Outcome:  # noqa: ANN401  fields, each of its kind
    """Return what comes of a stream."""
    return simulate(stream, PoolSettings(minimum, maximum, strategy), Machine(**of))


@pytest.mark.slow
def test_fixed_pool_waits_as_erlang_says() -> None:
    """Arrivals at random, exponential service: M/M/c, in its share, its mean and its tail."""
    stream = steady(100.0, 20_000, Exponential(0.06), seed=3)
    theory = waiting(8, 100.0, 0.06)

    found = simulate(stream, PoolSettings(8, 8, Strategy.FIXED), IN_NO_TIME)

    assert found.share_waited == pytest.approx(erlang_c(8, 6.0), rel=0.08)
    assert sum(found.waits) / len(found.waits) == pytest.approx(theory.mean_seconds, rel=0.1)
    assert found.wait(0.95) == pytest.approx(theory.quantile(0.95), rel=0.1)
    assert found.mean_busy == pytest.approx(6.0, rel=0.03)
    assert found.mean_workers == pytest.approx(8.0, rel=0.001)


@pytest.mark.slow
def test_idle_workers_are_a_stock_that_is_ordered_in_batches() -> None:
    """Four are too few as often as theory says, when the pool has news of two taken at a time."""
    stream = steady(1000.0, 8000, Fixed(0.05), seed=1)
    machine = {"start_seconds": 0.001, "clone_seconds": 0.0}

    found = run(stream, 4, 500, Strategy.EAGER, **machine)

    theory = share_without(4, 2, functools.partial(poisson_tail, 1.0))
    assert found.share_waited == pytest.approx(theory, rel=0.15)


@pytest.mark.parametrize("strategy", Strategy)
def test_bounds_hold_and_every_connection_is_served(strategy: Strategy) -> None:
    """Whatever the strategy, no more processes live than the maximum, and nobody is forgotten."""
    stream = STREAMS["bursts"](100.0, 1500, Lognormal(0.02, 0.5), 5)
    minimum = 12 if strategy is Strategy.FIXED else 2

    found = run(stream, minimum, 12, strategy)

    assert found.peak <= 12
    assert max(found.sizes) == found.peak
    assert len(found.waits) == 1500
    assert found.forks >= 1500
    assert found.mean_busy <= found.mean_workers <= 12
    assert len(found.sizes) == len(found.work) == BINS


def test_same_stream_gives_the_same_outcome() -> None:
    """Nothing in it is chance."""
    streams = [STREAMS["flash"](50.0, 500, Exponential(0.05), 7) for _ in range(2)]

    assert streams[0] == streams[1]
    assert run(streams[0], 2, 30, Strategy.SURGE) == run(streams[1], 2, 30, Strategy.SURGE)


def test_connection_that_finds_nobody_waits_for_a_start() -> None:
    """Two at one moment for one worker: the second waits until another is there."""
    stream = Stream(array("d", (0.0, 0.0)), array("d", (1.0, 1.0)))

    found = run(stream, 1, 2, Strategy.EAGER, start_seconds=0.25)

    assert list(found.waits) == [0.0, 0.25]
    assert (found.share_waited, found.wait(0.5), found.wait(1.0)) == (0.5, 0.0, 0.25)


def test_workers_of_one_order_are_ready_one_after_another() -> None:
    """One template makes them all."""
    stream = Stream(array("d", (0.0, 0.0, 0.0)), array("d", (1.0, 1.0, 1.0)))

    found = run(stream, 1, 4, Strategy.SURGE, start_seconds=0.25, clone_seconds=0.125)

    assert list(found.waits) == [0.0, 0.25, 0.375]


def test_idle_workers_leave_when_their_time_is_over() -> None:
    """The timers of the pool are those of the simulation."""
    stream = Stream(array("d", (0.0, 0.0, 0.0, 400.0)), array("d", (1.0,) * 4))

    found = run(stream, 1, 20, Strategy.ADAPTIVE)

    assert found.peak > 3
    assert found.sizes[-2] == 1


class Held:
    """A pool, what its turns have taken, and when they want to be woken."""

    def __init__(self, minimum: int) -> None:
        self.pool = Pool(PoolSettings(minimum, 100, Strategy.EAGER))
        self.pool.start(0.0)
        for worker in range(minimum):
            self.pool.handle(WorkerStarted(worker), 0.0)
        self.taken: list[list[Event]] = []
        self.woken: list[tuple[float, int]] = []
        self.turns = Turns(
            self.pool,
            lambda news, now: self.taken.append(news),  # noqa: ARG005  the interface
            lambda due, batch: self.woken.append((due, batch)),
            lambda: minimum,
        )


def test_news_of_few_workers_is_taken_at_once() -> None:
    """An accept takes a turn where nobody else may wait."""
    held = Held(1)
    held.turns.ring(WorkerAccepted(0), 1.0)

    assert held.taken == [[WorkerAccepted(0)]]


def test_news_of_many_is_held_back_for_a_time_or_for_half_of_them() -> None:
    """As the pool says: eight ready may wait for eight milliseconds, or until four accept more."""
    held = Held(8)
    held.turns.ring(WorkerAccepted(0), 1.0)
    assert held.taken == []
    assert [(round(due, 9), batch) for due, batch in held.woken] == [(1.008, 1)]
    held.turns.expire(1, 1.008)
    assert held.taken == [[WorkerAccepted(0)]]

    for worker in (1, 2, 3, 4):
        held.turns.ring(WorkerAccepted(worker), 1.01)
    assert [len(news) for news in held.taken] == [1, 4]
    held.turns.expire(1, 2.0)
    assert len(held.taken) == 2


def test_ends_are_held_back_where_accepts_are_not() -> None:
    """Nobody waits for an end; the next accept takes a turn with all of them."""
    held = Held(1)
    held.turns.ring(WorkerExited(0, 0), 1.0)
    assert held.taken == []
    held.turns.ring(WorkerAccepted(1), 1.001)

    assert held.taken == [[WorkerExited(0, 0), WorkerAccepted(1)]]


@pytest.mark.parametrize("name", STREAMS)
def test_streams_have_about_the_rate_and_ascend(name: str) -> None:
    """Each made-up one is in order, and has the load that was asked for, but for its peaks."""
    stream = STREAMS[name](100.0, 4000, Fixed(0.01), 1)

    assert list(stream.arrivals) == sorted(stream.arrivals)
    assert len(stream.arrivals) == len(stream.services) >= 4000
    assert 80.0 < stream.rate < 250.0
    assert len(stream.share_of(4).arrivals) in (
        len(stream.arrivals) // 4,
        len(stream.arrivals) // 4 + 1,
    )


def test_distributions_have_the_mean_and_the_variation_that_they_say() -> None:
    """Lognormal by its median and its 99th percentile, and times that were seen."""
    long_tailed, seen = Lognormal(0.1, 1.0), Seen([1.0, 3.0])

    assert long_tailed.mean_seconds == pytest.approx(0.1632, rel=1e-3)
    assert long_tailed.variation == pytest.approx(1.6634, rel=1e-3)
    assert (seen.mean_seconds, seen.variation) == (2.0, 0.25)
    assert (Fixed(1.0).variation, Exponential(1.0).variation) == (0.0, 1.0)
