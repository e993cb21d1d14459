"""The one helper that polls: a short step, a hard cap, a clear message."""

import time
from collections.abc import Callable
from typing import TypeVar

Fact = TypeVar("Fact")

STEP_SECONDS = 0.005
CAP_SECONDS = 15.0


def wait_for(fact: Callable[[], Fact], message: str, cap_seconds: float = CAP_SECONDS) -> Fact:
    """Return the first true value of `fact`. Raises AssertionError after the cap."""
    deadline = time.monotonic() + cap_seconds
    while not (value := fact()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {cap_seconds} s: {message} (last: {value!r})")
        time.sleep(STEP_SECONDS)
    return value
