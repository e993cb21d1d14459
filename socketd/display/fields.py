"""What can be said of each listener in a word: the names of it, and where it is in a state.

Owns the names. Must not know how words are laid out.
"""

from collections.abc import Callable

from socketd.control.document import Listening, Service, State
from socketd.errors import UsageError

NONE = "-"
_MOST_SHORT = 1e6

Row = tuple[Service, Listening]
Field = Callable[[Service, Listening], object]

FIELDS: dict[str, Field] = {
    "service": lambda service, _: service.name,
    "address": lambda _, one: one.address,
    "state": lambda _, one: one.state,
    "idle": lambda _, one: one.workers.idle,
    "busy": lambda _, one: one.workers.busy,
    "starting": lambda _, one: one.workers.starting,
    "retiring": lambda _, one: one.workers.retiring,
    "outdated": lambda _, one: one.workers.outdated,
    "target": lambda _, one: one.workers.target,
    "min": lambda _, one: one.workers.min,
    "max": lambda _, one: one.workers.max,
    "queue": lambda _, one: None if one.queue is None else one.queue.length,
    "queue_limit": lambda _, one: None if one.queue is None else one.queue.limit,
    "accepted": lambda _, one: one.connections.accepted,
    "ok": lambda _, one: one.connections.closed.get("ok", 0),
    "failed": lambda _, one: (
        sum(one.connections.closed.values()) - one.connections.closed.get("ok", 0)
    ),
    "refused": lambda _, one: sum(one.refused.values()),
    "nobody_idle": lambda _, one: one.nobody_idle,
    "max_reached": lambda _, one: one.max_reached,
    "busy_seconds": lambda _, one: one.busy_seconds,
    "idle_seconds": lambda _, one: one.idle_seconds,
    "failures": lambda _, one: one.failures.count,
    "back_off": lambda _, one: None if one.back_off is None else one.back_off.seconds,
    "generation": lambda _, one: one.generation,
    "wanted": lambda _, one: one.level.wanted,
    "level": lambda _, one: one.level.had,
    "template_age": lambda _, one: one.template.age_seconds,
    "crashes": lambda _, one: one.crashes,
    "board": lambda _, one: one.board or None,
}


def rows_of(state: State, service: str | None) -> list[Row]:
    """Return the listeners of a service, or of all. Raises UsageError if there is no such one."""
    names = [one.name for one in state.services]
    if service is not None and service not in names:
        raise UsageError(f"there is no service {service!r}; there are: {', '.join(names)}")
    chosen = [one for one in state.services if service in (None, one.name)]
    return [(one, listening) for one in chosen for listening in one.listeners]


def number(row: Row, name: str) -> int:
    """Return the value of a field that is a number, 0 if it is not known."""
    value = FIELDS[name](*row)
    return value if isinstance(value, int) else 0


def word(value: object) -> str:
    """Return a value as a word."""
    if isinstance(value, float):
        return f"{value:g}" if value < _MOST_SHORT else f"{value:.0f}"
    return NONE if value is None else str(value)
