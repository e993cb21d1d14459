"""What is in force on a gate, where others write as well."""

import mmap

from hypothesis import given
from hypothesis import strategies as st

from socketd.admission.table import RuleSet, compile_table
from socketd.programs.peer import Peer
from socketd.workers.gate import GATE_SIZE, Gate, SourceLimit

CLOSED = compile_table(RuleSet(is_closed=True))


@given(st.binary(min_size=128, max_size=128), st.booleans())
def test_what_somebody_else_has_written_is_taken_back(content: bytes, is_ruled: bool) -> None:
    """The number of the table and the limit, whether there were any or not."""
    memory = mmap.mmap(-1, GATE_SIZE)
    gate = Gate(memory, 0)
    limit = SourceLimit(7, 24, 56) if is_ruled else SourceLimit(0, 0, 0)
    if is_ruled:
        gate.put_in_force(CLOSED)
        gate.limit_sources(limit)
    assert not gate.is_altered
    own = memory[:4], memory[80:88]
    memory[:128] = content

    assert gate.is_altered == ((content[:4], content[80:88]) != own)
    gate.take_back()
    assert not gate.is_altered
    assert gate.source_limit == limit
    assert gate.decide(Peer()).is_granted != is_ruled


def test_table_is_in_force_whatever_number_stood_there() -> None:
    """The next number is counted from the master's own."""
    memory = mmap.mmap(-1, GATE_SIZE)
    gate = Gate(memory, 0)
    gate.put_in_force(compile_table(RuleSet()))
    memory[:4] = b"\xff\xff\xff\xff"
    gate.put_in_force(CLOSED)

    assert not gate.is_altered
    assert not gate.decide(Peer()).is_granted
