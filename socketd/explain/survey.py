"""Starting a program at each level, and taking down what comes of it.

Owns the order of what is done at a level. Must not know how a server is run, nor how findings look.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from socketd.config.services import ServiceSettings, WorkerKind
from socketd.dataclass import replace
from socketd.errors import BugError, ExitCode, SocketdError, SystemFailureError
from socketd.explain.findings import Explanation, Finding
from socketd.explain.memory import settled_kib
from socketd.explain.orphans import adopted
from socketd.explain.rehearsal import Rehearsal, private_folder
from socketd.explain.sharing import sharing_of
from socketd.explain.visitor import Visit, visit
from socketd.settings.readiness import ReadyLevel
from socketd.system.products import NOT_BUILT, is_built

# How long a server may take beside the program's own start.
_MARGIN_SECONDS = 5.0
_MOST_REST_SECONDS = 1.0
_LATE_NEWS_SECONDS = 0.05  # at relay a program may end while its worker waits


def explain(
    settings: ServiceSettings,
    levels: Sequence[ReadyLevel],
    content: bytes = b"",
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
            announce(level)
            findings.append(_look(settings, folder, level, content, connections))
    return Explanation(tuple(findings))


def _look(
    settings: ServiceSettings, folder: str, level: ReadyLevel, content: bytes, connections: int
) -> Finding:
    if level is not ReadyLevel.FORK and (reason := _why_no_template(settings)) is not None:
        return Finding(level, reason)
    readiness = replace(settings.readiness, level=level, is_strict=True)
    limit = readiness.hold_seconds
    with Rehearsal(replace(settings, readiness=readiness), folder) as server:
        seen = server.seen
        server.watch(lambda: seen.is_ready, time.monotonic() + limit + _MARGIN_SECONDS)
        if not seen.is_ready:
            return Finding(level, _why_not(level, seen.reasons, seen.error, seen.exit_code))
        private_kib = settled_kib(next(iter(seen.waiting)), min(limit, _MOST_REST_SECONDS))
        server.watch(lambda: bool(seen.reasons), time.monotonic() + _LATE_NEWS_SECONDS)
        visits = tuple(_visits(server, content, connections, limit))
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


def _why_not(level: ReadyLevel, reasons: Sequence[str], error: str | None, code: int) -> str:
    """Return why a level cannot be had. Raises SocketdError if that is not for the level's sake."""
    if code == ExitCode.BUG:
        raise BugError(error)
    if level is not ReadyLevel.FORK and reasons:
        return reasons[0]
    why = error or next(iter(reasons), "the server did not come up")
    failure: SocketdError = SystemFailureError(why)
    failure.exit_code = code or ExitCode.SYSTEM
    raise failure


def _visits(server: Rehearsal, content: bytes, count: int, limit_seconds: float) -> Iterator[Visit]:
    """Visit the server one time after another, each when as many workers wait as at first.

    The one that has waited longest gets the connection; it has done by then what it does ahead.
    """
    seen = server.seen
    workers = len(seen.waiting)
    for number in range(count):
        if seen.reasons:
            return
        settled_kib(next(iter(seen.waiting)), min(limit_seconds, _MOST_REST_SECONDS))
        found = visit(server.path, content, limit_seconds)
        yield found
        until = time.monotonic() + min(limit_seconds, _MARGIN_SECONDS)
        is_served = server.watch(
            lambda: len(seen.statuses) > number and len(seen.waiting) >= workers,  # noqa: B023  called at once
            until,
        )
        if found.end_seconds is None or not is_served:
            return
