"""What stays is looked through once, and again only after it was changed."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from socketd.master import garbage


class Ring:
    """Refers to itself: only a collection finds it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_is_left_alone_is_looked_through_when_it_is_begun_again() -> None:
    """What has become garbage of it waits for that; what came later does not."""
    garbage.begin()
    old = Ring()
    garbage.leave_alone()
    new = Ring()
    gone = [weakref.ref(old), weakref.ref(new)]
    del old, new

    gc.collect()
    assert [one() is None for one in gone] == [False, True]
    garbage.begin_again()
    assert [one() is None for one in gone] == [True, True]


def test_collection_does_not_look_at_what_stays() -> None:
    """All that there was is out of its sight."""
    garbage.begin()
    kept = [Ring() for _ in range(100)]
    before = gc.get_freeze_count()
    garbage.leave_alone()

    assert gc.get_freeze_count() >= before + len(kept)
