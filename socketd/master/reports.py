"""What the log says of an endpoint and its pool.

Owns which event is told, with which keys. Must not know what has led to it.
"""

from socketd.config.services import ServiceSettings
from socketd.loop.listeners import Listener
from socketd.operations import log
from socketd.pool.messages import ReportBackOff, ReportFailure, ReportRecovery, ReportResize
from socketd.pool.strategies import Size
from socketd.settings.readiness import ReadyLevel


def report_ready(settings: ServiceSettings, listener: Listener, level: ReadyLevel) -> None:
    """Tell that the first workers wait."""
    log.emit(
        "service_ready",
        service=settings.name,
        listener=str(listener),
        address=listener.host,
        port=listener.port,
        port_name=listener.port_name,
        workers=settings.pool.minimum,
        ready=level.value,
    )


def report_stopping(service: str, reason: str, size: Size) -> None:
    """Tell that a stop begins, at a size of the pool."""
    log.emit("stopping", service=service, signal=reason, idle=size.idle, busy=size.busy)


def report_pool(
    service: str, said: ReportResize | ReportFailure | ReportBackOff | ReportRecovery
) -> None:
    """Tell what the pool wants to be told."""
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
