"""What a load balancer is to do with a server, in the words of HAProxy's agent check.

Owns the words and the rules. Must not know who asks, nor how. Pure: a state goes in.

Source: the configuration manual of HAProxy 2.6, `agent-check`. Only the agent takes back what it
has said, so each answer about a server that serves has `up` and `ready` in it.
"""

from collections.abc import Sequence

from socketd.control.document import Listening, Service, State
from socketd.control.verdict import why_not_ready
from socketd.dataclass import replace

_LEAVING = ("departing", "drained", "stopping")
_MOST_PERCENT = 100


def advise(state: State, question: str, others: Sequence[str] = ()) -> str:
    """Return the answer to `[SERVICE [ADDRESS]]`; without SERVICE about all but `others`."""
    name, _, address = question.strip().partition(" ")
    services = [one for one in state.services if one.name == name or not name]
    if not name:
        services = [one for one in services if one.name not in others]
    services = [_at(one, address.strip()) for one in services]
    listeners = [one for service in services for one in service.listeners]
    if not listeners:
        return f"stopped #there is no such service here: {_plain(question.strip())}"
    if state.server.state == "stopping" or any(one.state in _LEAVING for one in listeners):
        return "drain"
    reasons = why_not_ready(state, services)
    if reasons:
        return f"stopped #{_plain(reasons[0].strip())}"
    most = sum(one.workers.max for one in listeners)
    return f"up ready {weight(listeners)}% maxconn:{most}"


def weight(listeners: Sequence[Listening]) -> int:
    """Return how much of what these listeners can serve at once is free, in percent.

    Who waits in the queue takes a place that is not free any more. Never 0, which would be a drain:
    a server with all workers busy still serves.
    """
    most = sum(one.workers.max for one in listeners)
    taken = sum(
        one.workers.busy
        + sum(favourite.busy for favourite in one.favourites)
        + (0 if one.queue is None else one.queue.length)
        for one in listeners
    )
    return min(_MOST_PERCENT, max(1, _MOST_PERCENT * (most - taken) // max(1, most)))


def _at(service: Service, address: str) -> Service:
    """Return a service with the listener at an address alone, if one is named."""
    listeners = [one for one in service.listeners if address in ("", one.address)]
    return replace(service, listeners=listeners)


def _plain(words: str) -> str:
    """Return a text in one line, which a stats page can show."""
    return "".join(one if one.isprintable() and one.isascii() else "?" for one in words)
