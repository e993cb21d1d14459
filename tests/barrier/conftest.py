"""Fixtures of the tests of the barrier."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from barrier.pairs import Pair

Start = Callable[..., Pair]


@pytest.fixture
def start_pair(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts the two; at the end nobody may be left of either."""
    pairs: list[Pair] = []
    numbers = itertools.count()

    def start(keys: str = "", fault: str = "", **what: str) -> Pair:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        pair = Pair(folder, keys, fault, **what)
        pairs.append(pair)
        if not fault and not what:
            pair.wait_answer()
        return pair

    yield start
    for pair in pairs:
        pair.server.close()
