"""The list of clients that are kept out because they have connected to a sensor, on a gate.

Owns the list, and whom it names. Must not know what a sensor is, nor what becomes of a client.
native/sensed.c reads it as well (a test holds the two against each other).

Only the master writes here, and it cannot wait for a lock. So a place is nobody's first, then has a
source, then a time: who reads meanwhile finds nobody in it, or somebody for as long as it is to be.
The list does not grow. A source has its place among few, and if others have them all, the one goes
that would soonest be let in again.
"""

import socket
import struct
import time
from mmap import mmap

from socketd.admission.siphash import siphash
from socketd.dataclass import dataclass

_WAYS = 8
MOST_SENSED = 4096
_SETS = MOST_SENSED // _WAYS
_WORD = struct.Struct("@Q")
_PLACE = struct.Struct("@QQ")
SENSED_SIZE = MOST_SENSED * _PLACE.size


@dataclass(frozen=True, slots=True)
class Offsets:
    """Where in memory the list stands, and where until when somebody is on it."""

    places: int
    until: int


class Sensed:
    """The list at an offset of a board's memory."""

    def __init__(self, memory: mmap, offsets: Offsets) -> None:
        self._memory = memory
        self._offsets = offsets

    @property
    def is_anybody(self) -> bool:
        """Tell whether anybody is kept out, so that a client has to be looked up."""
        until_ns = self._read(self._offsets.until)
        return until_ns != 0 and time.monotonic_ns() < until_ns

    def has(self, key: tuple[int, ...], name: bytes) -> bool:
        """Tell whether a source is kept out at this moment."""
        source, now_ns = siphash(key, name), time.monotonic_ns()
        return any(
            found == source and now_ns < until_ns
            for found, until_ns in map(self._place, self._places_of(source))
        )

    def add(self, key: tuple[int, ...], name: bytes, until_ns: int) -> None:
        """Keep a source out until a monotonic time."""
        source = siphash(key, name)
        places = {offset: self._place(offset) for offset in self._places_of(source)}
        own = [offset for offset, (found, _) in places.items() if found == source]
        offset = own[0] if own else min(places, key=lambda one: places[one][1])
        self._write(offset + _WORD.size, 0)
        self._write(offset, source)
        self._write(offset + _WORD.size, until_ns)
        self._write(self._offsets.until, max(self._read(self._offsets.until), until_ns))

    def _places_of(self, source: int) -> range:
        start = self._offsets.places + source % _SETS * _WAYS * _PLACE.size
        return range(start, start + _WAYS * _PLACE.size, _PLACE.size)

    def _place(self, offset: int) -> tuple[int, int]:
        source, until_ns = _PLACE.unpack_from(self._memory, offset)
        return source, until_ns

    def _read(self, offset: int) -> int:
        return int(_WORD.unpack_from(self._memory, offset)[0])

    def _write(self, offset: int, value: int) -> None:
        _WORD.pack_into(self._memory, offset, value)


def can_be_sensed(family: int) -> bool:
    """Tell whether somebody has an address to be kept out by."""
    return family in (socket.AF_INET, socket.AF_INET6)
