"""What the log says of a service's templates.

Owns which event is told of what has become of a template. Must not know why it has.
"""

from socketd.operations import log
from socketd.pool.template_messages import ReportFailed, ReportServing
from socketd.workers.launch import Template
from socketd.workers.spawner import WorkerPlan


def report_serving(plan: WorkerPlan, template: Template, said: ReportServing) -> None:
    """Tell that a template serves, and why it is not at the highest level if that is news.

    That is worth a warning only if the level was asked for.
    """
    settings = plan.settings
    reason, wanted = "; ".join(said.reasons), settings.readiness
    if plan.is_of_favourite:
        log.emit(
            "favourite_started",
            service=settings.name,
            program=settings.program.path,
            pid=said.pid,
            canary=template.canary,
        )
        return
    if said.recovered_from:
        log.emit("recovered", service=settings.name, reason=said.recovered_from)
    if said.is_news and wanted.is_auto:
        log.emit("ready_chosen", service=settings.name, ready=said.level.value, reason=reason)
    elif said.is_news:
        log.emit(
            "template_fell_back",
            service=settings.name,
            wanted=wanted.level.value,
            ready=said.level.value,
            reason=reason,
        )
    if template.warm_up is not None:
        status, count = template.warm_up
        log.emit("warm_up_answered", service=settings.name, status=status, answer_bytes=count)
    log.emit(
        "template_started",
        service=settings.name,
        pid=said.pid,
        ready=said.level.value,
        descriptors=template.descriptors,
        canary=template.canary,
    )


def report_failed(plan: WorkerPlan, said: ReportFailed) -> None:
    """Tell that no template serves, and when the next one is tried."""
    if plan.is_of_favourite:
        return  # it is dropped, and that is told
    log.emit(
        "template_failed",
        service=plan.settings.name,
        reason=said.reason,
        delay_s=round(said.delay_seconds, 3),
        step=said.step,
    )
