"""A request of our own to a CGI program, as a web server writes it.

Owns what it says, and its form in both protocols. Must not know who sends it.
"""

import struct
from collections.abc import Iterator

from socketd.explain.visitor import Errand
from socketd.programs.cgi import FrontKind

# What a program may count on, RFC 3875, section 4.1; a service's own variables replace these.
_VARIABLES = {
    "SCRIPT_NAME": "/",
    "PATH_INFO": "",
    "QUERY_STRING": "",
    "REQUEST_URI": "/",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "socketd",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_HOST": "localhost",
}
_FORM = "application/x-www-form-urlencoded"

# FastCGI 1.0, section 8.
_HEAD = struct.Struct(">BBHHBx")
_VERSION, _REQUEST_ID = 1, 1
_BEGIN_REQUEST, _PARAMS, _STDIN, _STDOUT = 1, 4, 5, 6
_RESPONDER = 1
_MOST_CONTENT_BYTES = 65535
_SHORT_LENGTH = 128


def errand_to(kind: FrontKind, body: bytes) -> Errand:
    """Return what is said to a program, behind a front or not."""
    if kind is FrontKind.NONE:
        return Errand(body)
    # A web server that half-closes has given its request up.
    new_reader = (lambda: _FastCgiAnswer().take) if kind is FrontKind.FCGI else (lambda: bytes)
    return Errand(request_of(kind, body), is_half_closed=False, new_reader=new_reader)


def request_of(kind: FrontKind, body: bytes) -> bytes:
    """Return what a web server sends: a GET, or with a body a POST; without a front the body."""
    if kind is FrontKind.NONE:
        return body
    variables = {"CONTENT_LENGTH": str(len(body)), **_VARIABLES}
    variables["REQUEST_METHOD"] = "POST" if body else "GET"
    if body:
        variables["CONTENT_TYPE"] = _FORM
    return _scgi(variables, body) if kind is FrontKind.SCGI else _fastcgi(variables, body)


class _FastCgiAnswer:
    """What comes back in records, which are cut now here and now there: what the program writes."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, piece: bytes) -> bytes:
        """Return what the records that have come by now hold of the program's output."""
        self._rest += piece
        content = b""
        while len(self._rest) >= _HEAD.size:
            _, kind, _, size, padding = _HEAD.unpack_from(self._rest)
            end = _HEAD.size + size
            if len(self._rest) < end + padding:
                break
            if kind == _STDOUT:
                content += self._rest[_HEAD.size : end]
            self._rest = self._rest[end + padding :]
        return content


def _scgi(variables: dict[str, str], body: bytes) -> bytes:
    head = b"".join(f"{name}\0{text}\0".encode() for name, text in variables.items())
    head += b"SCGI\0001\0"
    return b"%d:%s,%s" % (len(head), head, body)


def _fastcgi(variables: dict[str, str], body: bytes) -> bytes:
    pairs = b"".join(
        _length(name) + _length(text) + f"{name}{text}".encode() for name, text in variables.items()
    )
    begin = struct.pack(">HB5x", _RESPONDER, 0)  # the connection is not kept
    records = [_record(_BEGIN_REQUEST, begin), *_stream(_PARAMS, pairs), *_stream(_STDIN, body)]
    return b"".join(records)


def _length(text: str) -> bytes:
    size = len(text.encode())
    return struct.pack(">B", size) if size < _SHORT_LENGTH else struct.pack(">I", size | 1 << 31)


def _stream(kind: int, content: bytes) -> Iterator[bytes]:
    """Yield records with a content, and the empty one that ends it."""
    for start in range(0, len(content), _MOST_CONTENT_BYTES):
        yield _record(kind, content[start : start + _MOST_CONTENT_BYTES])
    yield _record(kind, b"")


def _record(kind: int, content: bytes) -> bytes:
    return _HEAD.pack(_VERSION, kind, _REQUEST_ID, len(content), 0) + content
