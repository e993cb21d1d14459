"""How long news of workers may be held back."""

import pytest

from socketd.pool.batching import batch_seconds


def test_news_wait_longer_with_more_workers() -> None:
    """But never so long that a client would notice."""
    waits = [batch_seconds(size, idle=size, starting=0) for size in (3, 4, 8, 1_000)]

    assert waits == [0.0, 0.001, 0.002, 0.01]


@pytest.mark.parametrize(
    ("idle", "starting", "share"),
    [(8, 0, 1), (4, 0, 1), (4, 9, 1), (3, 0, 0), (3, 1, 0.25), (0, 4, 0.25), (0, 3, 0), (0, 0, 0)],
)
def test_half_of_the_workers_have_to_wait_or_be_asked_for(
    idle: int, starting: int, share: float
) -> None:
    """Where they only start the time is shorter; where neither holds a turn is taken at once."""
    assert batch_seconds(8, idle, starting) == 0.002 * share
