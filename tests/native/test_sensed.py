"""Who is kept out for having been sensed: the list in C against Python, and its length."""

import ctypes
import mmap
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.native import NATIVE
from socketd.admission.refusal import REASONS
from socketd.programs.peer import Peer
from socketd.workers.gate import GATE_SIZE, Gate, Limits
from socketd.workers.sensed import MOST_SENSED, SENSED_SIZE
from socketd.workers.sources import ONE_HOST, name_of

from .evaluate import evaluate

_SHIM = """
#include "sensed.h"
#include <string.h>
int ask(const struct gate *, int, const unsigned char *);
int ask(const struct gate *gate, int family, const unsigned char *bytes)
{
    struct peer peer = {.address.family = (sa_family_t)family};
    memcpy(peer.address.bytes, bytes, 16);
    return sensed_is_anybody(gate) && sensed_is(gate, &peer);
}
"""
_LIST = GATE_SIZE - SENSED_SIZE
_UNTIL = 160
_HOUR_NS = 3600 * 10**9

Ask = Callable[[Peer], bool]


@pytest.fixture(scope="module")
def memory() -> mmap.mmap:
    """Return the memory of a gate that examples share."""
    made = mmap.mmap(-1, GATE_SIZE)
    Gate(made, 0).limit(Limits())
    return made


@pytest.fixture(scope="module")
def ask(compiler: str, tmp_path_factory: pytest.TempPathFactory, memory: mmap.mmap) -> Ask:
    """Return what asks the code in C whether a client is kept out."""
    folder = tmp_path_factory.mktemp("sensed")
    source, library = folder / "shim.c", folder / "shim.so"
    source.write_text(_SHIM)
    checks = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    flags = [f"@{NATIVE / 'flags'}", "-Werror", "-iquote", str(NATIVE), "-fPIC", "-shared"]
    parts = [str(NATIVE / name) for name in ("sensed.c", "sources.c", "rates.c")]
    subprocess.run([compiler, *flags, *checks, "-o", str(library), str(source), *parts], check=True)
    function = ctypes.CDLL(str(library)).ask
    whole = (ctypes.c_char * GATE_SIZE).from_buffer(memory)

    def call(client: Peer) -> bool:
        return bool(function(whole, client.family, client.address.ljust(16, b"\0")))

    return call


def is_kept_out(gate: Gate, client: Peer) -> bool:
    """Return the answer of the Python side."""
    return gate.keeps_out and gate.is_kept_out(name_of(client, ONE_HOST))


def test_layout_is_the_same(compiler: str, tmp_path: Path) -> None:
    """Where the list stands, how long it is, and the reason."""
    fields = {
        "offsetof(struct gate, sensed)": _LIST,
        "offsetof(struct gate, sensed_until_ns)": _UNTIL,
        "offsetof(struct gate_sensed, until_ns)": 8,
        "GATE_SENSED": MOST_SENSED,
        "GATE_SENSED_BEFORE": REASONS.index("sensed"),
    }

    assert evaluate(compiler, tmp_path, "gate.h", list(fields)) == list(fields.values())


_CLIENTS = st.one_of(
    st.builds(Peer, st.just(int(socket.AF_INET)), st.binary(min_size=4, max_size=4)),
    st.builds(Peer, st.just(int(socket.AF_INET6)), st.binary(min_size=16, max_size=16)),
)


@given(st.lists(_CLIENTS, max_size=8), _CLIENTS)
def test_both_sides_keep_out_who_is_on_the_list(
    ask: Ask, memory: mmap.mmap, sensed: list[Peer], other: Peer
) -> None:
    """An IPv4 address, or all of the same 64 bits; nobody whose time is up."""
    memory[_LIST:] = bytes(SENSED_SIZE)
    memory[_UNTIL : _UNTIL + 8] = bytes(8)
    gate, now_ns = Gate(memory, 0), time.monotonic_ns()
    assert not is_kept_out(gate, other)
    assert not ask(other)
    gate.keep_out(name_of(other, ONE_HOST), now_ns - 1)
    for client in sensed:
        gate.keep_out(name_of(client, ONE_HOST), now_ns + _HOUR_NS)

    names = {name_of(client, ONE_HOST) for client in sensed}
    for client in (*sensed, other):
        expected = name_of(client, ONE_HOST) in names
        assert ask(client) == is_kept_out(gate, client) == expected
        if client.family == socket.AF_INET6:
            near = Peer(client.family, client.address[:8] + b"\1" * 8)
            assert ask(near) == is_kept_out(gate, near) == expected
    assert not ask(Peer(socket.AF_UNIX, uid=1))


def test_list_does_not_grow(memory: mmap.mmap) -> None:
    """Of those who have one place among few, the ones are on it who are kept out for longest."""
    memory[_LIST:] = bytes(SENSED_SIZE)
    gate, now_ns = Gate(memory, 0), time.monotonic_ns()
    count = 3 * MOST_SENSED
    names = [
        name_of(Peer(socket.AF_INET, number.to_bytes(4, "big")), ONE_HOST)
        for number in range(count)
    ]
    for number, name in enumerate(names):
        gate.keep_out(name, now_ns + _HOUR_NS + number)
        assert gate.is_kept_out(name)
    kept = [name for name in names if gate.is_kept_out(name)]
    assert len(kept) == MOST_SENSED
    # Nobody is kept who would be let in sooner than others of the same place.
    assert names[0] not in kept


@given(
    st.binary(min_size=SENSED_SIZE // 64, max_size=SENSED_SIZE // 64),
    st.binary(min_size=8, max_size=8),
)
def test_whatever_stands_there_is_an_answer(
    ask: Ask, memory: mmap.mmap, content: bytes, until: bytes
) -> None:
    """Others write here too."""
    memory[_LIST:] = content * 64
    memory[_UNTIL : _UNTIL + 8] = until
    gate = Gate(memory, 0)
    for client in (Peer(), Peer(socket.AF_INET6, b"\xff" * 16), Peer(socket.AF_INET, bytes(4))):
        assert ask(client) in (False, True)
        assert is_kept_out(gate, client) in (False, True)
