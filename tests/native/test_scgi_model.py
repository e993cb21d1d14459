"""Requests of any bytes, in any pieces, to workers of the template: what a short model says comes.

The model is of a whole stream, without reading, limits and pieces; so the two have little that they
could get wrong alike.
"""

import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from socketd.programs.cgi import Front

from .fake_master import BASE_ENVIRONMENT, FakeMaster, read_to_end

PROGRAMS = Path(__file__).parents[2] / "native" / "fuzz" / "programs"
LEAST_HEAD = len(b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00,")
LARGEST = 65535
NETSTRING = re.compile(rb"(0|[1-9][0-9]*):")
NAME = re.compile(rb"[A-Za-z_.-][A-Za-z0-9_.-]*")
IDENTITY = re.compile(rb"[0-9a-f]{24}")
NUMBER = re.compile(rb"[0-9]{1,18}")
# A few of those that are never a request's; the whole list has tests of its own.
FORBIDDEN = (b"LD_PRELOAD", b"BASH_ENV", b"PYTHONPATH")
OWN = {name.encode(): value.encode() for name, value in BASE_ENVIRONMENT.items()}
REFUSED = 65
NO_LENGTH = b"9" * 18  # of a body that ends with what its client sends


def refusal(stream: bytes) -> bytes:
    """Return how the answer begins to a stream that is refused."""
    size = re.match(rb"[1-9][0-9]*", stream)
    return b"Status: 431 " if size and int(size[0]) > LARGEST else b"Status: 400 "


@dataclass(frozen=True)
class Seen:
    """What a program has been given."""

    environment: dict[bytes, bytes]
    body: bytes


def model(stream: bytes) -> Seen | None:
    """Return what the program of a stream that ends is given, None if it is refused."""
    found = NETSTRING.match(stream)
    if found is None or len(found[1]) > len(str(LARGEST)) or int(found[1]) > LARGEST:
        return None
    begin, end = found.end(), found.end() + int(found[1])
    if stream[end : end + 1] != b"," or end + 1 < LEAST_HEAD or stream[end - 1] != 0:
        return None
    words = stream[begin : end - 1].split(b"\0")
    if len(words) % 2:
        return None
    pairs = list(zip(words[::2], words[1::2], strict=True))
    if pairs[0][0] != b"CONTENT_LENGTH" or not NUMBER.fullmatch(pairs[0][1]):
        return None
    environment: dict[bytes, bytes] = {}
    for name, value in pairs:
        if not NAME.fullmatch(name) or name in OWN or name in (*FORBIDDEN, b"HTTP_PROXY"):
            continue
        if name == b"CONTENT_LENGTH" and environment.get(name, value) != value:
            return None
        if name in environment and name.startswith(b"HTTP_"):
            value = environment[name] + (b"; " if name == b"HTTP_COOKIE" else b", ") + value
        environment[name] = value
    if environment.get(b"SCGI") != b"1":
        return None
    said = environment.get(b"HTTP_CONTENT_LENGTH", b"")
    if NUMBER.fullmatch(said) and said != environment[b"CONTENT_LENGTH"]:
        return None
    environment.setdefault(b"GATEWAY_INTERFACE", b"CGI/1.1")
    body, length = stream[end + 1 :], environment[b"CONTENT_LENGTH"]
    if length == NO_LENGTH:
        return Seen({**OWN, **environment, b"CONTENT_LENGTH": b""}, body)
    # What comes behind a body is nobody's, and may cost the answer.
    assume(len(body) <= int(length))
    return Seen({**OWN, **environment}, body)


@dataclass
class Serving:
    """A template that gives each connection a new worker."""

    master: FakeMaster
    listener: socket.socket

    def ask(self, pieces: list[bytes]) -> tuple[bytes, int]:
        """Send a stream in pieces and end it; return the answer and the status of the worker."""
        self.master.spawn(0)
        with socket.create_connection(self.listener.getsockname()) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for piece in pieces:
                    client.sendall(piece)
                client.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):  # it is refused before all is sent
                pass
            answer = read_to_end(client)
        return answer, self.master.wait_worker_exit(0)


@pytest.fixture(scope="module")
def serving(
    zygote: Path, compiler: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """Serve a program that tells what it has been given."""
    program = tmp_path_factory.mktemp("programs") / "view"
    subprocess.run([compiler, "-O2", "-o", program, PROGRAMS / "view.c"], check=True)
    with socket.create_server(("127.0.0.1", 0)) as listener, FakeMaster(zygote) as master:
        master.start(listener, (str(program), "view"), front=Front(60.0))
        yield Serving(master, listener)


GOOD_NAMES = (
    b"HTTP_A", b"HTTP_CONTENT_LENGTH", b"HTTP_COOKIE", b"HTTP_PROXY", b"REQUEST_METHOD", b"KEPT",
    b"PATH", b"a-b.c", b"GATEWAY_INTERFACE",
)  # fmt: skip
good_names = st.sampled_from(GOOD_NAMES)
names = st.sampled_from([b"CONTENT_LENGTH", b"SCGI", b"", b"9", b"A B", *FORBIDDEN]) | st.binary(
    max_size=4
)
lengths = st.sampled_from([b"0", b"3", b"9" * 18])
texts = st.binary(max_size=6)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Make a request, and perhaps spoil it in one way."""
    spoiled = draw(
        st.sampled_from(["", "", "", "name", "order", "number", "length", "byte", "end"])
    )
    pairs = [(b"CONTENT_LENGTH", draw(texts if spoiled == "number" else lengths)), (b"SCGI", b"1")]
    values = texts if spoiled == "byte" else texts.map(lambda text: text.replace(b"\0", b""))
    pairs += draw(st.lists(st.tuples(good_names, values), max_size=5, unique_by=lambda one: one[0]))
    pairs += draw(
        st.lists(st.tuples(st.sampled_from([b"HTTP_A", b"HTTP_COOKIE"]), values), max_size=2)
    )
    if spoiled == "name":
        pairs.append((draw(names), draw(texts)))
    if spoiled == "order":
        pairs = draw(st.permutations(pairs))
    content = b"".join(name + b"\0" + value + b"\0" for name, value in pairs)
    length = len(content) + (draw(st.integers(-30, 30)) if spoiled == "length" else 0)
    comma = draw(st.binary(max_size=2)) if spoiled == "end" else b","
    stream = b"%d:%s%s%s" % (max(length, 0), content, comma, draw(texts))
    if spoiled == "byte":
        at = draw(st.integers(0, len(stream)))
        stream = stream[:at] + draw(texts) + stream[at + draw(st.integers(0, 3)) :]
    return stream


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Cut a stream into pieces."""
    ends = sorted({place % (len(stream) + 1) for place in places})
    return [stream[a:b] for a, b in zip([0, *ends], [*ends, len(stream)], strict=True) if a < b]


@pytest.mark.slow
@given(streams(), st.lists(st.integers(0, 200), max_size=4))
@example(b"", [])
@example(b"0:,", [])
@example(b"65535:CONTENT_LENGTH\0", [])
@example(b"65536:CONTENT_LENGTH\0", [])
@example(b"024:CONTENT_LENGTH\x000\x00SCGI\x001\x00,", [])
@example(b"24:CONTENT_LENGTH\x008\x00SCGI\x001\x00,and more", [1, 2, 24, 27])
@example(b"41:CONTENT_LENGTH\x00999999999999999999\x00SCGI\x001\x00,and more", [44, 45])
@example(b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00;", [27])
def test_stream_is_understood_as_its_model_says(
    serving: Serving, stream: bytes, places: list[int]
) -> None:
    """Environment and input of the program are those of the model, or the request is refused."""
    expected = model(stream)
    answer, status = serving.ask(cut(stream, places))

    if expected is None:
        assert (answer[:12], status) == ((refusal(stream), REFUSED) if stream else (b"", 0))
        return
    entries, _, body = answer.partition(b"\0\0")
    environment = dict(entry.split(b"=", 1) for entry in entries.split(b"\0"))
    if b"UNIQUE_ID" not in expected.environment:  # a request without a name is given one
        assert IDENTITY.fullmatch(environment.pop(b"UNIQUE_ID"))
    assert (Seen(environment, body), status) == (expected, 0)
