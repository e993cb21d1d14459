"""Traces: files that say when connections have arrived, and how long they were served.

Owns the three formats and what is taken of each. Must not know what is done with a stream. Such a
file is a stranger's: lines and their number are bounded, and a mistake is one line that names it.

- Our own log in JSON. `connection_closed` has the time of the end and the duration, so the begin is
  known; connections that are open at the end of the file are known by `connection_accepted`.
- A web server's access log, common or combined, and behind that the time of a request in seconds,
  as of nginx with `$request_time`. The time of a line is that of the end then. When in its second
  that was is made up, at random with a fixed seed.
- CSV: the time of an arrival, in seconds or as ISO 8601 has it, and if known the time of service in
  seconds.
"""

import json
import math
import random
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from socketd.dataclass import dataclass, field
from socketd.errors import UsageError, describe_errno
from socketd.planning.durations import Durations, Seen
from socketd.planning.streams import Stream

MOST_CONNECTIONS = 2_000_000
_MOST_LINE_BYTES = 65536
_LONGEST_SECONDS = 365 * 86400.0
_ACCESS = re.compile(
    r"\[(\d{2})/(\w{3})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})\] (.*)", re.ASCII
)
_REQUEST_TIME = re.compile(r"(?:^|[\s=])(\d{1,9}\.\d{1,9})$", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_Line = tuple[int, str]


@dataclass(slots=True)
class Trace:
    """What a file says; a service time of minus one is not known, `begin_seconds` is an epoch's."""

    kind: str
    connections: list[tuple[float, float]] = field(default_factory=list)
    skipped: int = 0

    @property
    def known(self) -> list[float]:
        """Return the service times that are known."""
        return [one for _, one in self.connections if one >= 0.0]


def read_trace(path: str, service: str | None = None) -> Trace:
    """Read a file; of our own log what is about one `service`, if given. Raises UsageError."""
    try:
        with open(path, "rb") as file:
            lines = _lines(path, file)
            first = next(lines, None)
            if first is None:
                raise UsageError(f"{path!r} is empty: a trace has a line for each connection")
            trace = _reader(first[1], service)(path, _again(first, lines))
    except OSError as error:
        why = describe_errno(error.errno or 0)
        raise UsageError(f"cannot read the trace {path!r}: {why}") from error
    if not trace.connections:
        about = f" of the service {service!r}" if service is not None else ""
        raise UsageError(f"{path!r}: no connection{about} is in this {trace.kind}")
    if len({moment for moment, _ in trace.connections}) < 2:
        raise UsageError(f"{path!r}: all its connections have one time: a rate needs two")
    trace.connections.sort()
    return trace


def stream_of(trace: Trace, served: Durations | None, seed: int) -> Stream:
    """Return the connections of a trace; times that it lacks are drawn. Raises UsageError."""
    known = trace.known
    durations = served or (Seen(known) if known else None)
    if durations is None:
        raise UsageError(
            f"this {trace.kind} does not say how long connections last: give --service"
        )
    chance = random.Random(seed)  # noqa: S311  guards no secret
    begin = trace.connections[0][0]
    return Stream(
        array("d", (moment - begin for moment, _ in trace.connections)),
        array(
            "d",
            (one if one >= 0.0 else durations.draw(chance) for _, one in trace.connections),
        ),
    )


def _reader(line: str, service: str | None) -> Callable[[str, Iterator[_Line]], Trace]:
    if line.lstrip().startswith("{"):
        return lambda path, lines: _read_log(path, lines, service)
    if service is not None:
        raise UsageError("--of: only our own log in JSON has names of services")
    return _read_access if _ACCESS.search(line) else _read_csv


def _lines(path: str, file: "Iterable[bytes]") -> Iterator[_Line]:
    """Yield the lines that are not blank, with their numbers. Raises UsageError."""
    reading = file.readline  # type: ignore[attr-defined]  # of a file
    number = 0
    while raw := reading(_MOST_LINE_BYTES + 1):
        number += 1
        if len(raw) > _MOST_LINE_BYTES:
            raise UsageError(
                f"{path!r}, line {number}: it is longer than {_MOST_LINE_BYTES} bytes: no trace"
            )
        text = raw.decode("utf-8", "replace").strip("\ufeff \t\r\n")
        if text:
            yield number, text


def _again(first: _Line, rest: Iterator[_Line]) -> Iterator[_Line]:
    yield first
    yield from rest


def _add(path: str, trace: Trace, moment: float, seconds: float) -> None:
    if len(trace.connections) >= MOST_CONNECTIONS:
        raise UsageError(
            f"{path!r}: it has more than {MOST_CONNECTIONS} connections: give a part of it"
        )
    trace.connections.append((moment, seconds))


def _read_csv(path: str, lines: Iterator[_Line]) -> Trace:
    trace = Trace("CSV file")
    is_first = True
    for number, text in lines:
        if text.startswith("#"):
            continue
        # No time has a comma in it, so quotes need no more than to be taken off.
        cells = [cell.strip().strip('"') for cell in text.split(",")]
        moment = _moment(cells[0])
        was_first, is_first = is_first, False
        if moment is None:
            if was_first and len(cells) <= 2 and not any(one.isdigit() for one in cells[0]):
                continue  # the names of the columns
            raise UsageError(
                f"{path!r}, line {number}: {cells[0][:40]!r} is no time: seconds, or ISO 8601"
            )
        if len(cells) > 2:
            raise UsageError(
                f"{path!r}, line {number}: {len(cells)} columns, not an arrival and a service"
            )
        seconds = -1.0
        if len(cells) == 2 and cells[1].strip():
            found = _seconds(cells[1])
            if found is None or not 0.0 <= found <= _LONGEST_SECONDS:
                raise UsageError(
                    f"{path!r}, line {number}: {cells[1][:40]!r} is no time of service in seconds"
                )
            seconds = found
        _add(path, trace, moment, seconds)
    return trace


def _read_access(path: str, lines: Iterator[_Line]) -> Trace:
    """Take the lines that have a time; those of a stranger's requests may be anything."""
    trace = Trace("access log")
    chance = random.Random(0)  # noqa: S311
    for _, text in lines:
        found = _ACCESS.search(text)
        ended = _access_time(found) if found else None
        if found is None or ended is None:
            trace.skipped += 1
            continue
        seconds = _request_time(found[10])
        moment = ended + chance.random()
        _add(path, trace, moment if seconds is None else moment - seconds, _known(seconds))
    return trace


def _known(seconds: float | None) -> float:
    return -1.0 if seconds is None else seconds


def _request_time(rest: str) -> float | None:
    """Return the seconds at the end of a line, behind all that is quoted: clients write that."""
    found = _REQUEST_TIME.search(rest.rpartition('"')[2])
    seconds = float(found[1]) if found else math.inf
    return seconds if seconds <= _LONGEST_SECONDS else None


def _access_time(found: re.Match[str]) -> float | None:
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()[:9]
    if month not in _MONTHS:
        return None
    try:
        local = datetime(  # noqa: DTZ001  its zone is taken away below
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second)
        )
    except ValueError:
        return None
    away = (int(hours) * 60 + int(minutes)) * 60
    return local.replace(tzinfo=UTC).timestamp() - (away if sign == "+" else -away)


def _read_log(path: str, lines: Iterator[_Line], service: str | None) -> Trace:
    """Take the ends of connections, and the begins of those that have not ended."""
    trace = Trace("log of ours")
    open_since: dict[object, float] = {}
    for _, text in lines:
        event = _event(text)
        moment = _moment(str(event.get("timestamp", "")))
        if event.get("event") not in ("connection_accepted", "connection_closed"):
            continue
        if service is not None and event.get("service") != service:
            continue
        key = str(event.get("id") or event.get("pid"))
        duration = event.get("duration_s")
        if moment is None:
            trace.skipped += 1
        elif event["event"] == "connection_accepted":
            if len(open_since) >= MOST_CONNECTIONS:
                raise UsageError(f"{path!r}: it has more connections than are looked at")
            open_since[key] = moment
        elif _is_duration(duration):
            open_since.pop(key, None)
            _add(path, trace, moment - float(duration), float(duration))  # type: ignore[arg-type]  # a number
        else:
            trace.skipped += 1
    for moment in open_since.values():
        _add(path, trace, moment, -1.0)
    return trace


def _is_duration(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0.0 <= value <= _LONGEST_SECONDS  # type: ignore[operator]  # a number


def _event(text: str) -> dict[str, object]:
    """Return the keys of a line, none of a line that is broken off or no object."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and text.isascii() and "_" not in text else None


def _moment(text: str) -> float | None:
    """Return the seconds of a time: a number, or ISO 8601, which is UTC unless it says so."""
    seconds = _seconds(text)
    if seconds is not None:
        return seconds if abs(seconds) < 1e11 else None
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
