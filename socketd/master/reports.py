"""What the log says of an endpoint and its pool.

Owns which event is told, with which keys. Must not know what has led to it.
"""

from socketd.config.services import ServiceSettings
from socketd.loop.listeners import Listener
from socketd.operations import log
from socketd.pool.messages import ReportBackOff, ReportFailure, ReportRecovery, ReportResize
from socketd.pool.strategies import Size
from socketd.settings.readiness import ReadyLevel
from socketd.workers.spawner import Handing

Said = ReportResize | ReportFailure | ReportBackOff | ReportRecovery


class Reports:
    """What is told of one listener of a service."""

    def __init__(self, settings: ServiceSettings, listener: Listener) -> None:
        self._service = settings.name
        self._listener = listener

    def ready(self, workers: int, level: ReadyLevel) -> None:
        """Tell that the first workers wait."""
        listener = self._listener
        log.emit(
            "service_ready",
            service=self._service,
            listener=str(listener),
            address=listener.host,
            port=listener.port,
            port_name=listener.port_name,
            workers=workers,
            ready=level.value,
        )

    def pool(self, said: Said) -> None:
        """Tell what the pool wants to be told."""
        service = self._service
        match said:
            case ReportResize(idle, busy, target):
                log.emit("pool_resized", service=service, idle=idle, busy=busy, target=target)
            case ReportFailure(worker, reason):
                log.emit("worker_failed", service=service, worker=worker, reason=reason)
            case ReportBackOff(delay_seconds, step, reason):
                delay = round(delay_seconds, 3)
                log.emit("backing_off", service=service, delay_s=delay, step=step, reason=reason)
            case ReportRecovery(reason):
                log.emit("recovered", service=service, reason=reason)

    def stopping(self, reason: str, size: Size) -> None:
        """Tell that it takes no connection any more."""
        log.emit("stopping", service=self._service, signal=reason, idle=size.idle, busy=size.busy)

    def stopped(self, connections: int) -> None:
        """Tell that the last worker is gone."""
        log.emit("stopped", service=self._service, connections=connections)


class NoReports(Reports):
    """Of the pool of a favourite only what its service needs to know; see favourites.py."""

    def ready(self, workers: int, level: ReadyLevel) -> None:
        """Tell nothing: that of the template is told."""

    def pool(self, said: Said) -> None:
        """Tell of failures only."""
        if not isinstance(said, ReportResize):
            super().pool(said)

    def stopping(self, reason: str, size: Size) -> None:
        """Tell nothing: the service has."""

    def stopped(self, connections: int) -> None:
        """Tell nothing."""


def reports_of(settings: ServiceSettings, listener: Listener, handing: Handing | None) -> Reports:
    """Return who tells of an endpoint, by where its connections come from."""
    is_favourite = handing is not None and handing.is_favourite
    return (NoReports if is_favourite else Reports)(settings, listener)
