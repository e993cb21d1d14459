"""The line that tells a state, put together from what a survey has seen.

Owns the bytes, and which of them are told again: those of a listener that nothing has happened to.
Must not know what has happened, nor who asks.

Of five hundred listeners most have had no event since somebody asked last, and what has changed
with them is what changes with time. To write only that is a fraction of the work.
"""

from typing import NamedTuple

import msgspec

from socketd.control.authority import Seen
from socketd.control.document import (
    FORMAT,
    Lasting,
    Server,
    Service,
    State,
)

_encode = msgspec.json.Encoder().encode
_OPEN_LIST = 2  # bytes of a document whose last value is an empty list, from the list's end on


class _Kept(NamedTuple):
    """What was written of a listener; its last byte is a comma, for what passes."""

    stamp: object
    service: str
    head: bytes
    lasting: bytes


class Portrait:
    """Writes one state after the other."""

    def __init__(self) -> None:
        self.former: dict[object, _Kept] = {}
        self._kept: dict[object, _Kept] = {}
        self._services: dict[str, list[bytes]] = {}

    def begin(self) -> None:
        """Begin a state, whatever has become of the one before."""
        self.former |= self._kept
        self._kept, self._services = {}, {}

    def add(self, seen: Seen) -> None:
        """Add a listener; those of a service stand together, in the order in which they come."""
        (listener, stamp, lasting), passing = seen
        kept = self.former.get(listener)
        if kept is None or stamp is None or kept.stamp != stamp:
            kept = written(stamp, *lasting())
        self._kept[listener] = kept
        of_service = self._services.get(kept.service)
        if of_service is None:
            self._services[kept.service] = [kept.head, kept.lasting, _encode(passing)[1:]]
        else:
            of_service += (b",", kept.lasting, _encode(passing)[1:])

    def finish(self, server: Server) -> bytes:
        """Return the line, and forget the listeners that are not in it."""
        parts = [_encode(State(FORMAT, server, []))[:-_OPEN_LIST]]
        for of_service in self._services.values():
            parts += of_service
            parts.append(b"]},")
        if self._services:
            parts[-1] = b"]}"
        parts.append(b"]}\n")
        self.former, self._kept, self._services = self._kept, {}, {}
        return b"".join(parts)


def written(stamp: object, service: Service, lasting: Lasting) -> _Kept:
    """Return what is kept of a listener."""
    head, line = _encode(service)[:-_OPEN_LIST], _encode(lasting)[:-1] + b","
    return _Kept(stamp, service.name, head, line)
