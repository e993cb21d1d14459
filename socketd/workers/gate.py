"""The gate of a listener: who may come in, on the board behind the remarks.

Owns the layout, which native/gate.h has too (a test holds the two against each other), and how a
table comes into force. Must not know what a table is made from, nor what becomes of a client.

Every process of the service's user may write here. What the master reads is for the log and for
counting, and nothing else follows from it.

A table goes into the half that is not in force, then its number into `in_force`. A worker that
finds another number there than before may have read a mixture, and reads again.
"""

import struct
from collections.abc import Callable
from mmap import mmap

from socketd.admission.refusal import REASONS
from socketd.admission.table import HALF_SIZE, Verdict, decide, meet
from socketd.dataclass import dataclass
from socketd.programs.peer import NOBODY, Peer
from socketd.workers.layout import PEER_SIZE, read_peer, write_peer

GATE_RING = 32
_MOST_REASONS = 8
_HEADER = struct.Struct("=III4x8Q")
_REFUSAL = struct.Struct(f"={PEER_SIZE}s{PEER_SIZE}sB23x")
# Native, so that a word is written at once: nobody may read one half of it.
_WORD = struct.Struct("@I")
_COUNT = struct.Struct("@Q")
_IN_FORCE_OFFSET = 0
_IS_TOLD_OFFSET = 4
_REFUSALS_OFFSET = 8
_BY_REASON_OFFSET = 16
_SOURCE_LIMIT_OFFSET = 80
_RING_OFFSET = 256
_HALVES_OFFSET = 4096
_HIGHEST = 2**32
_MOST_TRIES = 64
GATE_SIZE = _HALVES_OFFSET + 2 * HALF_SIZE


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many clients were sent away since the gate was made, and the last of them, with why.

    Each stands with the proxy by which it has come, which is NOBODY if it has come by itself.
    """

    by_reason: dict[str, int]
    last: list[tuple[Peer, Peer, str]]


@dataclass(frozen=True, slots=True)
class SourceLimit:
    """The most connections that a source may have at once, 0 for any number.

    A source is all addresses that begin with the same bits, so many of them; or a user.
    """

    most: int = 0
    ipv4_bits: int = 32
    ipv6_bits: int = 64


class Gate:
    """The gate at an offset of a board's memory."""

    def __init__(self, memory: mmap, offset: int) -> None:
        self._memory = memory
        self.offset = offset
        self._told = 0
        # What the master itself has written: others write there, too.
        self._number = self._read(_IN_FORCE_OFFSET)
        self._limit = self._read_limit()

    @property
    def is_there(self) -> bool:
        """Tell whether any table is in force."""
        return self._read(_IN_FORCE_OFFSET) != 0

    @property
    def has_news(self) -> bool:
        """Tell whether a worker has rung because it has sent somebody away."""
        return self._read(_IS_TOLD_OFFSET) != 0

    @property
    def source_limit(self) -> SourceLimit:
        """Return how many connections a source may have."""
        number = self._read_limit()
        return SourceLimit(number % _HIGHEST, number >> 32 & 0xFF, number >> 40 & 0xFF)

    def limit_sources(self, limit: SourceLimit) -> None:
        """Have sources limited from now on. One number says it all: nobody reads a mixture."""
        self._limit = limit.most | limit.ipv4_bits << 32 | limit.ipv6_bits << 40
        self._write_limit()

    def put_in_force(self, table: bytes) -> None:
        """Have workers look at this table from now on."""
        number = self._number = (self._number + 1) % _HIGHEST or 2
        start = self.offset + _HALVES_OFFSET + (number & 1) * HALF_SIZE
        self._memory[start : start + len(table)] = table
        self._write(_IN_FORCE_OFFSET, number)

    @property
    def is_altered(self) -> bool:
        """Tell whether somebody else has written what is in force."""
        return self._read(_IN_FORCE_OFFSET) != self._number or self._read_limit() != self._limit

    def take_back(self) -> None:
        """Write again what is in force. Its table may have been altered, too."""
        self._write_limit()
        self._write(_IN_FORCE_OFFSET, self._number)

    def listen(self) -> None:
        """Have the next worker ring that sends somebody away."""
        self._write(_IS_TOLD_OFFSET, 0)

    def take(self) -> Refusals:
        """Return what has happened, with the clients that were sent away since the last time."""
        _, _, count, *numbers = _HEADER.unpack_from(self._memory, self.offset)
        new = min((count - self._told) % _HIGHEST, GATE_RING)
        self._told = count
        last = [self._refusal((count - place) % GATE_RING) for place in range(new, 0, -1)]
        return Refusals(dict(zip(REASONS, numbers, strict=False)), last)

    def meet(self, who: Peer) -> Verdict:
        """Tell a worker whether who has connected may come in, or say for whom it comes."""
        return self._look(meet, who)

    def decide(self, client: Peer) -> Verdict:
        """Tell a worker whether a client may come in."""
        return self._look(decide, client)

    def _look(self, judge: Callable[[memoryview, Peer], Verdict], who: Peer) -> Verdict:
        for _ in range(_MOST_TRIES):
            number = self._read(_IN_FORCE_OFFSET)
            if number == 0:
                return Verdict(is_granted=True, variables={})
            start = self.offset + _HALVES_OFFSET + (number & 1) * HALF_SIZE
            with memoryview(self._memory) as whole, whole[start : start + HALF_SIZE] as half:
                verdict = judge(half, who)
            if self._read(_IN_FORCE_OFFSET) == number:
                return verdict
        return Verdict(is_granted=False, variables={})

    def write_down(self, client: Peer, proxy: Peer, reason: str) -> bool:
        """Count a client that a worker has sent away; tell whether the master is to be rung.

        Unlike the native one this may lose a count to a worker that counts at the same moment.
        """
        place = REASONS.index(reason)
        offset = self.offset + _BY_REASON_OFFSET + place * _COUNT.size
        _COUNT.pack_into(self._memory, offset, _COUNT.unpack_from(self._memory, offset)[0] + 1)
        count = self._read(_REFUSALS_OFFSET)
        self._write(_REFUSALS_OFFSET, (count + 1) % _HIGHEST)
        start = self.offset + _RING_OFFSET + count % GATE_RING * _REFUSAL.size
        _REFUSAL.pack_into(self._memory, start, write_peer(client), write_peer(proxy), place)
        was_told = self.has_news
        self._write(_IS_TOLD_OFFSET, 1)
        return not was_told

    def _refusal(self, place: int) -> tuple[Peer, Peer, str]:
        start = self.offset + _RING_OFFSET + place * _REFUSAL.size
        *ends, reason = _REFUSAL.unpack_from(self._memory, start)
        client, proxy = (read_peer(content) or NOBODY for content in ends)
        return client, proxy, REASONS[reason] if reason < len(REASONS) else "unknown"

    def _read_limit(self) -> int:
        return int(_COUNT.unpack_from(self._memory, self.offset + _SOURCE_LIMIT_OFFSET)[0])

    def _write_limit(self) -> None:
        _COUNT.pack_into(self._memory, self.offset + _SOURCE_LIMIT_OFFSET, self._limit)

    def _read(self, offset: int) -> int:
        return int(_WORD.unpack_from(self._memory, self.offset + offset)[0])

    def _write(self, offset: int, value: int) -> None:
        _WORD.pack_into(self._memory, self.offset + offset, value)
