"""Buckets that fill with time, in C against Python, and against what they are meant to be."""

import ctypes
import mmap
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from socketd.admission.rate import take_turn
from socketd.admission.siphash import siphash
from socketd.settings.admission import Rate
from socketd.workers.gate import GATE_SIZE, Gate, Limits
from socketd.workers.rates import RATES_SIZE
from socketd.workers.sensed import SENSED_SIZE

from .evaluate import evaluate
from .shims import load

_SHIM = """
#include "rates.h"
uint64_t hash(const uint64_t *, const void *, size_t);
uint64_t hash(const uint64_t *key, const void *bytes, size_t size)
{
    return rates_hash(key, bytes, size);
}
size_t find(struct gate *, uint64_t);
size_t find(struct gate *gate, uint64_t source)
{
    return (size_t)((char *)rates_find(gate->buckets, source) - (char *)gate);
}
int take(uint64_t *, struct gate *, uint64_t, uint64_t *);
int take(uint64_t *full_at_ns, struct gate *gate, uint64_t now_ns, uint64_t *wait_ns)
{
    const struct gate_limits limits = gate_read_limits(gate);
    return rates_take(full_at_ns, &limits.rate, now_ns, limits.longest_wait_ns, wait_ns);
}
"""
_SECOND = 10**9
_WORDS = st.integers(0, 2**64 - 1)
_TABLE = GATE_SIZE - SENSED_SIZE - RATES_SIZE + 64
_SETS = 8192
_WAYS = 8
_BUCKET_SIZE = 16


def _starts(offset: int) -> range:
    return range(offset, offset + _WAYS * _BUCKET_SIZE, _BUCKET_SIZE)


class Native:
    """The code in C, with a gate that examples share."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.memory = mmap.mmap(-1, GATE_SIZE)
        self.gate = Gate(self.memory, 0)
        self._whole = (ctypes.c_char * GATE_SIZE).from_buffer(self.memory)
        self._library = library
        library.hash.restype = ctypes.c_uint64
        library.find.restype = ctypes.c_size_t

    def hash(self, key: tuple[int, int], content: bytes) -> int:
        """Return the number of some bytes."""
        words = (ctypes.c_uint64 * 2)(*key)
        return int(self._library.hash(words, content, ctypes.c_size_t(len(content))))

    def find(self, source: int) -> int:
        """Return the offset of the bucket of a source."""
        return int(self._library.find(self._whole, ctypes.c_uint64(source)))

    def sources(self, offset: int) -> set[int]:
        """Return the sources of the eight buckets that begin there."""
        return {int.from_bytes(self.memory[at : at + 8], "little") for at in _starts(offset)}

    def take(self, full_at_ns: int, now_ns: int) -> tuple[int, int | None]:
        """Take a turn of all together."""
        full, wait = ctypes.c_uint64(full_at_ns), ctypes.c_uint64()
        is_taken = self._library.take(
            ctypes.byref(full), self._whole, ctypes.c_uint64(now_ns), ctypes.byref(wait)
        )
        return full.value, wait.value if is_taken else None


@pytest.fixture(scope="module")
def native(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Native:
    """Return the code in C."""
    folder = tmp_path_factory.mktemp("rates")
    return Native(load(compiler, folder, _SHIM, "rates.c"))


def test_layout_is_the_same(compiler: str, tmp_path: Path) -> None:
    """Where the limits, the key and the buckets stand."""
    fields = {
        "offsetof(struct gate, limits_in_force)": 12,
        "offsetof(struct gate, hash_key)": 144,
        "offsetof(struct gate, limits)": 2304,
        "offsetof(struct gate_limits, rate)": 8,
        "offsetof(struct gate_limits, source_rate)": 24,
        "offsetof(struct gate_limits, longest_wait_ns)": 40,
        "offsetof(struct gate_limits, most)": 48,
        "offsetof(struct gate_limits, queue_ns)": 56,
        "sizeof(struct gate_limits)": 64,
        "offsetof(struct gate, all)": _TABLE - 64,
        "offsetof(struct gate, buckets)": _TABLE,
        "offsetof(struct gate_bucket, full_at_ns)": 8,
        "GATE_BUCKETS / GATE_WAYS": _SETS,
    }

    assert evaluate(compiler, tmp_path, "gate.h", list(fields)) == list(fields.values())


def test_hash_is_the_published_one(native: Native) -> None:
    """By the vector of the paper on SipHash, appendix A."""
    key, content = (0x0706050403020100, 0x0F0E0D0C0B0A0908), bytes(range(15))

    assert siphash(key, content) == native.hash(key, content) == 0xA129CA6149BE45E5


@given(_WORDS, _WORDS, st.binary(max_size=40))
def test_both_sides_have_the_same_hash(native: Native, one: int, two: int, content: bytes) -> None:
    """For whatever key and length."""
    assert siphash((one, two), content) == native.hash((one, two), content)


@given(_WORDS, _WORDS, _WORDS, _WORDS, st.integers(0, 2**60))
def test_both_sides_take_the_same_turn_whatever_stands_there(
    native: Native, full_at_ns: int, interval: int, full: int, longest: int, now: int
) -> None:
    """And a bucket that could not have come to be is good again after a while."""
    rate = Rate(interval, full)
    native.gate.limit(Limits(rate=rate, longest_ns=longest))
    taken = take_turn(full_at_ns, rate, now, longest)

    assert native.take(full_at_ns, now) == taken
    assert taken[0] <= now + 3 * 2**60


@given(
    st.integers(1, _SECOND),
    st.integers(1, 20),
    st.integers(0, 5 * _SECOND),
    st.lists(st.integers(0, _SECOND), min_size=1, max_size=80),
)
def test_nobody_comes_more_often_than_he_may(
    interval: int, at_once: int, longest: int, steps: list[int]
) -> None:
    """In any stretch of time as many as fill in it, and what a full bucket holds.

    Turns come in order, and nobody waits longer than for the time, or for nothing.
    """
    rate, full_at, now = Rate(interval, interval * at_once), 0, 1000 * _SECOND
    turns: list[int] = []
    for step in steps:
        now += step
        full_at, wait = take_turn(full_at, rate, now, longest)
        if wait is None:
            _, needed = take_turn(full_at, rate, now, 2**60)
            assert needed is not None
            assert needed > longest
        else:
            assert wait <= longest
            turns.append(now + wait)
    assert turns == sorted(turns)
    for first in range(len(turns)):
        for last in range(first, len(turns)):
            assert last - first + 1 <= at_once + (turns[last] - turns[first]) / interval + 1e-6


def test_bucket_that_was_left_alone_is_full_again() -> None:
    """So many come at once, then one each interval; after a rest so many again."""
    rate, full_at, now = Rate(_SECOND, 3 * _SECOND), 0, 50 * _SECOND
    for rest in (0, 3 * _SECOND, 300 * _SECOND):
        now += rest
        for _ in range(3):
            full_at, wait = take_turn(full_at, rate, now, 0)
            assert wait == 0
        full_at, wait = take_turn(full_at, rate, now, 0)
        assert wait is None
    _, wait = take_turn(full_at, rate, now + _SECOND, 0)
    assert wait == 0


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), max_size=60))
@example([(0, 2), (7, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (8, 1)])
def test_table_forgets_the_fullest_bucket_of_a_place(
    native: Native, visits: list[tuple[int, int]]
) -> None:
    """Sources that all have the same place: C and Python keep the same ones, and lose the least."""
    memory = mmap.mmap(-1, GATE_SIZE)
    own = Gate(memory, 0)
    native.memory[_TABLE : _TABLE + _WAYS * _BUCKET_SIZE] = bytes(_WAYS * _BUCKET_SIZE)
    kept: dict[int, int] = {}
    for number, full_at in visits:
        source = (number + 1) * _SETS
        offset = native.find(source)
        assert offset == own.rates.find(source)
        found = int.from_bytes(native.memory[offset + 8 : offset + 16], "little")
        assert found == kept.get(source, 0)
        if source not in kept and len(kept) == _WAYS:
            least = min(kept.values())
            assert [kept.pop(one) for one in set(kept) - native.sources(_TABLE)] == [least]
        kept[source] = full_at
        for where in (native.memory, memory):
            where[offset + 8 : offset + 16] = full_at.to_bytes(8, "little")


def test_sweep_of_sources_does_not_grow_the_table(native: Native) -> None:
    """Whoever comes has a bucket within it, whatever the number of its source."""
    for source in (0, 2**64 - 1, *(number * 0x9E3779B97F4A7C15 % 2**64 for number in range(5000))):
        offset = native.find(source)
        assert _TABLE <= offset <= GATE_SIZE - SENSED_SIZE - 16
