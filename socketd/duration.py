"""Lengths of time as people write them.

Owns the text form. Must not know what a time is for, nor any clock.
"""

import math
import re

from socketd.errors import UsageError

_LONGEST_SECONDS = 365 * 86400.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h|d)?", re.ASCII)
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str, setting: str) -> float:
    """Return the seconds of a duration: `30s`, `5m`, `1.5h`, `250ms`, `2d`.

    A bare number means seconds. Raises UsageError for anything else and for more than a year.
    """
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _UNIT_SECONDS[found[2] or "s"] if found else math.inf
    if seconds > _LONGEST_SECONDS:
        raise UsageError(
            f"{setting}: {text!r} is not a duration; give a number and one of ms, s, m, h, d, "
            "for example 30s, up to a year"
        )
    return seconds
