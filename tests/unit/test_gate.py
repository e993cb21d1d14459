"""What is in force on a gate, where others write as well."""

import mmap

from hypothesis import given
from hypothesis import strategies as st

from socketd.admission.table import RuleSet, compile_table
from socketd.programs.peer import Peer
from socketd.settings.admission import Rate
from socketd.workers.gate import GATE_SIZE, Gate, Limits, SourceLimit

FRONT = 2304 + 2 * 64
CLOSED = compile_table(RuleSet(is_closed=True))


@given(st.binary(min_size=FRONT, max_size=FRONT), st.booleans())
def test_what_somebody_else_has_written_is_taken_back(content: bytes, is_ruled: bool) -> None:
    """The number of the table, the key and the limits, whether there were any or not."""
    memory = mmap.mmap(-1, GATE_SIZE)
    gate = Gate(memory, 0)
    limits = Limits(SourceLimit(7, 24, 56), Rate(1, 2), Rate(3, 4), 5, 6, 7)
    if not is_ruled:
        limits = Limits(SourceLimit(0, 0, 0))
    if is_ruled:
        gate.put_in_force(CLOSED)
        gate.limit(limits)
    assert not gate.is_altered
    half = slice(2304 + 64 * (memory[12] & 1), 2304 + 64 * (memory[12] & 1) + 64)
    own = [slice(4), slice(12, 16), slice(144, 160), half]
    was = [memory[part] for part in own]
    memory[:FRONT] = content

    assert gate.is_altered == ([content[part] for part in own] != was)
    gate.take_back()
    assert not gate.is_altered
    assert gate.limits == limits
    assert gate.decide(Peer()).is_granted != is_ruled


def test_limits_of_two_moments_are_never_mixed() -> None:
    """Who looks while they are written has the former ones, whole."""
    memory = mmap.mmap(-1, GATE_SIZE)
    gate, reader = Gate(memory, 0), Gate(memory, 0)
    former = Limits(SourceLimit(1, 2, 3), Rate(1, 1), Rate(1, 1), 1, 1, 1)
    gate.limit(former)
    number = memory[12:16]
    gate.limit(Limits(SourceLimit(9, 9, 9), Rate(9, 9), Rate(9, 9), 9, 9, 9))
    memory[12:16] = number

    assert reader.limits == former


def test_table_is_in_force_whatever_number_stood_there() -> None:
    """The next number is counted from the master's own."""
    memory = mmap.mmap(-1, GATE_SIZE)
    gate = Gate(memory, 0)
    gate.put_in_force(compile_table(RuleSet()))
    memory[:4] = b"\xff\xff\xff\xff"
    gate.put_in_force(CLOSED)

    assert not gate.is_altered
    assert not gate.decide(Peer()).is_granted


def test_key_of_the_buckets_is_made_once() -> None:
    """And is another for each gate, so that no client can aim at a place of the table."""
    keys = set()
    for _ in range(2):
        memory = mmap.mmap(-1, GATE_SIZE)
        gate = Gate(memory, 0)
        gate.limit(Limits())
        first = memory[144:160]
        gate.limit(Limits(rate=Rate(1, 1)))
        assert memory[144:160] == first
        keys.add(first)

    assert len(keys) == 2
