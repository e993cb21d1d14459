"""The count of a source's connections in C against Python, and against a look at each."""

import ctypes
import mmap
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.admission.refusal import REASONS
from socketd.programs.peer import Peer
from socketd.workers import layout
from socketd.workers.board import Board
from socketd.workers.gate import Limits, SourceLimit
from socketd.workers.layout import SlotState
from socketd.workers.sources import are_full, has_room, name_of

from .evaluate import evaluate
from .shims import load

CAPACITY = 65
_NAME_SIZE = 18
_SHIM = """
#include "sources.h"
#include <string.h>
int ask(void *, size_t, int, const unsigned char *, unsigned, unsigned char *);
int ask(void *memory, size_t size, int family, const unsigned char *bytes, unsigned uid,
        unsigned char *name)
{
    struct board board;
    struct peer peer = {.address.family = (sa_family_t)family};
    if (!board_attach(&board, memory, size))
        return -1;
    memcpy(peer.address.bytes, bytes, 16);
    peer.credentials.uid = uid;
    const struct gate_limits limits = gate_read_limits(board.gate);
    const struct gate_limit limit = gate_limit_of(limits.sources);
    name[SOURCES_NAME] = sources_are_full(&board, limit.most, limits.queue_ns);
    sources_name(name, limit, &peer);
    return sources_have_room(&board, limit, &peer);
}
"""

Ask = Callable[[Peer], tuple[int, bytes, bool]]


@pytest.fixture(scope="module")
def board() -> Iterator[Board]:
    """Return a board that examples share: each writes all that it looks at."""
    made = Board(CAPACITY)
    yield made
    made.close()


@pytest.fixture(scope="module")
def ask(compiler: str, tmp_path_factory: pytest.TempPathFactory, board: Board) -> Ask:
    """Return what asks the code in C whether there is room."""
    folder = tmp_path_factory.mktemp("sources")
    function = load(compiler, folder, _SHIM, "sources.c").ask
    memory = mmap.mmap(board.fd, 0)
    whole = (ctypes.c_char * len(memory)).from_buffer(memory)

    def call(client: Peer) -> tuple[int, bytes, bool]:
        address = client.address.ljust(16, b"\0")
        size, name = ctypes.c_size_t(len(memory)), ctypes.create_string_buffer(_NAME_SIZE + 1)
        uid = ctypes.c_uint(client.uid)
        has_place = function(whole, size, client.family, address, uid, name)
        return has_place, name.raw[:_NAME_SIZE], bool(name.raw[_NAME_SIZE])

    return call


@pytest.fixture(scope="module")
def gone() -> int:
    """Return the process id of a child that is over, and is not collected before the end."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_layout_is_the_same(compiler: str, tmp_path: Path) -> None:
    """Where the limit stands, and the reasons."""
    fields = {
        "offsetof(struct gate_limits, sources)": 0,
        "offsetof(struct board_header, watched)": layout.WATCHED_OFFSET,
        "GATE_CROWDED": REASONS.index("too many from its source"),
        "GATE_UNCOUNTED": REASONS.index("not to be counted"),
    }

    assert evaluate(compiler, tmp_path, "board.h", list(fields)) == list(fields.values())


_ADDRESSES = st.integers(0, 127).map(lambda bit: (1 << bit).to_bytes(16, "big"))
_CLIENTS = st.one_of(
    st.builds(
        Peer, st.just(int(socket.AF_INET6)), _ADDRESSES | st.binary(min_size=16, max_size=16)
    ),
    st.builds(
        Peer, st.just(int(socket.AF_INET)), _ADDRESSES.map(lambda one: one[12:].ljust(16, b"\0"))
    ),
    st.builds(Peer, st.just(int(socket.AF_UNIX)), uid=st.integers(0, 2)),
    st.just(Peer()),
)
_WORKERS = st.lists(
    st.tuples(
        st.sampled_from(SlotState),
        st.sampled_from(["here", "gone", "none"]),
        _CLIENTS,
        st.integers(0, 4),
    ),
    max_size=CAPACITY,
)


def is_same(one: Peer, other: Peer, limit: SourceLimit) -> bool:
    """Tell whether two clients are one source, bit by bit."""
    if one.family != other.family:
        return False
    if one.family == socket.AF_UNIX:
        return one.uid == other.uid
    bits = {socket.AF_INET: limit.ipv4_bits, socket.AF_INET6: limit.ipv6_bits}.get(one.family, 0)  # type: ignore[call-overload]
    texts = ["".join(f"{byte:08b}" for byte in peer.address)[:bits] for peer in (one, other)]
    return texts[0] == texts[1]


@given(
    _WORKERS,
    _CLIENTS,
    st.integers(1, 5),
    st.integers(1, 32),
    st.integers(1, 128),
    st.integers(0, 70),
)
def test_both_sides_count_who_serves_and_is_there(
    ask: Ask,
    board: Board,
    gone: int,
    workers: list[tuple[SlotState, str, Peer, int]],
    client: Peer,
    most: int,
    ipv4_bits: int,
    ipv6_bits: int,
    watched: int,
) -> None:
    """Not who waits, who is over, or who is beyond the slots in use.

    Among all together those count who wait with a client for a place, and have before.
    """
    limit = SourceLimit(most, ipv4_bits, ipv6_bits)
    before_ns = 3
    board.gate.limit(Limits(limit, queue_ns=before_ns))
    pids = {"here": os.getpid(), "gone": gone, "none": 0}
    count = everybody = 0
    for number in range(CAPACITY):
        board.claim(number, 1)
        board.set_state(number, SlotState.FREE)
    for number, (state, process, peer, queued_ns) in enumerate(workers):
        board.set_pid(number, pids[process])
        board.write_accepted(number, 0, peer)
        if queued_ns:
            board.join_queue(number, queued_ns)
        board.set_state(number, state)
        is_serving = state in (SlotState.ACCEPTED, SlotState.BUSY) and number < watched
        is_there = is_serving and process == "here"
        has_waited = state is SlotState.IDLE and number < watched and 0 < queued_ns < before_ns
        everybody += is_there or (has_waited and process == "here")
        count += is_there and is_same(peer, client, limit)
    board.watch(watched)

    assert board.gate.limits.sources == limit
    assert ask(client) == (count < most, name_of(client, limit), everybody >= most)
    queued = board.queued(before_ns)
    assert are_full(board.serving(), most, queued) == (everybody >= most)
    assert has_room(board.serving(), limit, client) == (count < most)


@given(_CLIENTS, _CLIENTS, st.integers(1, 32), st.integers(1, 128))
def test_name_of_a_source_is_that_of_all_its_clients(
    one: Peer, other: Peer, ipv4_bits: int, ipv6_bits: int
) -> None:
    """And of nobody else."""
    limit = SourceLimit(1, ipv4_bits, ipv6_bits)
    assert (name_of(one, limit) == name_of(other, limit)) == is_same(one, other, limit)


@given(
    st.binary(min_size=layout.RECORD_SIZE, max_size=layout.RECORD_SIZE), st.integers(0, 2**64 - 1)
)
def test_whatever_stands_there_is_an_answer(
    ask: Ask, board: Board, record: bytes, number: int
) -> None:
    """Nothing is read outside the board: others write here too."""
    start = layout.HEADER_SIZE + layout.padded(CAPACITY)
    os.pwrite(board.fd, bytes([SlotState.BUSY]) * CAPACITY, layout.HEADER_SIZE)
    os.pwrite(board.fd, record * CAPACITY, start)
    os.pwrite(board.fd, b"\xff" * 4, layout.WATCHED_OFFSET)
    os.pwrite(board.fd, number.to_bytes(8, "little"), board.gate.offset + 144)

    for client in (Peer(), Peer(socket.AF_INET6, b"\xff" * 16), Peer(socket.AF_UNIX, uid=1)):
        assert ask(client)[0] in (0, 1)
        assert has_room(board.serving(), board.gate.limits.sources, client) in (False, True)
