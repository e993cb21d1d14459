"""Starting a program at each level, and taking down what comes of it.

Owns the order of what is done at a level. Must not know how a server is run, nor how findings look.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from socketd.config.services import ServiceSettings, WorkerKind
from socketd.dataclass import dataclass, field, replace
from socketd.errors import BugError, ExitCode, SocketdError, SystemFailureError
from socketd.explain.findings import Choice, Explanation, Finding
from socketd.explain.memory import settled_kib
from socketd.explain.orphans import adopted
from socketd.explain.rehearsal import Rehearsal, private_folder
from socketd.explain.sharing import sharing_of
from socketd.explain.sightings import Sightings
from socketd.explain.visitor import Errand, Visit, visit
from socketd.settings.readiness import ReadyLevel
from socketd.system.products import NOT_BUILT, is_built

# How long a server may take beside the program's own start.
_MARGIN_SECONDS = 5.0
_MOST_REST_SECONDS = 1.0
_NOTHING_SAID = Errand()
_LATE_NEWS_SECONDS = 0.05  # at relay a program may end while its worker waits


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at: the settings of a service at the level `auto`.

    `impossible` are the levels that these settings rule out, and why. `prepared` are those at
    `stop` of a CGI script that `socketd cgi` prepares up to its first line.
    """

    settings: ServiceSettings
    impossible: Mapping[ReadyLevel, str] = field(default_factory=dict)
    prepared: ServiceSettings | None = None


def explain(
    subject: Subject,
    levels: Sequence[ReadyLevel],
    errand: Errand = _NOTHING_SAID,
    connections: int = 0,
    announce: Callable[[ReadyLevel], object] = lambda _: None,
) -> Explanation:
    """Start the program of a service at each level; without `connections` only start it.

    `announce` is called before each level. Raises SocketdError if the program cannot be started at
    all, or not with these settings.
    """
    findings = []
    with adopted(), private_folder() as folder:
        for level in levels:
            if (reason := subject.impossible.get(level)) is not None:
                findings.append(Finding(level, reason, is_impossible=True))
                continue
            announce(level)
            settings = subject.prepared if level is ReadyLevel.STOP else None
            findings.append(_look(settings or subject.settings, folder, level, errand, connections))
        auto = _choice(subject.settings, folder)
        cgi = None if subject.prepared is None else _choice(subject.prepared, folder)
        return Explanation(tuple(findings), auto, cgi)


def choice_of(settings: ServiceSettings) -> Choice:
    """Start the program of a service as the service does, and return the level that it gets.

    No connection is made. Raises SocketdError if the service would not come up.
    """
    with adopted(), private_folder() as folder:
        return _choice(settings, folder)


def _choice(settings: ServiceSettings, folder: str) -> Choice:
    with Rehearsal(settings, folder) as server:
        seen, readiness = server.seen, settings.readiness
        limit = readiness.hold_seconds * len(readiness.levels) + _MARGIN_SECONDS
        server.watch(lambda: seen.level is not None, time.monotonic() + limit)
        if seen.level is None:
            raise _failure(seen)
        level = ReadyLevel(seen.level)
        is_missing = level is ReadyLevel.FORK and readiness.is_auto and not is_built()
        return Choice(level, NOT_BUILT if is_missing else seen.fallback_reason)


def _look(
    settings: ServiceSettings, folder: str, level: ReadyLevel, errand: Errand, connections: int
) -> Finding:
    if level is not ReadyLevel.FORK and (reason := _why_no_template(settings)) is not None:
        return Finding(level, reason)
    readiness = replace(settings.readiness, level=level, is_strict=True, is_auto=False)
    limit = readiness.hold_seconds
    with Rehearsal(replace(settings, readiness=readiness), folder) as server:
        seen = server.seen
        server.watch(lambda: seen.level is not None, time.monotonic() + limit + _MARGIN_SECONDS)
        if seen.level is None:
            if level is ReadyLevel.FORK or seen.exit_code == ExitCode.BUG or not seen.reasons:
                raise _failure(seen)
            return Finding(level, seen.reasons[0])
        private_kib = settled_kib(next(iter(seen.waiting)), min(limit, _MOST_REST_SECONDS))
        server.watch(lambda: bool(seen.reasons), time.monotonic() + _LATE_NEWS_SECONDS)
        visits = tuple(_visits(server, errand, connections, limit))
        if seen.reasons:
            return Finding(level, seen.reasons[0])
        return Finding(
            level,
            None,
            sharing_of(level, settings.program, seen.files, seen.canary),
            private_kib,
            visits,
            tuple(seen.statuses),
        )


def _why_no_template(settings: ServiceSettings) -> str | None:
    if settings.worker is WorkerKind.PYTHON:
        return "workers that are made in Python have no template"
    return None if is_built() else NOT_BUILT


def _failure(seen: Sightings) -> SocketdError:
    """Return the error of a server that has not come up, which is not for a level's sake."""
    why = seen.error or next(iter(seen.reasons), "the server did not come up")
    failure: SocketdError = (BugError if seen.exit_code == ExitCode.BUG else SystemFailureError)(
        why
    )
    failure.exit_code = seen.exit_code or ExitCode.SYSTEM
    return failure


def _visits(server: Rehearsal, errand: Errand, count: int, limit_seconds: float) -> Iterator[Visit]:
    """Visit the server one time after another, each when as many workers wait as at first.

    The one that has waited longest gets the connection; it has done by then what it does ahead.
    """
    seen = server.seen
    workers = len(seen.waiting)
    for number in range(count):
        if seen.reasons:
            return
        settled_kib(next(iter(seen.waiting)), min(limit_seconds, _MOST_REST_SECONDS))
        found = visit(server.path, errand, limit_seconds)
        yield found
        until = time.monotonic() + min(limit_seconds, _MARGIN_SECONDS)
        is_served = server.watch(
            lambda: len(seen.statuses) > number and len(seen.waiting) >= workers,  # noqa: B023  called at once
            until,
        )
        if found.end_seconds is None or not is_served:
            return
