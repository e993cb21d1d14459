"""What of a service may have started a process, and since when.

Owns the way from slots and templates to moments. Must not know what is done with them.
"""

import time

from socketd.config.services import ServiceSettings
from socketd.pool.leftovers import Household
from socketd.settings.readiness import ReadyLevel
from socketd.system import procfs
from socketd.workers.processes import Processes

_NS_PER_SECOND = 1_000_000_000


def household_of(processes: Processes, settings: ServiceSettings, number: int) -> Household:
    """Return a service as it is now, and find out who its workers are."""
    ledger = processes.ledger
    ledger.name_all()
    return Household(
        number,
        frozenset(processes.family.uids),
        settings.ends_children,
        tuple(_since(processes)),
        tuple(_ahead(processes, settings)),
    )


def _since(processes: Processes) -> list[float]:
    """Return since when there has been each connection.

    What a program has started before it has one (at the level `relay`) counts as its own only in
    its group or session: by its time it cannot be told from what others have left.
    """
    ledger = processes.ledger
    return [
        ledger.accepted_ns(number, processes.board.record(number).accepted_ns) / _NS_PER_SECOND
        for number in ledger.busy()
    ]


def _ahead(processes: Processes, settings: ServiceSettings) -> list[tuple[float, float]]:
    """Return when each held program may have started something before it was held."""
    readiness = settings.readiness
    if readiness.level not in (ReadyLevel.READ, ReadyLevel.STOP):
        return []
    asleep = asleep_seconds()
    started = [procfs.started_seconds(pid) for pid in processes.template_pids]
    return [
        (one - asleep, one - asleep + readiness.hold_seconds) for one in started if one is not None
    ]


def asleep_seconds() -> float:
    """Return how long this machine has been suspended since its start.

    The kernel counts that time for the start of a process, and not for the monotonic clock.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
