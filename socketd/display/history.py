"""What the last minutes of a listener were like: made of one state after another.

Owns rates and the bars of small charts. Must not know where states come from, nor how they are
shown. Pure: states and times go in. Nothing is known of what was before the first state.
"""

import math
from collections.abc import Mapping, Sequence

from socketd.dataclass import dataclass
from socketd.display.fields import FIELDS, Row, number

BUCKET_SECONDS = 5.0
_MOST_BUCKETS = 120
_LEVELS = "▁▂▃▄▅▆▇█"

Place = tuple[str, str]
Bars = tuple[float | None, ...]

ALL: Place = ("", "")


@dataclass(frozen=True, slots=True)
class Track:
    """A listener over time: rates per second, None as long as there was one state only.

    `busy`, `waiting` and `came` have the most in each bucket of time, the present one last; None
    stands for a time in which nobody has asked.
    """

    at_seconds: float
    counts: tuple[int, int, int]
    came_rate: float | None
    failed_rate: float | None
    refused_rate: float | None
    busy: Bars
    waiting: Bars
    came: Bars


@dataclass(frozen=True, slots=True)
class _Sample:
    """What of one state makes the next of a track."""

    counts: tuple[int, int, int]
    busy: int
    waiting: int | None


Tracks = Mapping[Place, Track]


def place_of(row: Row) -> Place:
    """Return what tells a listener from all others of its server."""
    return row[0].name, row[1].address


def heard(tracks: Tracks, rows: Sequence[Row], now_seconds: float) -> Tracks:
    """Return the tracks of listeners after another state, and under ALL that of all together."""
    samples = {place_of(row): _sample_of(row) for row in rows}
    samples[ALL] = _sum_of(list(samples.values()))
    return {
        place: _went_on(tracks.get(place), sample, now_seconds) for place, sample in samples.items()
    }


def bars(values: Bars, most: float, width: int) -> str:
    """Draw a chart in one line, the present at its right end; what is not known stays empty."""
    most = max(most, *(value for value in values if value is not None), 0.0)
    shown = "".join(_bar(value, most) for value in values[-width:]) if width > 0 else ""
    return shown.rjust(width)


def _sample_of(row: Row) -> _Sample:
    waiting = FIELDS["queue"](*row)
    return _Sample(
        (number(row, "accepted"), number(row, "failed"), number(row, "refused")),
        number(row, "busy"),
        waiting if isinstance(waiting, int) else None,
    )


def _sum_of(samples: Sequence[_Sample]) -> _Sample:
    waiting = [one.waiting for one in samples if one.waiting is not None]
    accepted, failed, refused = (sum(one.counts[n] for one in samples) for n in range(3))
    busy = sum(one.busy for one in samples)
    return _Sample((accepted, failed, refused), busy, sum(waiting) if waiting else None)


def _went_on(track: Track | None, sample: _Sample, now_seconds: float) -> Track:
    step = 0
    rates: tuple[float | None, ...] = (None, None, None)
    former: tuple[Bars, Bars, Bars] = ((), (), ())
    if track is not None:
        step = _bucket(now_seconds) - _bucket(track.at_seconds)
        former = (track.busy, track.waiting, track.came)
        rates = (track.came_rate, track.failed_rate, track.refused_rate)
        span = now_seconds - track.at_seconds
        if span > 0:
            # Counters go back where a service was taken away and has come again.
            pairs = zip(sample.counts, track.counts, strict=True)
            rates = tuple(max(0, new - old) / span for new, old in pairs)
    came, failed, refused = rates
    return Track(
        now_seconds,
        sample.counts,
        came,
        failed,
        refused,
        _longer(former[0], sample.busy, step),
        _longer(former[1], sample.waiting, step),
        _longer(former[2], came, step),
    )


def _bucket(seconds: float) -> int:
    return math.floor(seconds / BUCKET_SECONDS)


def _longer(values: Bars, value: float | None, step: int) -> Bars:
    """Return buckets with another value, so many buckets after the last one."""
    if values and step <= 0:
        last = values[-1]
        if last is not None:
            value = last if value is None else max(last, value)
        return (*values[:-1], value)
    gap = (None,) * min(step - 1, _MOST_BUCKETS) if values else ()
    return (*values, *gap, value)[-_MOST_BUCKETS:]


def _bar(value: float | None, most: float) -> str:
    if value is None:
        return " "
    level = math.ceil(value / most * (len(_LEVELS) - 1)) if most > 0 else 0
    return _LEVELS[level]
