"""FastCGI in pure Python, for tests: records as values, and what a web server says with them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from harness.clients import Place, connect

HEAD = struct.Struct(">BBHHBx")
END = struct.Struct(">IB3x")
MAX_CONTENT = 0xFFFF


class Type(IntEnum):
    """The types of records."""

    BEGIN_REQUEST = 1
    ABORT_REQUEST = 2
    END_REQUEST = 3
    PARAMS = 4
    STDIN = 5
    STDOUT = 6
    STDERR = 7
    DATA = 8
    GET_VALUES = 9
    GET_VALUES_RESULT = 10
    UNKNOWN_TYPE = 11


class Status(IntEnum):
    """The protocol status of a request that has ended."""

    REQUEST_COMPLETE = 0
    CANT_MPX_CONN = 1
    OVERLOADED = 2
    UNKNOWN_ROLE = 3


@dataclass(frozen=True, slots=True)
class Record:
    """One record, without its padding."""

    type: int
    request_id: int
    content: bytes = b""

    def encode(self, padding: int = 0, version: int = 1) -> bytes:
        """Return it as it goes over the wire."""
        head = HEAD.pack(version, self.type, self.request_id, len(self.content), padding)
        return head + self.content + b"\xa5" * padding


@dataclass(slots=True)
class Answer:
    """What has come back for one request."""

    stdout: bytes = b""
    stderr: bytes = b""
    app_status: int = -1
    protocol_status: int = -1
    ended_streams: list[int] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """Return what follows the head of the CGI answer."""
        return self.stdout.partition(b"\r\n\r\n")[2]

    @property
    def status(self) -> str:
        """Return the status in the head of the CGI answer."""
        for line in self.stdout.partition(b"\r\n\r\n")[0].decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "status":
                return value
        return "200 OK"


def encode_length(length: int) -> bytes:
    """Return the length of a name or a value in the shorter of its forms."""
    return bytes([length]) if length < 0x80 else struct.pack(">I", length | 0x80000000)


def encode_pairs(pairs: Mapping[str, str] | Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return name-value pairs as PARAMS carries them."""
    items = (
        ((name.encode(), value.encode()) for name, value in pairs.items())
        if isinstance(pairs, Mapping)
        else pairs
    )
    return b"".join(
        encode_length(len(name)) + encode_length(len(value)) + name + value for name, value in items
    )


def decode_pairs(content: bytes) -> dict[str, str]:
    """Return the pairs of GET_VALUES_RESULT."""
    pairs = {}
    while content:
        lengths = []
        for _ in range(2):
            if content[0] < 0x80:
                lengths.append(content[0])
                content = content[1:]
            else:
                lengths.append(struct.unpack(">I", content[:4])[0] & 0x7FFFFFFF)
                content = content[4:]
        name, value = content[: lengths[0]], content[lengths[0] : sum(lengths)]
        assert len(name) + len(value) == sum(lengths)
        pairs[name.decode()] = value.decode()
        content = content[sum(lengths) :]
    return pairs


def begin(request_id: int = 1, *, keep: bool = False, role: int = 1) -> Record:
    """Return the record that begins a request."""
    return Record(Type.BEGIN_REQUEST, request_id, struct.pack(">HB5x", role, keep))


def stream(kind: int, request_id: int, content: bytes, size: int = MAX_CONTENT) -> list[Record]:
    """Return a stream in records of at most this size, and the empty one that ends it."""
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return [Record(kind, request_id, piece) for piece in [*pieces, b""]]


def request(
    params: Mapping[str, str] | None = None,
    body: bytes = b"",
    request_id: int = 1,
    *,
    keep: bool = False,
    size: int = MAX_CONTENT,
) -> list[Record]:
    """Return all records of a request."""
    variables = {"REQUEST_METHOD": "GET"} if params is None else params
    return [
        begin(request_id, keep=keep),
        *stream(Type.PARAMS, request_id, encode_pairs(variables), size),
        *stream(Type.STDIN, request_id, body, size),
    ]


def encode(records: Iterable[Record], padding: int = 0) -> bytes:
    """Return records as they go over the wire, all with the same padding."""
    return b"".join(record.encode(padding) for record in records)


class Peer:
    """The web server's end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = bytearray()

    def send(self, records: Iterable[Record], padding: int = 0) -> None:
        """Send records."""
        self.connection.sendall(encode(records, padding))

    def read_record(self) -> Record | None:
        """Return the next record, None at the end of the connection."""
        head = self._read(HEAD.size)
        if not head:
            return None
        assert len(head) == HEAD.size, head
        version, kind, request_id, length, padding = HEAD.unpack(head)
        assert version == 1
        content = self._read(length)
        assert len(content) == length
        assert len(self._read(padding)) == padding
        return Record(kind, request_id, content)

    def records(self) -> Iterator[Record]:
        """Return records up to the end of the connection."""
        while (record := self.read_record()) is not None:
            yield record

    def read_answer(self, request_id: int = 1) -> Answer:
        """Return what comes back for a request; nothing else may come meanwhile."""
        answer = Answer()
        streams = {Type.STDOUT: bytearray(), Type.STDERR: bytearray()}
        for record in self.records():
            assert record.request_id == request_id, record
            if record.type == Type.END_REQUEST:
                answer.app_status, answer.protocol_status = END.unpack(record.content)
                answer.stdout, answer.stderr = (bytes(content) for content in streams.values())
                return answer
            assert record.type in {Type.STDOUT, Type.STDERR}, record
            assert record.type not in answer.ended_streams
            if not record.content:
                answer.ended_streams.append(record.type)
            else:
                streams[Type(record.type)] += record.content
        raise AssertionError(f"the connection has ended, after {streams}")

    def is_at_end(self) -> bool:
        """Tell, by waiting for either, whether the connection ends rather than goes on."""
        return self.read_record() is None

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            piece = self.connection.recv(1 << 16)
            if not piece:
                break
            self._received += piece
        content = bytes(self._received[:size])
        del self._received[:size]
        return content


def ask(place: Place, params: Mapping[str, str], body: bytes = b"") -> Answer:
    """Return the answer to a request, on a connection of its own."""
    peer = Peer(connect(place))
    try:
        peer.send(request(params, body))
        return peer.read_answer()
    finally:
        peer.close()
