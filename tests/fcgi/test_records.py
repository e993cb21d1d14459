"""Records: each type, cut anywhere, padded, of any request, and those that are none."""

import struct
from collections.abc import Iterator

import pytest

from harness.fastcgi import (
    Record,
    Status,
    Type,
    begin,
    decode_pairs,
    encode,
    encode_pairs,
    request,
    stream,
)

from .conftest import Script, Start
from .wrappers import HEAD, end_of

ECHO = f'{HEAD}; echo "$NAME"; cat; echo oops >&2'
KNOWN = {"FCGI_MAX_CONNS": "256", "FCGI_MAX_REQS": "256", "FCGI_MPXS_CONNS": "0"}


def _conversation() -> bytes:
    """Return records of each type: questions, a request that is aborted, two at once."""
    records = request({"NAME": "one", "LONG": "x" * 200}, b"some body", 7, keep=True, size=90)
    return b"".join(
        [
            Record(Type.GET_VALUES, 0, encode_pairs({"FCGI_MPXS_CONNS": "", "other": ""})).encode(),
            begin(9, keep=True).encode(),
            Record(Type.ABORT_REQUEST, 9).encode(5),
            encode(records[:2], padding=3),
            begin(8).encode(),
            encode(records[2:-1], padding=1),
            Record(99, 0).encode(),
            encode(records[-1:]),
        ]
    )


def _read_conversation(records: Iterator[Record]) -> list[Record]:
    """Return the records up to the end of the request that is carried out, each stream joined."""
    streams = {Type.STDOUT: b"", Type.STDERR: b""}
    others = []
    for record in records:
        if record.type in streams:
            streams[Type(record.type)] += record.content
            continue
        others.append(record)
        if record.type == Type.END_REQUEST and record.request_id == 7:
            break
    return [*others, *(Record(kind, 7, content) for kind, content in streams.items())]


EXPECTED = [
    Record(Type.GET_VALUES_RESULT, 0, encode_pairs({"FCGI_MPXS_CONNS": "0"})),
    Record(Type.END_REQUEST, 9, struct.pack(">IB3x", 0, Status.REQUEST_COMPLETE)),
    Record(Type.END_REQUEST, 8, struct.pack(">IB3x", 0, Status.CANT_MPX_CONN)),
    Record(Type.UNKNOWN_TYPE, 0, bytes([99]) + bytes(7)),
    Record(Type.END_REQUEST, 7, struct.pack(">IB3x", 0, Status.REQUEST_COMPLETE)),
    Record(Type.STDOUT, 7, b"Content-Type: text/plain\r\n\r\none\nsome body"),
    Record(Type.STDERR, 7, b"oops\n"),
]


@pytest.mark.slow
def test_a_conversation_may_be_cut_in_two_anywhere(
    start: Start, script: Script, family: str
) -> None:
    """At each byte, the part before it is read alone, and the answers are the same."""
    whole = _conversation()
    wrapper = start(script(ECHO), family=family)
    for at in range(1, len(whole)):
        wrapper.send_and_see_read(whole[:at])
        wrapper.peer.connection.sendall(whole[at:])

        assert _read_conversation(wrapper.peer.records()) == EXPECTED, at


@pytest.mark.slow
def test_a_conversation_may_come_byte_by_byte(start: Start, script: Script, family: str) -> None:
    """Each byte may come alone, over either kind of connection."""
    wrapper = start(script(ECHO), family=family)
    for byte in _conversation():
        wrapper.send_and_see_read(bytes([byte]))

    assert _read_conversation(wrapper.peer.records()) == EXPECTED


def test_a_connection_carries_many_requests(start: Start, script: Script, family: str) -> None:
    """They come one after another, and the last one says that it is the last."""
    wrapper = start(script(ECHO), family=family)
    for number in range(20):
        assert wrapper.ask({"NAME": "n"}, b"%d" % number).body == b"n\n%d" % number
    assert wrapper.ask({"NAME": "last"}, keep=False).body == b"last\n"

    assert wrapper.peer.is_at_end()
    assert wrapper.wait() == 0


@pytest.mark.parametrize("request_id", [1, 255, 256, 65535])
def test_any_request_id_comes_back(start: Start, script: Script, request_id: int) -> None:
    """Every record of an answer has the id of its request."""
    answer = start(script(ECHO)).ask({"NAME": "n"}, b"body", request_id)

    assert answer.body == b"n\nbody"


@pytest.mark.parametrize("padding", [0, 1, 7, 255])
def test_padding_is_skipped(start: Start, script: Script, padding: int) -> None:
    """Records may be padded with anything; ours are, to eight bytes."""
    wrapper = start(script(ECHO))
    wrapper.peer.send(request({"NAME": "n"}, b"body"), padding=padding)
    raw = b""
    while part := wrapper.peer.connection.recv(4096):
        raw += part

    assert len(raw) % 8 == 0
    assert b"body" in raw


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ([], []),
        (list(KNOWN), list(KNOWN)),
        (["FCGI_MAX_REQS", "FCGI_MAX_REQS"], ["FCGI_MAX_REQS"]),
        (["", "FCGI_MAX", "FCGI_MAX_CONNSS", "FCGI_MPXS_CONNS"], ["FCGI_MPXS_CONNS"]),
        (["x" * 127, "x" * 128, "y" * 60000, "FCGI_MAX_CONNS"], ["FCGI_MAX_CONNS"]),
    ],
)
def test_values_are_told(start: Start, names: list[str], known: list[str]) -> None:
    """The three variables of the specification have values, whatever else is asked for."""
    wrapper = start("true")
    pairs = [(name.encode(), b"ignored") for name in names]
    wrapper.peer.send([Record(Type.GET_VALUES, 0, encode_pairs(pairs))])
    answer = wrapper.peer.read_record()

    assert answer is not None
    assert (answer.type, answer.request_id) == (Type.GET_VALUES_RESULT, 0)
    assert decode_pairs(answer.content) == {name: KNOWN[name] for name in known}


def test_a_length_may_be_long_where_it_could_be_short(start: Start, script: Script) -> None:
    """The four byte form of a length below 128 means the same."""
    wrapper = start(script(ECHO))
    pair = struct.pack(">II", 0x80000004, 0x80000003) + b"NAMEabc"
    wrapper.peer.send([begin(), *stream(Type.PARAMS, 1, pair), *stream(Type.STDIN, 1, b"")])

    assert wrapper.peer.read_answer().body == b"abc\n"


def test_values_are_told_while_a_program_runs(start: Start, script: Script) -> None:
    """A question about the connection is answered in the midst of a request."""
    wrapper = start(script(ECHO))
    records = request({"NAME": "n"}, b"body")
    wrapper.peer.send(records[:-1])
    wrapper.wait_programs(2)
    wrapper.peer.send([Record(Type.GET_VALUES, 0, encode_pairs({"FCGI_MAX_REQS": ""}))])
    seen = []
    for record in wrapper.peer.records():
        seen.append(record)
        if record.type == Type.GET_VALUES_RESULT:
            wrapper.peer.send(records[-1:])

    assert b"body" in b"".join(one.content for one in seen if one.type == Type.STDOUT)
    assert end_of(seen[-1]) == (0, Status.REQUEST_COMPLETE)


@pytest.mark.parametrize("kind", [0, 1, 5, 10, 12, 255])
def test_an_unknown_question_is_called_so(start: Start, kind: int) -> None:
    """A record about the connection of a type that there is not is answered with its type."""
    wrapper = start("true")
    wrapper.peer.send([Record(kind, 0, b"content")])

    assert wrapper.peer.read_record() == Record(Type.UNKNOWN_TYPE, 0, bytes([kind]) + bytes(7))


def test_records_of_no_request_are_ignored(start: Start, script: Script) -> None:
    """Nothing follows from a record of another id, of an unknown type or of another role."""
    wrapper = start(script(ECHO))
    strays = [Record(kind, 9, b"stray") for kind in (2, 3, 4, 5, 6, 7, 8, 9, 11, 200)]
    own = [Record(kind, 1, b"stray") for kind in (3, 6, 7, 8, 9, 200)]
    records = request({"NAME": "n"}, b"body", keep=True)
    for at in range(len(records)):
        wrapper.peer.send([*records[:at], *strays, *(own if at else []), *records[at:]])

        assert wrapper.peer.read_answer().body == b"n\nbody"


def test_a_request_behind_one_that_is_said_whole_waits(start: Start, script: Script) -> None:
    """HAProxy sends one behind a HEAD whose head it has had; each gets its answer."""
    wrapper = start(script(f"{HEAD}; echo $NAME; read line && echo $line || sleep 0.1; echo end"))
    first, second = ({"NAME": name} for name in "nm")
    wrapper.peer.send([*request(first, keep=True), *request(second, b"two\n", 2, keep=True)])

    assert wrapper.peer.read_answer(1).body == b"n\nend\n"
    assert wrapper.peer.read_answer(2).body == b"m\ntwo\nend\n"


def test_a_second_request_beside_the_first_is_refused(start: Start, script: Script) -> None:
    """It cannot be multiplexed, is told so at once, and the first one is not disturbed."""
    wrapper = start(script(ECHO))
    first, second = request({"NAME": "n"}, b"one"), request({"NAME": "m"}, b"two", 2)
    wrapper.peer.send([*first[:2], *second, *first[2:]])

    assert wrapper.peer.read_record() == Record(3, 2, struct.pack(">IB3x", 0, 1))
    assert wrapper.peer.read_answer().body == b"n\none"
    assert wrapper.peer.is_at_end()


@pytest.mark.parametrize("role", [0, 2, 3, 65535])
def test_another_role_is_refused(start: Start, script: Script, role: int) -> None:
    """Only the responder is known; a kept connection goes on, any other ends."""
    wrapper = start(script(ECHO))
    wrapper.peer.send([begin(role=role, keep=True), *request()[1:]])
    kept = wrapper.peer.read_record()
    assert wrapper.ask({"NAME": "n"}).body == b"n\n"
    wrapper.peer.send([begin(role=role), *request()[1:]])

    assert end_of(kept) == (0, Status.UNKNOWN_ROLE)
    assert end_of(wrapper.peer.read_record()) == (0, Status.UNKNOWN_ROLE)
    assert wrapper.peer.is_at_end()


@pytest.mark.parametrize(
    "broken",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        Record(Type.GET_VALUES, 0).encode(version=2),
        Record(Type.GET_VALUES, 0).encode(version=0)[:1],
        Record(Type.BEGIN_REQUEST, 1, b"\0\1\0").encode(),
        Record(Type.BEGIN_REQUEST, 1, bytes(9)).encode(),
        Record(Type.BEGIN_REQUEST, 1).encode(),
        encode([begin(), begin()]),
        encode([begin(), Record(Type.STDIN, 1, b"too early")]),
    ],
)
def test_what_is_no_fastcgi_ends_the_connection(
    start: Start, script: Script, family: str, broken: bytes
) -> None:
    """The connection is closed, not reset, and what came before is answered."""
    wrapper = start(script(ECHO), family=family)
    assert wrapper.ask({"NAME": "n"}).body == b"n\n"
    wrapper.peer.connection.sendall(broken + bytes(100_000))

    assert wrapper.peer.is_at_end()


def test_a_request_in_hand_ends_with_what_is_no_fastcgi(start: Start, script: Script) -> None:
    """Its program is ended, and it is told so before the connection closes."""
    wrapper = start(script("exec sleep 1000"))
    wrapper.peer.send(request(keep=True))
    wrapper.wait_programs(1)
    wrapper.peer.connection.sendall(b"GET")

    assert wrapper.peer.read_answer().app_status == 128 + 15
    assert wrapper.peer.is_at_end()
    wrapper.wait_no_programs()
