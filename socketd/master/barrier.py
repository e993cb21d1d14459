"""A barrier for unforeseen exceptions, and the log lines about a crash behind it.

Owns what is caught, and the words for it. Must not know what is behind the barrier, nor what is
done about a crash.
"""

import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType

from socketd.errors import BugError, SystemFailureError, describe_refusal
from socketd.master.faults import describe, trace
from socketd.operations import log


class Barrier:
    """A context that no exception leaves which is an error: `take` gets it instead."""

    __slots__ = ("_take",)

    def __init__(self, take: Callable[[Exception], None]) -> None:
        self._take = take

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._take(error)
        return True


@contextlib.contextmanager
def naming(service: str) -> Iterator[None]:
    """Raise what the system refuses as SystemFailureError that names the service."""
    try:
        yield
    except OSError as error:
        attempt = f"cannot start service {service!r}"
        raise SystemFailureError(f"{attempt}: {describe_refusal(error.errno or 0)}") from error


def bug_of(service: str, error: Exception) -> BugError:
    """Return the error that says to a caller that a service has crashed."""
    return BugError(
        f"service {service!r} has crashed: {describe(error)}; this is a bug in socketd: please "
        "report it with the traceback in the log"
    )


def report_crash(
    place: tuple[str, object], error: Exception, delay_seconds: float | None, step: int
) -> None:
    """Log a crash of a service on a listener; without a delay nothing follows."""
    log.emit(
        "service_crashed",
        service=place[0],
        listener=str(place[1]),
        reason=describe(error),
        delay_s=None if delay_seconds is None else round(delay_seconds, 3),
        step=step,
        traceback=trace(error),
    )


def report_refusal(
    place: tuple[str, object], error: Exception, delay_seconds: float | None, step: int
) -> None:
    """Log that the system refuses what the next service needs; without a delay none follows."""
    log.emit(
        "restart_failed",
        service=place[0],
        listener=str(place[1]),
        reason=str(error),
        delay_s=None if delay_seconds is None else round(delay_seconds, 3),
        step=step,
    )
