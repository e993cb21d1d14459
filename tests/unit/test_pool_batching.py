"""How long news of workers may be held back."""

import pytest

from socketd.pool.batching import patience


def test_news_wait_longer_with_more_workers() -> None:
    """But never so long that a client would notice."""
    waits = [patience(ready).seconds for ready in (3, 4, 8, 1_000)]

    assert waits == [0.0, 0.004, 0.008, 0.01]


@pytest.mark.parametrize(("ready", "accepts"), [(0, 0), (3, 0), (4, 2), (8, 4), (9, 4), (100, 50)])
def test_half_of_the_workers_are_left_for_the_clients_of_the_next_turn(
    ready: int, accepts: int
) -> None:
    """Where that is fewer than two accepts, a turn is taken for each."""
    assert patience(ready).accepts == accepts
