"""What can be done to one listener of a service while it serves.

Owns what each act is, and when it makes no sense. Must not know who asks for it.
"""

from socketd.errors import UsageError
from socketd.master.endpoint import Endpoint
from socketd.master.member import Member
from socketd.master.override import Override
from socketd.pool.settings import Strategy
from socketd.pool.states import WorkerState
from socketd.settings.table import MOST_WORKERS

_WAITING = (WorkerState.STARTING, WorkerState.IDLE)


def drain(member: Member) -> None:
    """Have nobody accept any more: clients wait in the queue, those who are served are finished.

    If there is a delay, that begins after it.
    """
    member.drain()


def resume(member: Member) -> None:
    """Serve again after `drain`, with the sizes that were there before."""
    member.stay()
    former = member.override
    member.set_for_now(Override(former.minimum, former.maximum))


def check_sizes(member: Member, minimum: int | None, maximum: int | None) -> Override:
    """Return other sizes; what is not given stays. Raises UsageError for impossible ones."""
    former = member.override
    pool = Override(former.minimum, former.maximum).apply(member.settings.pool)
    if minimum is None and maximum is None:
        raise UsageError("a size is 'min' or 'max', or both")
    if pool.strategy is Strategy.FIXED:
        minimum, maximum = minimum or maximum, maximum or minimum
        if minimum != maximum:
            raise UsageError(f"a fixed pool has one size: 'min' and 'max' are {minimum}, {maximum}")
    least = pool.minimum if minimum is None else minimum
    most = pool.maximum if maximum is None else maximum
    if not 1 <= least <= most <= MOST_WORKERS:
        raise UsageError(
            f"min {least} and max {most} are no sizes of a pool: 1 <= min <= max <= {MOST_WORKERS}"
        )
    return Override(least, most, is_drained=former.is_drained)


def retire(member: Member, pid: int | None) -> int:
    """Ask workers to leave who wait, or one of them; others take their place. Return how many."""

    def act(endpoint: Endpoint) -> int:
        ledger = endpoint.processes.ledger
        waiting = [one for one in endpoint.pool.state().workers if one.state in _WAITING]
        numbers = [one.number for one in waiting if pid in (None, ledger.pid(one.number))]
        endpoint.processes.retire(numbers)
        return len(numbers)

    count = member.act(act, otherwise=0)
    if pid is not None and not count:
        raise UsageError(f"process {pid} is no worker of {member.settings.name!r} that waits")
    return count


def renew(member: Member) -> None:
    """Take a fresh template. Raises UsageError where there is none."""
    name = member.settings.name
    if not member.act(lambda endpoint: endpoint.processes.renew_template(), otherwise=False):
        raise UsageError(
            f"service {name!r} has no template that could be renewed now: none serves, another is "
            "on its way, or workers are made without one"
        )
