"""The gate of a listener: who may come in, on the board behind the remarks.

Owns the layout, which native/gate.h has too (a test holds the two against each other), and how a
table comes into force. Must not know what a table is made from, nor what becomes of a client.

Every process of the service's user may write here. What the master reads is for the log and for
counting, and nothing else follows from it.

A table goes into the half that is not in force, then its number into `in_force`, and limits do the
same by a number of their own. A worker that finds another number there than before may have read a
mixture, and reads again.
"""

import os
import struct
from collections.abc import Callable
from mmap import mmap
from typing import TypeVar

from socketd.admission.refusal import REASONS
from socketd.admission.table import HALF_SIZE, Verdict, decide, meet
from socketd.dataclass import dataclass
from socketd.programs.peer import NOBODY, Peer
from socketd.settings.admission import ANY_RATE, Rate
from socketd.workers.layout import PEER_SIZE, read_peer, write_peer
from socketd.workers.rates import RATES_SIZE, Rates
from socketd.workers.sensed import SENSED_SIZE, Offsets, Sensed

GATE_RING = 32
_MOST_REASONS = 16
_HEADER = struct.Struct(f"=III4x{_MOST_REASONS}Q")
_KEY = struct.Struct("=2Q")
_REFUSAL = struct.Struct(f"={PEER_SIZE}s{PEER_SIZE}sB23x")
# Native, so that a word is written at once: nobody may read one half of it.
_WORD = struct.Struct("@I")
_COUNT = struct.Struct("@Q")
_IN_FORCE_OFFSET = 0
_IS_TOLD_OFFSET = 4
_REFUSALS_OFFSET = 8
_BY_REASON_OFFSET = 16
_LIMITS_IN_FORCE_OFFSET = 12
_KEY_OFFSET = 144
_SENSED_UNTIL_OFFSET = 160
_RING_OFFSET = 256
_LIMITS_OFFSET = _RING_OFFSET + GATE_RING * _REFUSAL.size
_LIMITS = struct.Struct("=8Q")
_HALVES_OFFSET = 4096
_HIGHEST = 2**32
_MOST_TRIES = 64
_RATES_OFFSET = _HALVES_OFFSET + 2 * HALF_SIZE
_SENSED_OFFSET = _RATES_OFFSET + RATES_SIZE
GATE_SIZE = _SENSED_OFFSET + SENSED_SIZE

_Found = TypeVar("_Found")


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


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections a source may have at once, and how often it and all together may come.

    Who comes too often waits for its turn if that is not longer than `longest_ns`. All together
    have `most` connections at once, 0 for any number; one more may have waited in the listener's
    queue for `queue_ns`.
    """

    sources: SourceLimit = SourceLimit()
    rate: Rate = ANY_RATE
    source_rate: Rate = ANY_RATE
    longest_ns: int = 0
    most: int = 0
    queue_ns: int = 0

    @property
    def is_any(self) -> bool:
        """Tell whether anything about clients has to be counted."""
        return bool(self.sources.most or self.rate or self.source_rate or self.most)


class Gate:
    """The gate at an offset of a board's memory."""

    def __init__(self, memory: mmap, offset: int) -> None:
        self._memory = memory
        self.offset = offset
        self._told = 0
        # What the master itself has written: others write there, too.
        self._number = self._read(_IN_FORCE_OFFSET)
        self._limits_number = self._read(_LIMITS_IN_FORCE_OFFSET)
        self._limits = self._read_limits(self._limits_number)
        self._own_key = self._read_key()
        self.rates = Rates(memory, offset + _RATES_OFFSET, self._key)
        places = Offsets(offset + _SENSED_OFFSET, offset + _SENSED_UNTIL_OFFSET)
        self._sensed = Sensed(memory, places)

    @property
    def is_there(self) -> bool:
        """Tell whether any table is in force."""
        return self._read(_IN_FORCE_OFFSET) != 0

    @property
    def has_news(self) -> bool:
        """Tell whether a worker has rung because it has sent somebody away."""
        return self._read(_IS_TOLD_OFFSET) != 0

    @property
    def limits(self) -> Limits:
        """Return how many connections a source may have, and how often clients may come."""
        content = self._read_whole(_LIMITS_IN_FORCE_OFFSET, self._read_limits)
        numbers = _LIMITS.unpack(content or self._limits)
        number, *rates, longest_ns, most, queue_ns = numbers
        sources = SourceLimit(number % _HIGHEST, number >> 32 & 0xFF, number >> 40 & 0xFF)
        return Limits(sources, Rate(*rates[:2]), Rate(*rates[2:]), longest_ns, most, queue_ns)

    def limit(self, limits: Limits) -> None:
        """Have clients limited from now on, by buckets that no client can aim at."""
        if not any(self._own_key):
            self._own_key = os.urandom(_KEY.size)
            self._write_key()
        sources = limits.sources
        number = sources.most | sources.ipv4_bits << 32 | sources.ipv6_bits << 40
        rates = (value for rate in (limits.rate, limits.source_rate) for value in rate.numbers)
        ends = (limits.most, limits.queue_ns)
        self._limits = _LIMITS.pack(number, *rates, limits.longest_ns, *ends)
        self._write_limits()

    @property
    def is_gone(self) -> bool:
        """Tell whether the board is."""
        return self._memory.closed

    @property
    def keeps_out(self) -> bool:
        """Tell whether anybody is kept out for having been sensed."""
        return self._sensed.is_anybody

    def is_kept_out(self, name: bytes) -> bool:
        """Tell a worker whether a source is kept out."""
        return self._sensed.has(self._key(), name)

    def keep_out(self, name: bytes, until_ns: int) -> None:
        """Keep a source out until a monotonic time."""
        self._sensed.add(self._key(), name, until_ns)

    def put_in_force(self, table: bytes) -> None:
        """Have workers look at this table from now on."""
        number = self._number = (self._number + 1) % _HIGHEST or 2
        start = self.offset + _HALVES_OFFSET + (number & 1) * HALF_SIZE
        self._memory[start : start + len(table)] = table
        self._write(_IN_FORCE_OFFSET, number)

    @property
    def is_altered(self) -> bool:
        """Tell whether somebody else has written what is in force."""
        number = self._limits_number
        return (
            self._read(_IN_FORCE_OFFSET) != self._number
            or self._read(_LIMITS_IN_FORCE_OFFSET) != number
            or self._read_limits(number) != self._limits
            or self._read_key() != self._own_key
        )

    def take_back(self) -> None:
        """Write again what is in force. Its table may have been altered, too."""
        self._write_key()
        self._write_limits()
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

    @property
    def raw_counts(self) -> bytes:
        """Return the counters as they stand there: another value as soon as one of them counts."""
        start = self.offset + _BY_REASON_OFFSET
        return self._memory[start : self.offset + _HEADER.size]

    @property
    def by_reason(self) -> dict[str, int]:
        """Return how many were sent away since the gate was made, and leave it to `take` who."""
        _, _, _, *numbers = _HEADER.unpack_from(self._memory, self.offset)
        return dict(zip(REASONS, numbers, strict=False))

    def meet(self, who: Peer) -> Verdict:
        """Tell a worker whether who has connected may come in, or say for whom it comes."""
        return self._look(meet, who)

    def decide(self, client: Peer) -> Verdict:
        """Tell a worker whether a client may come in."""
        return self._look(decide, client)

    def _look(self, judge: Callable[[memoryview, Peer], Verdict], who: Peer) -> Verdict:
        def look(number: int) -> Verdict:
            if number == 0:
                return Verdict(is_granted=True, variables={})
            start = self.offset + _HALVES_OFFSET + (number & 1) * HALF_SIZE
            with memoryview(self._memory) as whole, whole[start : start + HALF_SIZE] as half:
                return judge(half, who)

        return self._read_whole(_IN_FORCE_OFFSET, look) or Verdict(is_granted=False, variables={})

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

    def _key(self) -> tuple[int, ...]:
        return _KEY.unpack(self._read_key())

    def _read_key(self) -> bytes:
        start = self.offset + _KEY_OFFSET
        return self._memory[start : start + _KEY.size]

    def _write_key(self) -> None:
        start = self.offset + _KEY_OFFSET
        self._memory[start : start + _KEY.size] = self._own_key

    def _read_limits(self, number: int) -> bytes:
        start = self.offset + _LIMITS_OFFSET + (number & 1) * _LIMITS.size
        return self._memory[start : start + _LIMITS.size]

    def _write_limits(self) -> None:
        number = self._limits_number = (self._limits_number + 1) % _HIGHEST
        start = self.offset + _LIMITS_OFFSET + (number & 1) * _LIMITS.size
        self._memory[start : start + _LIMITS.size] = self._limits
        self._write(_LIMITS_IN_FORCE_OFFSET, number)

    def _read_whole(self, offset: int, read: Callable[[int], _Found]) -> _Found | None:
        """Return what is in force by the number at an offset, None if each look finds another."""
        for _ in range(_MOST_TRIES):
            number = self._read(offset)
            found = read(number)
            if self._read(offset) == number:
                return found
        return None

    def _read(self, offset: int) -> int:
        return int(_WORD.unpack_from(self._memory, self.offset + offset)[0])

    def _write(self, offset: int, value: int) -> None:
        _WORD.pack_into(self._memory, self.offset + offset, value)
