"""A request of our own to a CGI program, as a web server writes it.

Owns what it says, and its form in both protocols. Must not know who sends it.
"""

import struct
from collections.abc import Iterator

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
_BEGIN_REQUEST, _PARAMS, _STDIN = 1, 4, 5
_RESPONDER = 1
_MOST_CONTENT_BYTES = 65535
_SHORT_LENGTH = 128


def request_of(kind: FrontKind, body: bytes) -> bytes:
    """Return what a web server sends: a GET, or with a body a POST; without a front the body."""
    if kind is FrontKind.NONE:
        return body
    variables = {"CONTENT_LENGTH": str(len(body)), **_VARIABLES}
    variables["REQUEST_METHOD"] = "POST" if body else "GET"
    if body:
        variables["CONTENT_TYPE"] = _FORM
    return _scgi(variables, body) if kind is FrontKind.SCGI else _fastcgi(variables, body)


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
