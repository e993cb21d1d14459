"""Connections on which no request comes, or only by drops: they end, whatever is sent meanwhile."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import scgi
from harness.clients import connect, dribbling, read_all
from harness.fastcgi import Peer, Record, Type, begin, encode, encode_pairs, request, stream
from harness.servers import Server
from socketd.system.products import is_built

from .conftest import Script, Start
from .wrappers import HEAD, end_of

SHORT = ("--head-timeout", "0.3", "--keep-timeout", "0.6")
LONG = 600
QUESTION = Record(Type.GET_VALUES, 0, encode_pairs({"FCGI_MAX_REQS": ""}))
# Bytes without an end, of which no part ever is a request.
RUDE = {
    "a head": encode([begin(), Record(Type.PARAMS, 1, bytes(60_000))]),
    "questions": encode([QUESTION] * LONG),
    "questions that fill a record": QUESTION.encode() + Record(99, 0, bytes(60_000)).encode(),
    "requests of another role": encode([begin(role=2, keep=True)] * LONG),
    "requests that are taken back": encode(
        [begin(keep=True), Record(Type.ABORT_REQUEST, 1)] * LONG
    ),
    "records of nothing": encode([Record(Type.STDIN, 9, b"x")] * LONG),
}


def read_to_the_end(peer: Peer) -> list[Record]:
    """Return what comes until the connection ends; a reset is an end."""
    records: list[Record] = []
    with contextlib.suppress(ConnectionResetError):
        records += peer.records()
    return records


def test_a_connection_without_a_request_ends(start: Start, family: str) -> None:
    """Nobody has asked for anything, so nothing is said."""
    wrapper = start(*SHORT, "true", family=family)

    assert wrapper.peer.is_at_end()
    assert wrapper.wait() == 0


@pytest.mark.parametrize("name", RUDE)
def test_a_byte_now_and_then_puts_nothing_off(start: Start, name: str) -> None:
    """The head of the first request has its time, whatever comes in its place."""
    wrapper = start(*SHORT, "true")
    with dribbling(wrapper.peer.connection, RUDE[name]):
        read_to_the_end(wrapper.peer)

        assert wrapper.wait() == 0


@pytest.mark.parametrize("name", RUDE)
def test_nor_on_a_connection_that_is_kept(start: Start, script: Script, name: str) -> None:
    """From the first byte after an answer the head of the next request has the same time."""
    wrapper = start("--head-timeout", "0.3", script(f"{HEAD}; cat"))
    assert wrapper.ask(None, b"first").body == b"first"
    with dribbling(wrapper.peer.connection, RUDE[name]):
        read_to_the_end(wrapper.peer)

        assert wrapper.wait() == 0


def test_a_head_that_comes_too_late_is_answered(start: Start, family: str) -> None:
    """Whoever has begun a request is told what is wrong, in the answer and in a line."""
    wrapper = start(*SHORT, "true", family=family)
    wrapper.peer.send(request()[:2])
    answer = wrapper.peer.read_answer()

    assert answer.status == "408 Request Timeout"
    assert answer.stderr == b"fcgi2cgi: refused: the head of the request has not come in time\n"
    assert answer.app_status == 1
    assert wrapper.peer.is_at_end()
    assert wrapper.wait() == 0


def test_a_kept_connection_has_a_time_of_its_own(start: Start, script: Script, family: str) -> None:
    """Between requests it may be silent for longer than a head may take, and not for ever."""
    wrapper = start("--head-timeout", "0.05", "--keep-timeout", "1", script(HEAD), family=family)
    for _ in range(3):
        assert wrapper.ask().status == "200 OK"
        with pytest.raises(TimeoutError), as_long_as(wrapper.peer.connection, 0.2):
            wrapper.peer.read_record()

    assert wrapper.peer.is_at_end()
    assert wrapper.wait() == 0


@contextlib.contextmanager
def as_long_as(connection: socket.socket, seconds: float) -> Iterator[None]:
    """Have a connection wait no longer."""
    usual = connection.gettimeout()
    connection.settimeout(seconds)
    try:
        yield
    finally:
        connection.settimeout(usual)


@pytest.mark.parametrize("body", [b"", b"body"])
def test_a_request_that_is_carried_out_has_its_own_time(
    start: Start, script: Script, family: str, body: bytes
) -> None:
    """The limits are for what comes before it, not for a body or an answer."""
    wrapper = start(*SHORT, script("sleep 1; cat >&2"), family=family)
    records = request(None, body)
    wrapper.peer.send(records[:-1])
    with pytest.raises(TimeoutError), as_long_as(wrapper.peer.connection, 0.7):
        list(wrapper.peer.records())
    wrapper.peer.send(records[-1:])

    assert wrapper.peer.read_answer().stderr.startswith(body)


def test_a_refused_request_is_one_that_was_answered(start: Start, script: Script) -> None:
    """Afterwards a kept connection has the time that it has after any other."""
    wrapper = start("--head-timeout", "0.05", "--keep-timeout", "600", script(HEAD))
    wrong = encode_pairs([(b"A", b"1\0")])
    wrapper.peer.send([begin(keep=True), *stream(Type.PARAMS, 1, wrong), Record(Type.STDIN, 1)])

    assert wrapper.peer.read_answer().status == "400 Bad Request"
    with pytest.raises(TimeoutError), as_long_as(wrapper.peer.connection, 0.2):
        wrapper.peer.read_record()
    assert wrapper.ask().status == "200 OK"


def test_what_nobody_takes_is_not_waited_for(start: Start, family: str) -> None:
    """A client that has broken the protocol and does not read keeps nothing."""
    wrapper = start(*SHORT, "true", family=family)
    connection = wrapper.peer.connection
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError, ConnectionResetError):
        while True:
            connection.send(QUESTION.encode())

    assert wrapper.wait() == 0


SAME_ID = request({"NAME": "second"}, b"two", keep=True)


def test_a_second_request_with_the_same_id_waits(start: Start, script: Script, family: str) -> None:
    """The first one is finished, whatever comes behind it; then it is its turn."""
    wrapper = start(script(f'{HEAD}; sleep 0.3; echo "$NAME"; cat'), family=family)
    first = request({"NAME": "first"}, b"one", keep=True)
    wrapper.peer.send([*first, *SAME_ID, *SAME_ID])

    assert wrapper.peer.read_answer().body == b"first\none"
    assert wrapper.peer.read_answer().body == b"second\ntwo"
    assert wrapper.peer.read_answer().body == b"second\ntwo"


@pytest.mark.shipped
def test_what_waits_is_not_read(start: Start, script: Script, family: str) -> None:
    """A second request that is large stays with its sender as long as the first is carried out."""
    wrapper = start(script(f"{HEAD}; test $NAME = second || exec sleep 1; wc -c"), family=family)
    large = encode(request({"NAME": "second"}, bytes(20_000_000)))
    sender = threading.Thread(target=wrapper.peer.connection.sendall, args=[large])
    wrapper.peer.send(request({"NAME": "first"}, keep=True))
    wrapper.wait_programs(1)
    sender.start()

    assert wrapper.peer.read_answer().app_status == 0
    assert wrapper.memory_kib() < 10_000 or "sanitize-" in str(wrapper.process.args)
    assert wrapper.peer.read_answer().body == b"20000000\n"
    sender.join()


def test_a_second_request_with_the_same_id_behind_an_abort_waits(
    start: Start, script: Script
) -> None:
    """The program of the one that was taken back ends first."""
    wrapper = start(script(f'{HEAD}; test "$NAME" = second || exec sleep 1000; cat'))
    wrapper.peer.send(request({"NAME": "first"}, b"one", keep=True)[:-1])
    wrapper.wait_programs(1)
    wrapper.peer.send([Record(Type.ABORT_REQUEST, 1), *SAME_ID])

    assert wrapper.peer.read_answer().app_status == 128 + 15
    assert wrapper.peer.read_answer().body == b"two"


def test_an_abort_of_another_id_ends_nothing(start: Start, script: Script) -> None:
    """Only the request that it names is taken back."""
    wrapper = start(script(f"{HEAD}; cat"))
    records = request(None, b"body")
    wrapper.peer.send(records[:-1])
    wrapper.wait_programs(2)
    wrapper.peer.send([Record(Type.ABORT_REQUEST, 2), *records[-1:]])

    answer = wrapper.peer.read_answer()
    assert (answer.body, answer.app_status) == (b"body", 0)


def test_a_last_request_is_the_last(start: Start, script: Script) -> None:
    """What follows a request that was not to keep the connection is not carried out."""
    wrapper = start(script(f"{HEAD}; cat"))
    wrapper.peer.send([*request(None, b"last"), *SAME_ID])

    assert wrapper.peer.read_answer().body == b"last"
    assert wrapper.peer.is_at_end()


def test_two_requests_with_one_id_that_overlap_are_none(start: Start, script: Script) -> None:
    """A request whose body has not ended cannot begin again: this is no FastCGI."""
    wrapper = start(script("exec sleep 1000"))
    first = request(None, b"one", keep=True)
    wrapper.peer.send([*first[:-1], *SAME_ID])

    assert end_of(list(wrapper.peer.records())[-1]) == (128 + 15, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("front", "family"), [("scgi", "tcp"), ("fcgi", "unix"), ("fcgi", "tcp")])
def test_silent_connections_beyond_the_maximum_are_got_rid_of(
    script: Script, tmp_path: Path, front: str, family: str
) -> None:
    """More of them than there may be workers keep an honest client waiting for a while only."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    place = [f"{tmp_path}/s"] if family == "unix" else ["-B", "127.0.0.1", "0"]
    command = ["-W", "2", "--max-workers", "4", "--front", front, "--head-timeout", "300ms"]
    program = script(f"{HEAD}; printf honest")
    server = Server([*command, "-p", program, "-s", *place], is_measured=False)
    with contextlib.closing(server), contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(server.place)) for _ in range(10)]
        for connection in silent[::2]:
            connection.sendall(encode([begin()])[:9] if front == "fcgi" else scgi.request()[:9])
        honest = stack.enter_context(connect(server.place))
        honest.sendall(encode(request(None)) if front == "fcgi" else scgi.request())

        assert b"honest" in read_all(honest)
        for connection in silent:
            with contextlib.suppress(ConnectionResetError):
                read_all(connection)
