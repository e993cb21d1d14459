"""Bodies and answers of any length: nothing is lost, nothing grows, neither side waits for ever."""

import fcntl
import select
import struct
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.extent import by_extent
from harness.fastcgi import Peer, Record, Type, begin, encode, request, stream
from harness.waiting import wait_for

from .conftest import Script, Start
from .wrappers import HEAD, Wrapper, end_of

# More than either of the limits below, by far.
LENGTH = by_extent(256 << 20, 1 << 30)
# The sanitizer's shadow and quarantine are not the program's.
MOST_KIB = {"wrappers": 2 * 1024, "sanitize-wrappers": 64 * 1024}
BODY = bytes(range(256)) * 4096


def _send(peer: Peer, records: Iterator[Record]) -> threading.Thread:
    sender = threading.Thread(target=lambda: peer.send(records))
    sender.start()
    return sender


def _most_kib(wrapper: Wrapper) -> int:
    arguments = wrapper.process.args
    assert isinstance(arguments, list)
    with open(str(arguments[0]), "rb") as file:
        return MOST_KIB["sanitize-wrappers" if b"__asan_init" in file.read() else "wrappers"]


@pytest.mark.shipped
@pytest.mark.parametrize("size", [1000, 8191, 65535])
def test_a_body_comes_back_whole(start: Start, family: str, size: int) -> None:
    """What a program reads and writes at once is as it was, in records of any size."""
    wrapper = start("cat", family=family)
    sender = _send(wrapper.peer, iter(request(None, BODY, size=size)))
    answer = wrapper.peer.read_answer()
    sender.join()

    assert answer.stdout == BODY


@pytest.mark.shipped
@pytest.mark.slow
def test_a_large_body_passes_without_growth(start: Start, script: Script, family: str) -> None:
    """Both ways, the memory of the process stays what it was."""
    wrapper = start(script(f"{HEAD}; cat"), family=family)
    piece = Record(Type.STDIN, 1, BODY[:65535])
    count = LENGTH // len(piece.content)

    def records() -> Iterator[Record]:
        yield begin(keep=True)
        yield from stream(Type.PARAMS, 1, b"")
        for _ in range(count):
            yield piece
        yield Record(Type.STDIN, 1)

    def send() -> None:
        for record in records():
            wrapper.peer.connection.sendall(record.encode())

    sender = threading.Thread(target=send)
    sender.start()
    length = 0
    for record in wrapper.peer.records():
        if record.type == Type.END_REQUEST:
            break
        length += len(record.content)
    sender.join()

    assert length == count * len(piece.content) + len("Content-Type: text/plain\r\n\r\n")
    assert wrapper.memory_kib() < _most_kib(wrapper)


def test_a_program_that_only_writes_is_read(start: Start, script: Script, family: str) -> None:
    """An answer goes out though the body stands still, and the body goes on after it."""
    program = script(f"{HEAD}; head -c 1000000 /dev/zero; cat > /dev/null; echo done")
    wrapper = start(program, family=family)
    sender = _send(wrapper.peer, iter(request(None, BODY)))
    answer = wrapper.peer.read_answer()
    sender.join()

    assert answer.body == bytes(1_000_000) + b"done\n"


@pytest.mark.shipped
def test_a_program_that_does_not_read_holds_the_body_back(start: Start, script: Script) -> None:
    """What it does not take stays with the web server, and does not grow in between."""
    wrapper = start(script(f"sleep 1000 < /dev/null; {HEAD}; cat"))
    wrapper.peer.send([begin(), *stream(Type.PARAMS, 1, b"")])
    wrapper.wait_programs(2)
    wrapper.peer.connection.setblocking(False)
    sent = 0
    piece = Record(Type.STDIN, 1, bytes(60_000)).encode()

    def is_full() -> bool:
        nonlocal sent
        try:
            sent += wrapper.peer.connection.send(piece[sent % len(piece) :])
        except BlockingIOError:
            return True
        return False

    wait_for(is_full, "the connection takes no more")

    assert sent < 4_000_000
    assert wrapper.memory_kib() < _most_kib(wrapper)


@pytest.mark.shipped
def test_a_web_server_that_does_not_read_holds_the_answer_back(
    start: Start, script: Script, family: str
) -> None:
    """The program waits in its write, and what it writes later is complete all the same."""
    wrapper = start(script("head -c 30000000 /dev/zero; echo done"), family=family)
    wrapper.peer.send(request())

    def is_full() -> bool:
        # What writes zeros sleeps for nothing else.
        states = {one.name: one.state for one in wrapper.programs()}
        waiting = fcntl.ioctl(wrapper.peer.connection, termios.FIONREAD, bytes(4))
        return states.get("head") == "S" and struct.unpack("i", waiting)[0] > 100_000

    wait_for(is_full, "the program waits for room in its pipe")

    assert wrapper.memory_kib() < _most_kib(wrapper)
    assert len(wrapper.peer.read_answer().stdout) == 30_000_005


def test_a_program_may_close_its_input_early(start: Start, script: Script, family: str) -> None:
    """The rest of a body is dropped, and the connection serves the next request."""
    wrapper = start(script(f"{HEAD}; exec < /dev/null; echo early"), family=family)
    sender = _send(wrapper.peer, iter(request(None, BODY, keep=True)))
    answer = wrapper.peer.read_answer()
    sender.join()

    assert answer.body == b"early\n"
    assert wrapper.ask(None, b"small").body == b"early\n"


def _begin_early(start: Start, program: str, family: str) -> tuple[Wrapper, list[Record]]:
    """Send half of a body to a program; return the records of the other half."""
    wrapper = start(program, family=family)
    records = request(None, BODY[:150_000], size=50_000)
    wrapper.send_and_see_read(encode(records[:4]))
    return wrapper, records[4:]


def _has_answer(wrapper: Wrapper) -> bool:
    ready, _, _ = select.select([wrapper.peer.connection], [], [], 0)
    return bool(ready)


def test_an_answer_waits_for_the_end_of_the_body(
    start: Start, script: Script, tmp_path: Path, family: str
) -> None:
    """Nginx sends no more once an answer has begun, but a program may write its head first."""
    program = script(f"{HEAD}; echo early; : > {tmp_path}/written; wc -c")
    wrapper, rest = _begin_early(start, program, family)
    wait_for((tmp_path / "written").exists, "the program has begun to answer")
    has_begun = _has_answer(wrapper)
    wrapper.peer.send(rest)

    assert not has_begun
    assert wrapper.peer.read_answer().body == b"early\n150000\n"


@pytest.mark.parametrize(
    "text",
    [
        "head -c 1000000 /dev/zero; cat",  # more than anybody keeps
        "exec < /dev/null; echo; exec sleep 1000",  # who reads no more
        "exec > /dev/null; cat > /dev/null",  # who says no more
    ],
)
def test_an_answer_does_not_wait_in_vain(
    start: Start, script: Script, family: str, text: str
) -> None:
    """It begins before the body has ended if nothing is gained by waiting."""
    wrapper, rest = _begin_early(start, script(f"{HEAD}; {text}"), family)
    record = wrapper.peer.read_record()

    assert record is not None
    assert record.content.startswith(b"Content-Type")
    wrapper.peer.send([*rest, Record(Type.ABORT_REQUEST, 1)])


def test_an_answer_may_come_before_the_body_has_ended(
    start: Start, script: Script, family: str
) -> None:
    """The request ends with its program; what comes of its body later is ignored, not reset."""
    wrapper = start(script(f"{HEAD}; echo early"), family=family)
    records = request(None, BODY)
    wrapper.peer.send(records[:4])
    answer = wrapper.peer.read_answer()
    wrapper.peer.send(records[4:])

    assert answer.body == b"early\n"
    assert wrapper.peer.is_at_end()


def test_a_refused_body_is_read_to_its_end(start: Start, family: str) -> None:
    """A web server that first sends all and then reads gets the answer, not a reset."""
    wrapper = start("/nowhere", family=family)
    wrapper.peer.send(request(None, BODY))

    assert wrapper.peer.read_answer().status == "404 Not Found"
    assert wrapper.peer.is_at_end()


def test_many_small_pieces_are_complete(start: Start, script: Script) -> None:
    """A program that writes line by line loses none, on either stream."""
    program = script(
        f"{HEAD}; i=0; while [ $i -lt 2000 ]; do echo $i; echo $i >&2; i=$((i+1)); done"
    )
    answer = start(program).ask()
    lines = b"".join(b"%d\n" % number for number in range(2000))

    assert answer.body == lines
    assert answer.stderr == lines


def test_empty_answers_of_many_requests_end_each(start: Start) -> None:
    """Ends of requests are never lost, however many there are on one connection."""
    wrapper = start("/nowhere")
    records = request(None, b"", keep=True)
    for _ in range(100):
        wrapper.peer.send(records)
    for _ in range(100):
        assert wrapper.peer.read_answer().app_status == 126


@pytest.mark.shipped
@pytest.mark.slow
def test_a_connection_whose_answers_nobody_reads_does_not_grow(start: Start) -> None:
    """Questions are left unread when their answers find no room, and answered later."""
    wrapper = start("true")
    question = Record(99, 0).encode()
    wrapper.peer.connection.settimeout(0.3)
    sent = 0
    try:
        while sent < 50_000_000:
            sent += wrapper.peer.connection.send(question * 1000)
    except TimeoutError:
        pass
    wrapper.peer.connection.settimeout(30)

    assert sent < 50_000_000
    assert wrapper.memory_kib() < _most_kib(wrapper)
    for _ in range(sent // len(question)):
        assert wrapper.peer.read_record() is not None


def test_the_end_of_a_request_is_well_formed(start: Start) -> None:
    """END_REQUEST has eight bytes: the exit status and the protocol's."""
    wrapper = start("printf", "x")
    wrapper.peer.send(request())
    *_, last = wrapper.peer.records()

    assert end_of(last) == (0, 0)
