"""The gate in C against Python: one layout, one answer, whatever somebody writes there."""

import ctypes
import ipaddress
import mmap
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.admission.refusal import REASONS
from socketd.admission.table import (
    HALF_SIZE,
    HEADER,
    RuleSet,
    compile_table,
    decide,
    meet,
)
from socketd.programs.peer import Peer
from socketd.settings.peerrule import (
    AddressRange,
    Everybody,
    GroupId,
    PeerRule,
    UnixClients,
    UserId,
)
from socketd.workers import gate as gates
from socketd.workers.board import Board

from .evaluate import evaluate
from .shims import load

_OUT_SIZE = 4096
_SHIM = """
#include "admission.h"
#include <string.h>
int ask(struct gate *, int, const unsigned char *, unsigned, unsigned, char *, int *);
int meet(struct gate *, int, const unsigned char *, unsigned, unsigned, unsigned *);
/* Whether who has connected may, and within which time a proxy is to say for whom. */
int meet(struct gate *gate, int family, const unsigned char *bytes, unsigned uid, unsigned gid,
         unsigned *limit_ms)
{
    static struct admission admission;
    struct peer peer = {.address.family = (sa_family_t)family};
    memcpy(peer.address.bytes, bytes, 16);
    peer.credentials.uid = uid;
    peer.credentials.gid = gid;
    admission_meet(&admission, gate, &peer);
    *limit_ms = admission.header_limit_ms;
    return admission.is_granted ? -1 : (int)admission.reason;
}
/* Whether a client may come in; `out` gets its variables, each with its NUL, or what it hears. */
int ask(struct gate *gate, int family, const unsigned char *bytes, unsigned uid, unsigned gid,
        char *out, int *size)
{
    static struct admission admission;
    struct peer peer = {.address.family = (sa_family_t)family};
    memcpy(peer.address.bytes, bytes, 16);
    peer.credentials.uid = uid;
    peer.credentials.gid = gid;
    admission_decide(&admission, gate, &peer);
    *size = 0;
    for (size_t i = 0; admission.is_granted && i < admission.count; i++) {
        size_t length = strlen(admission.variables[i]) + 1;
        memcpy(out + *size, admission.variables[i], length);
        *size += (int)length;
    }
    if (!admission.is_granted) {
        memcpy(out, admission.refusal, admission.refusal_size);
        *size = (int)admission.refusal_size;
    }
    return admission.is_granted;
}
"""

Ask = Callable[[mmap.mmap, int, Peer], tuple[bool, bytes]]
Meet = Callable[[mmap.mmap, Peer], tuple[bool, str, int]]


@pytest.fixture(scope="module")
def library(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the code in C."""
    folder = tmp_path_factory.mktemp("admission")
    return load(compiler, folder, _SHIM, "admission.c", "doorbell.c")


@pytest.fixture(scope="module")
def meet_in_c(library: ctypes.CDLL) -> Meet:
    """Return what asks the code in C about who has connected."""

    def call(memory: mmap.mmap, who: Peer) -> tuple[bool, str, int]:
        whole = (ctypes.c_char * len(memory)).from_buffer(memory)
        limit_ms = ctypes.c_uint()
        address = who.address.ljust(16, b"\0")
        numbers = ctypes.c_uint(who.uid), ctypes.c_uint(who.gid)
        reason = library.meet(
            ctypes.byref(whole), who.family, address, *numbers, ctypes.byref(limit_ms)
        )
        del whole
        return reason < 0, "" if reason < 0 else REASONS[reason], limit_ms.value

    return call


@pytest.fixture(scope="module")
def ask(library: ctypes.CDLL) -> Ask:
    """Return what asks the code in C about a client."""
    function = library.ask

    def call(memory: mmap.mmap, offset: int, client: Peer) -> tuple[bool, bytes]:
        whole = (ctypes.c_char * len(memory)).from_buffer(memory)
        out, size = ctypes.create_string_buffer(_OUT_SIZE), ctypes.c_int()
        is_granted = function(
            ctypes.byref(whole, offset),
            client.family,
            client.address.ljust(16, b"\0"),
            ctypes.c_uint(client.uid),
            ctypes.c_uint(client.gid),
            out,
            ctypes.byref(size),
        )
        del whole
        return bool(is_granted), out.raw[: size.value]

    return call


class Place:
    """A gate in memory of our own."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, gates.GATE_SIZE)
        self.gate = gates.Gate(self.memory, 0)


@pytest.fixture(scope="module")
def place() -> Place:
    """Return a gate that examples share: each puts its own table in force."""
    return Place()


def by_python(content: bytes | memoryview, client: Peer) -> tuple[bool, bytes]:
    """Return the answer of the Python side in the form of the other."""
    verdict = decide(content, client)
    if not verdict.is_granted:
        return False, verdict.refusal
    words = (f"{name}={value}\0" for name, value in verdict.variables.items())
    return True, "".join(words).encode(errors="surrogateescape")


def test_layout_is_the_same(compiler: str, tmp_path: Path) -> None:
    """Offsets and sizes, in the gate and on the board."""
    fields = {
        "offsetof(struct gate, in_force)": 0,
        "offsetof(struct gate, is_told)": 4,
        "offsetof(struct gate, refusals)": 8,
        "offsetof(struct gate, by_reason)": 16,
        "offsetof(struct gate, ring)": 256,
        "offsetof(struct gate, halves)": 4096,
        "sizeof(struct gate)": gates.GATE_SIZE,
        "GATE_HALF_SIZE": HALF_SIZE,
        "GATE_RING": gates.GATE_RING,
        "GATE_DENIED": REASONS.index("denied"),
        "GATE_NO_PROXY": REASONS.index("no proxy"),
        "GATE_NO_HEADER": REASONS.index("no header"),
        "GATE_LATE_HEADER": REASONS.index("late header"),
        "GATE_HASTY": REASONS.index("too often from its source"),
        "GATE_OVER_RATE": REASONS.index("too often"),
        "GATE_FULL": REASONS.index("all busy"),
        "sizeof(struct gate_table)": HEADER.size,
    }

    assert evaluate(compiler, tmp_path, "gate.h", list(fields)) == list(fields.values())


def test_board_has_the_gate_at_the_same_place(compiler: str, tmp_path: Path) -> None:
    """Whatever its capacity; and nobody is sent away as long as no table is in force."""
    for capacity in (1, 65, 1000):
        board = Board(capacity)
        try:
            expected = evaluate(compiler, tmp_path, "board.h", [f"board_gate_offset({capacity})"])
            assert [board.gate.offset] == expected
            assert board.gate.decide(Peer()).is_granted
        finally:
            board.close()


_ADDRESSES = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**31, 2**32 - 1])


@st.composite
def _rules(draw: st.DrawFn) -> tuple[PeerRule, ...]:
    whom: list[object] = []
    for address, length in draw(st.lists(st.tuples(_ADDRESSES, st.integers(0, 32)), max_size=6)):
        whole = address >> (32 - length) << (32 - length)
        whom.append(AddressRange(socket.AF_INET, whole, length))
        whom.append(AddressRange(socket.AF_INET6, whole << 96, length))
    whom += [UserId(number) for number in draw(st.lists(st.integers(0, 5), max_size=3))]
    whom += [GroupId(number) for number in draw(st.lists(st.integers(0, 5), max_size=3))]
    whom += draw(st.lists(st.just(Everybody()), max_size=1))
    text = st.text("AB=é", min_size=1, max_size=5).map(lambda value: f"N={value}")
    return tuple(PeerRule(one, tuple(draw(st.lists(text, max_size=1)))) for one in whom)  # type: ignore[arg-type]


def _clients(rules: RuleSet) -> list[Peer]:
    clients = [Peer(socket.AF_UNIX, uid=uid, gid=gid) for uid in range(6) for gid in (0, 3, 9)]
    for rule in (*rules.allow, *rules.deny):
        if isinstance(rule.whom, AddressRange):
            size = 4 if rule.whom.family == socket.AF_INET else 16
            ends = (rule.whom.first, rule.whom.last)
            clients += [Peer(rule.whom.family, end.to_bytes(size, "big")) for end in ends]
    clients += [Peer(socket.AF_INET, ipaddress.ip_address("127.0.0.1").packed), Peer()]
    return clients


@given(_rules(), _rules(), st.booleans(), st.binary(max_size=20))
def test_both_sides_give_the_same_answer(
    ask: Ask,
    place: Place,
    allow: tuple[PeerRule, ...],
    deny: tuple[PeerRule, ...],
    is_closed: bool,
    refusal: bytes,
) -> None:
    """For every client at an edge of a rule."""
    rules = RuleSet(allow, deny, is_closed=is_closed, refusal=refusal)
    table = compile_table(rules)
    place.gate.put_in_force(table)

    for client in _clients(rules):
        assert ask(place.memory, 0, client) == by_python(table, client)


@given(
    st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 40), min_size=10, max_size=10),
    st.binary(max_size=300),
)
def test_whatever_stands_in_a_table_is_a_verdict(
    ask: Ask, meet_in_c: Meet, place: Place, counts: list[int], content: bytes
) -> None:
    """Nothing is read outside the half, which the checks would tell: others write here too."""
    table = b"".join(count.to_bytes(4, "little") for count in counts) + content
    place.gate.put_in_force(table)

    for client in (*_clients(RuleSet()), Peer(socket.AF_INET6, b"\xff" * 16)):
        ask(place.memory, 0, client)
        meet_in_c(place.memory, client)


@given(_rules(), _rules(), st.booleans(), st.booleans())
def test_both_sides_say_the_same_of_who_has_connected(
    meet_in_c: Meet,
    place: Place,
    allow: tuple[PeerRule, ...],
    listed: tuple[PeerRule, ...],
    has_unix: bool,
    has_proxies: bool,
) -> None:
    """A proxy is asked for whom it comes, and with proxies nobody else may connect."""
    proxies = tuple(PeerRule(rule.whom) for rule in listed if rule.whom != Everybody())
    proxies += (PeerRule(UnixClients()),) * has_unix
    rules = RuleSet(allow, proxies=proxies if has_proxies else None, header_ms=700)
    table = compile_table(rules)
    place.gate.put_in_force(table)

    for who in (*_clients(rules), *_clients(RuleSet(proxies))):
        expected = meet(table, who)
        reason = "" if expected.is_granted else expected.reason
        assert meet_in_c(place.memory, who) == (expected.is_granted, reason, expected.header_ms)
        assert place.gate.meet(who) == expected
        if has_proxies and who.family == socket.AF_UNIX:
            named = {UserId(who.uid), GroupId(who.gid)} & {rule.whom for rule in proxies}
            assert expected.is_granted == (has_unix or bool(named))


def test_half_that_is_full_to_the_last_byte_is_read(ask: Ask, place: Place) -> None:
    """The last entry of the largest table there may be."""
    count = (HALF_SIZE - HEADER.size - 4) // 8
    texts = bytes(HALF_SIZE - HEADER.size - count * 8)
    header = (count, 0, 0, 0, 0, len(texts), 0, 0, 0, 0)
    entries = b"".join(number.to_bytes(4, "little") + b"\1\0\0\0" for number in range(count))
    table = b"".join(one.to_bytes(4, "little") for one in header) + texts + entries
    assert len(table) == HALF_SIZE
    place.gate.put_in_force(table)

    assert ask(place.memory, 0, Peer(socket.AF_INET, b"\xff\xff\xff\xff")) == (True, b"")


def test_table_in_force_is_the_one_put_there_last(ask: Ask, place: Place) -> None:
    """Each is written into the half that is not in force, over and over."""
    client = Peer(socket.AF_INET, bytes((10, 0, 0, 1)))
    for turn in range(5):
        place.gate.put_in_force(compile_table(RuleSet(is_closed=turn % 2 == 0)))
        assert ask(place.memory, 0, client)[0] == (turn % 2 == 1)
