"""The timers of one owner: called behind its barrier, and gone all at once."""

import functools
from collections.abc import Callable

from socketd.loop.wheel import OwnTimers, Wheel


def direct(action: Callable[[], None]) -> None:
    """Call an action with no barrier around it."""
    action()


def test_actions_are_called_by_the_owner() -> None:
    """What is due is handed to `run`, and not called by the wheel."""
    wheel = Wheel(0.0)
    handed: list[Callable[[], None]] = []
    timers = OwnTimers(wheel, handed.append)
    called: list[str] = []
    timers.add(1.0, lambda: called.append("one"))
    wheel.advance(2.0)

    assert (len(handed), called) == (1, [])
    handed[0]()
    assert called == ["one"]


def test_cancelled_timer_is_forgotten() -> None:
    """One that was cancelled does not fire, and to cancel one twice does no harm."""
    wheel = Wheel(0.0)
    timers = OwnTimers(wheel, direct)
    called: list[str] = []
    timer = timers.add(1.0, lambda: called.append("one"))
    timers.cancel(timer)
    timers.cancel(timer)
    wheel.advance(2.0)

    assert called == []


def test_all_of_an_owner_go_and_no_other() -> None:
    """`cancel_all` takes the timers of its owner, and leaves those of others on the wheel."""
    wheel = Wheel(0.0)
    mine, theirs = OwnTimers(wheel, direct), OwnTimers(wheel, direct)
    called: list[str] = []
    for name in ("one", "two"):
        mine.add(1.0, functools.partial(called.append, name))
    theirs.add(1.0, lambda: called.append("other"))
    mine.cancel_all()
    wheel.advance(2.0)

    assert called == ["other"]
    assert wheel.next_due() is None
