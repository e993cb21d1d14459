"""The buckets of a listener, on its gate: how often a source may come, and all together.

Owns the table of buckets, as native/rates.c does (a test holds the two against each other). Must
not know what a source is, nor what becomes of a client. Who takes a turn holds the lock of sources.

The table does not grow. A source can have its bucket in few places of it; if others have them all,
the fullest of those is forgotten, which is the one that has the least to forget. A bucket that is
full is as good as none, so memory of zeros is empty.

Every process of the service's user may write here. Whatever stands there is an answer.
"""

import struct
from collections.abc import Callable
from mmap import mmap

from socketd.admission.rate import take_turn
from socketd.admission.siphash import siphash
from socketd.dataclass import dataclass
from socketd.settings.admission import Rate

_WAYS = 8
_BUCKETS = 65536
_SETS = _BUCKETS // _WAYS
_BUCKET = struct.Struct("@QQ")
_WORD = struct.Struct("@Q")
_TABLE_OFFSET = 64
RATES_SIZE = _TABLE_OFFSET + _BUCKETS * _BUCKET.size
_BITS = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Taken:
    """A turn, and the wait for it, None for none. It counts once it was kept."""

    wait_ns: int | None
    keep: Callable[[], None]


class Rates:
    """The buckets at an offset of a board's memory."""

    def __init__(self, memory: mmap, offset: int, read_key: Callable[[], tuple[int, ...]]) -> None:
        self._memory = memory
        self._offset = offset
        self._read_key = read_key

    def turn_of_all(self, rate: Rate, now_ns: int, longest_ns: int) -> Taken:
        """Return a turn of all together."""
        return self._turn(self._offset, rate, now_ns, longest_ns)

    def turn_of_source(self, name: bytes, rate: Rate, now_ns: int, longest_ns: int) -> Taken:
        """Return a turn of a source."""
        offset = self.find(siphash(self._read_key(), name))
        return self._turn(offset, rate, now_ns, longest_ns)

    def find(self, source: int) -> int:
        """Return the offset of the bucket of a source, which has an empty place if it has none."""
        start = self._offset + _TABLE_OFFSET + source % _SETS * _WAYS * _BUCKET.size
        fullest, least = start, _BITS
        for offset in range(start, start + _WAYS * _BUCKET.size, _BUCKET.size):
            found, full_at_ns = _BUCKET.unpack_from(self._memory, offset)
            if found == source:
                return offset
            if full_at_ns < least:
                fullest, least = offset, full_at_ns
        _BUCKET.pack_into(self._memory, fullest, source, 0)
        return fullest

    def _turn(self, offset: int, rate: Rate, now_ns: int, longest_ns: int) -> Taken:
        place = offset + _WORD.size
        full_at_ns, wait_ns = take_turn(
            _WORD.unpack_from(self._memory, place)[0], rate, now_ns, longest_ns
        )
        return Taken(wait_ns, lambda: _WORD.pack_into(self._memory, place, full_at_ns))
