"""The mathematics of waiting, against published values and against the long way round."""

import functools
import math
from fractions import Fraction

import pytest

from socketd.planning.queueing import (
    Waiting,
    erlang_b,
    erlang_c,
    poisson_tail,
    quantile,
    servers_for,
    servers_for_past,
    share_delayed,
    share_without,
    stock_for,
    taken_meanwhile,
    waiting,
)


def in_full(servers: int, load: Fraction) -> Fraction:
    """Return Erlang C by its definition, exactly."""
    terms = [load**count / math.factorial(count) for count in range(servers + 1)]
    all_busy = terms[servers] * Fraction(servers) / (servers - load)
    return all_busy / (sum(terms[:servers]) + all_busy)


@pytest.mark.parametrize(
    ("servers", "load", "published"), [(10, 5.0, 0.0184), (10, 10.0, 0.2146), (30, 20.0, 0.0085)]
)
def test_erlang_b_is_that_of_the_tables(servers: int, load: float, published: float) -> None:
    """To the four digits that tables have."""
    assert round(erlang_b(servers, load), 4) == published


@pytest.mark.parametrize(
    ("servers", "load", "published"), [(2, 1.0, 0.3333), (10, 8.0, 0.4092), (14, 10.0, 0.1741)]
)
def test_erlang_c_is_that_of_the_tables(servers: int, load: float, published: float) -> None:
    """To the four digits that tables have."""
    assert round(erlang_c(servers, load), 4) == published


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (5, 4.0), (24, 20.0), (110, 100.0)])
def test_erlang_c_is_its_definition(servers: int, load: float) -> None:
    """The recurrence and the sum are the same, also where factorials have hundreds of digits."""
    assert erlang_c(servers, load) == pytest.approx(float(in_full(servers, Fraction(load))))


def test_thousands_of_servers_are_no_trouble() -> None:
    """No power and no factorial overflows."""
    assert 0.0 < erlang_c(10_200, 10_000.0) < 0.1


def test_too_few_servers_let_all_wait_for_ever() -> None:
    """A load that is not carried has no mean, and no quantile."""
    found = waiting(4, 100.0, 0.05)

    assert (found.share, found.mean_seconds) == (1.0, math.inf)
    assert found.quantile(0.5) == math.inf
    assert erlang_c(4, 4.0) == 1.0


def test_waits_are_those_of_one_server() -> None:
    """With one server a share as large as the load waits, on average for 1 / (mu - lambda)."""
    found = waiting(1, 8.0, 0.1)

    assert found.share == pytest.approx(0.8)
    assert found.mean_seconds == pytest.approx(0.8 * 0.5)
    assert found.quantile(0.1) == 0.0
    assert found.quantile(0.9) == pytest.approx(0.5 * math.log(8.0))
    assert Waiting(0.0, 1.0).mean_seconds == 0.0


def test_service_that_does_not_vary_halves_the_mean_wait() -> None:
    """As Pollaczek and Khinchin have it for one server."""
    assert waiting(1, 8.0, 0.1, 0.0).mean_seconds == waiting(1, 8.0, 0.1).mean_seconds / 2.0


def test_fewest_servers_reach_the_goal_and_one_less_does_not() -> None:
    """It is the smallest number; a limit that is too low says so."""
    found = servers_for(10.0, 0.01, 100)

    assert found is not None
    assert erlang_c(found, 10.0) <= 0.01 < erlang_c(found - 1, 10.0)
    assert servers_for(10.0, 0.01, found - 1) is None


def stock(demand: float, most_waiting: float, batch: int = 1) -> int:
    """Return the stock for arrivals at random."""
    tail = functools.partial(poisson_tail, demand)
    return stock_for(most_waiting, lambda _: batch, tail, 100_000)


@pytest.mark.parametrize(
    ("demand", "most_waiting", "expected"),
    [(0.0, 0.01, 1), (0.2, 0.01, 3), (0.2, 0.2, 1), (1.0, 0.1, 3), (10.0, 0.01, 19)],
)
def test_stock_is_the_quantile_of_poisson(
    demand: float, most_waiting: float, expected: int
) -> None:
    """P(X >= stock) is no more than the share; values by hand from the tables of Poisson."""
    assert stock(demand, most_waiting) == expected


def test_large_stock_is_close_to_the_normal_one() -> None:
    """A thousand arrivals neither overflow nor take long."""
    assert stock(1000.0, 0.01) == pytest.approx(1000 + 2.326 * math.sqrt(1000), abs=2)


def test_orders_in_batches_need_more_in_stock() -> None:
    """What is not ordered yet is missing: by the tables (0.0190 + 0.0803) / 2 for two at a time."""
    tail = functools.partial(poisson_tail, 1.0)

    assert share_without(4, 1, tail) == pytest.approx(0.0190, abs=1e-4)
    assert share_without(4, 2, tail) == pytest.approx(0.0497, abs=1e-4)
    assert stock(1.0, 0.02, batch=2) == 5
    assert poisson_tail(1.0, 0) == 1.0
    assert poisson_tail(1.0, 100) == poisson_tail(0.0, 1) == 0.0
    assert stock_for(0.0, lambda _: 1, tail, 7) == 7


def test_arrivals_before_an_arrival_are_counted() -> None:
    """Those within the time, the one itself not among them."""
    assert taken_meanwhile([0.0, 0.1, 0.2, 1.0, 1.05], 0.15) == [0, 1, 1, 0, 1]


def test_past_is_counted_through_in_order() -> None:
    """Who comes while all servers are at work waits, and is served first when one is free."""
    arrivals, services = [0.0, 0.0, 0.5, 2.0], [1.0, 1.0, 1.0, 1.0]

    assert share_delayed(arrivals, services, 1) == 0.75
    assert share_delayed(arrivals, services, 2) == 0.25
    assert share_delayed(arrivals, services, 3) == 0.0
    assert servers_for_past(arrivals, services, 0.25, 9) == 2
    assert servers_for_past(arrivals, services, 0.0, 9) == 3
    assert servers_for_past(arrivals, services, 0.0, 2) is None


def test_quantile_is_a_value_that_was_there() -> None:
    """The smallest that the share does not exceed."""
    values = [1.0, 2.0, 3.0, 4.0]

    assert [quantile(values, share) for share in (0.25, 0.5, 0.51, 1.0)] == [1.0, 2.0, 3.0, 4.0]
