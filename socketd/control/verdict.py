"""Whether a server is well, as those judge it who look after many: fine, to be looked at, or down.

Owns the rules. Must not know how a verdict is told. Pure: a state goes in.
"""

import enum

from socketd.control.document import Listening, Service, State
from socketd.dataclass import dataclass


class Health(enum.IntEnum):
    """How a server is: the exit codes that Nagios and its like take from a check."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a server is, and what is wrong, the worst first."""

    health: Health
    complaints: list[str]


def judge(state: State) -> Verdict:
    """Judge a server by its state."""
    found = [
        (health, f"{service.name} {one.address}: {why}")
        for service in state.services
        for one in service.listeners
        for health, why in _judge(one)
    ]
    server = state.server
    if server.state != "running":
        found.append((Health.WARNING, f"the server is {server.state}"))
    last = server.reloads.last
    if last is not None and last.errors:
        found.append((Health.WARNING, f"the last reload has failed: {last.errors[0]}"))
    if server.faults:
        found.append((Health.WARNING, f"{server.faults} faults of socketd; see its log"))
    found.sort(key=lambda one: -one[0])
    return Verdict(max((one[0] for one in found), default=Health.OK), [why for _, why in found])


def why_not_ready(state: State, services: list[Service]) -> list[str]:
    """Return why clients of these services are not served, nothing if they are.

    That is less than being well: who has to wait will be served.
    """
    reasons = [] if state.server.state == "running" else [f"the server is {state.server.state}"]
    for service in services:
        for one in service.listeners:
            if one.state != "running":
                reasons.append(f"{service.name} {one.address}: it is {one.state}")
            elif one.back_off is not None and one.workers.idle + one.workers.busy == 0:
                reasons.append(f"{service.name} {one.address}: its workers fail")
    return reasons


def _judge(one: Listening) -> list[tuple[Health, str]]:
    workers, found = one.workers, []
    if one.state == "crashed":
        found.append((Health.CRITICAL, "it has crashed"))
    elif one.state not in ("running", "stopping"):
        found.append((Health.WARNING, f"it is {one.state}"))
    if one.back_off is not None and one.state != "crashed":
        health = Health.WARNING if workers.idle + workers.outdated else Health.CRITICAL
        found.append((health, f"its workers fail: {one.back_off.reason}"))
    if one.state == "running" and workers.busy >= workers.max:
        waiting = 0 if one.queue is None else one.queue.length
        is_full = one.queue is not None and 0 < one.queue.limit <= waiting
        health = Health.CRITICAL if is_full else Health.WARNING
        found.append((health, f"all {workers.max} workers are busy, {waiting} clients wait"))
    return found
