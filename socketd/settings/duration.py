"""Lengths of time as text.

Owns the text form. Must not know what a time is for, nor any clock.
"""

import math

from socketd.errors import UsageError

# poll(2) takes milliseconds as a C int, and so does epoll_wait(2): 24 days.
LONGEST_WAIT_SECONDS = float((2**31 - 1) // 1000)
_SHORTEST_SECONDS = 0.001
_LONGEST_SECONDS = 365 * 86400.0
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LETTERS = "".join(_UNIT_SECONDS)


def parse_duration(text: str, setting: str) -> float:
    """Return the seconds of a duration: `30s`, `5m`, `1.5h`, `250ms`, `2d`.

    A bare number means seconds. Raises UsageError for anything else, for more than a year and for
    less than a millisecond: some readers take 0 for "never", others for "at once". To have no
    limit, the setting is left out.
    """
    number = text.rstrip(_LETTERS)
    unit = text[len(number) :] or "s"
    is_duration = _is_number(number) and unit in _UNIT_SECONDS
    seconds = float(number) * _UNIT_SECONDS[unit] if is_duration else math.inf
    if not _SHORTEST_SECONDS <= seconds <= _LONGEST_SECONDS:
        raise UsageError(
            f"{setting}: {text!r} is not a duration; give a number and one of ms, s, m, h, d, "
            "for example 30s, from 1ms to 365d"
        )
    return seconds


def _is_number(text: str) -> bool:
    """Tell whether it is digits with at most one point, which is not the last."""
    digits = text.replace(".", "", 1)
    return digits.isascii() and digits.isdecimal() and not text.endswith(".")


def format_duration(seconds: float) -> str:
    """Return the shortest text for a duration: `1h`, `90s`, `250ms`."""
    for unit in ("d", "h", "m", "s"):
        count = seconds / _UNIT_SECONDS[unit]
        if count >= 1 and count == int(count):
            return f"{int(count)}{unit}"
    milliseconds = seconds * 1000
    return f"{milliseconds:g}ms" if milliseconds == int(milliseconds) else f"{seconds!r}s"
