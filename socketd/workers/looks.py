"""Looks at the connections of busy workers, from outside.

Owns whose descriptors are looked at. Must not know what follows from what is seen.
"""

from collections.abc import Iterable

from socketd.workers.ledger import Ledger

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from socketd.system.traffic import Carried

_STDOUT_FD = 1
_NS_PER_SECOND = 1_000_000_000


def busy_since(ledger: Ledger) -> dict[int, float]:
    """Return the busy workers, with the monotonic seconds at which they were seen to accept."""
    slots = {number: ledger.find(number) for number in ledger.busy()}
    return {
        number: slot.accepted_ns / _NS_PER_SECOND
        for number, slot in slots.items()
        if slot is not None
    }


def find_deserted(ledger: Ledger, workers: Iterable[int]) -> dict[int, int]:
    """Return those of busy workers whose client has gone, with their process ids.

    A program that has another standard output than its connection has none that is known.
    """
    from socketd.system.clientlook import has_client_gone  # most servers never need it

    pids = _busy_pids(ledger, workers)
    return {number: pid for number, pid in pids.items() if has_client_gone(pid, _STDOUT_FD)}


def carried(ledger: Ledger, workers: Iterable[int], port: int) -> "dict[int, Carried | None]":
    """Return what the connections of busy workers at a port have carried.

    None if there is none to be seen, or it cannot be looked at.
    """
    from socketd.system import traffic  # most servers never need it

    found: dict[int, Carried | None] = {}
    for number, pid in _busy_pids(ledger, workers).items():
        try:
            found[number] = traffic.carried(pid, port)
        except OSError:
            found[number] = None
    return found


def _busy_pids(ledger: Ledger, workers: Iterable[int]) -> dict[int, int]:
    pids = {number: ledger.pid(number) for number in workers if ledger.is_busy(number)}
    return {number: pid for number, pid in pids.items() if pid}
