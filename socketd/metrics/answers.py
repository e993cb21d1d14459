"""What each path answers: metrics, the state, health, readiness, the page.

Owns the paths, and what HTTP says of each answer. Must not know how a request is read
nor how an answer is sent.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from socketd.control.client import Connection, ControlError
from socketd.control.document import State
from socketd.control.reading import read_state
from socketd.control.verdict import why_not_ready
from socketd.dataclass import dataclass
from socketd.errors import SocketdError
from socketd.metrics import page
from socketd.metrics.exposition import (
    OPENMETRICS_TYPE,
    TEXT_TYPE,
    as_openmetrics,
    as_text,
    is_openmetrics_wanted,
    is_refused,
)
from socketd.metrics.families import families

Fields = tuple[tuple[str, str], ...]

_PLAIN_TYPE = "text/plain; charset=utf-8"
# Speed is what matters on the way to a scraper: more takes three times as long for a tenth less.
_COMPRESSION = 1
_GZIP_FORMAT = 31  # zlib's number for it, with the largest window
# Each answer is of one moment, is what it says that it is, and is for no page but ours.
_OF_EACH: Fields = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its body; the names of the fields are in lower case."""

    method: str
    target: str
    fields: Mapping[str, str]

    @property
    def path(self) -> str:
        """Return the path of the target."""
        return urlsplit(self.target).path

    def parameter(self, name: str) -> str | None:
        """Return the last value of a parameter of the query, None if it is not there."""
        values = parse_qs(urlsplit(self.target).query, keep_blank_values=True).get(name)
        return None if values is None else values[-1]


Connect = Callable[[], Connection]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; the fields that say how long it is and what becomes of the connection are not."""

    status: HTTPStatus
    fields: Fields
    body: bytes


def answer(request: Request, connect: Connect, tell: Callable[[str], None]) -> Answer:
    """Return the answer to a request.

    `connect` returns a connection to the server, or raises SocketdError; why it did is told, but
    not to the client, who need not know where anything is.
    """
    try:
        make = _PATHS.get(request.path)
    except ValueError:  # urlsplit's, for "//[" as the target
        return plain(HTTPStatus.BAD_REQUEST, "the target of the request is no path")
    if make is None:
        known = " ".join(_PATHS)
        return plain(HTTPStatus.NOT_FOUND, f"there is nothing at this path; there is {known}")
    if request.method not in ("GET", "HEAD"):
        why = "only GET and HEAD are answered here"
        return plain(HTTPStatus.METHOD_NOT_ALLOWED, why, ("Allow", "GET, HEAD"))
    try:
        made = make(request, connect)
    except SocketdError as error:
        tell(str(error))
        made = plain(HTTPStatus.SERVICE_UNAVAILABLE, "the server does not answer; see its log")
    return made


def plain(status: HTTPStatus, text: str, *fields: tuple[str, str]) -> Answer:
    """Return an answer that is a text."""
    made = (("Content-Type", _PLAIN_TYPE), *_OF_EACH, *fields)
    return Answer(status, made, f"{text}\n".encode())


def _large(request: Request, kind: str, parts: Iterable[bytes], *fields: tuple[str, str]) -> Answer:
    """Return an answer that is compressed where the client takes that.

    Its parts are compressed one after another. The text of many services together would be some
    megabytes, and each page of that costs a copy of a process as much as a line does.
    """
    made = [("Content-Type", kind), *_OF_EACH, ("Vary", "Accept, Accept-Encoding"), *fields]
    if not _is_gzip_wanted(request.fields.get("accept-encoding", "")):
        return Answer(HTTPStatus.OK, tuple(made), b"".join(parts))
    packer = zlib.compressobj(_COMPRESSION, zlib.DEFLATED, _GZIP_FORMAT)
    body = b"".join([*map(packer.compress, parts), packer.flush()])
    return Answer(HTTPStatus.OK, (*made, ("Content-Encoding", "gzip")), body)


def _is_gzip_wanted(accepted: str) -> bool:
    for part in accepted.split(","):
        coding, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if coding == "gzip":
            return not is_refused(parameters)
    return False


def _metrics(request: Request, connect: Connect) -> Answer:
    found = families(_decoded(_state_line(connect)))
    if is_openmetrics_wanted(request.fields.get("accept", "")):
        kind, parts = OPENMETRICS_TYPE, as_openmetrics(found)
    else:
        kind, parts = TEXT_TYPE, as_text(found)
    return _large(request, kind, map(str.encode, parts))


def _status(request: Request, connect: Connect) -> Answer:
    return _large(request, "application/json", [_state_line(connect) + b"\n"])


def _health(_: Request, connect: Connect) -> Answer:
    with connect() as connection:
        connection.check_answer()
    return plain(HTTPStatus.OK, "ok")


def _readiness(request: Request, connect: Connect) -> Answer:
    """Answer whether clients are served: by all services, or by the one that is asked about."""
    state = _decoded(_state_line(connect))
    name = request.parameter("service")
    services = [one for one in state.services if name in (None, one.name)]
    if not services:
        return plain(HTTPStatus.NOT_FOUND, "there is no such service")
    reasons = why_not_ready(state, services)
    if reasons:
        return plain(HTTPStatus.SERVICE_UNAVAILABLE, "\n".join(reasons))
    return plain(HTTPStatus.OK, "ok")


def _page(request: Request, _: Connect) -> Answer:
    text, policy = page.load()
    return _large(
        request,
        "text/html; charset=utf-8",
        [text],
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
    )


def _state_line(connect: Connect) -> bytes:
    with connect() as connection:
        return connection.state_line()


def _decoded(line: bytes) -> State:
    try:
        return read_state(line)
    except ValueError as error:  # msgspec's are ValueErrors
        raise ControlError(f"the server's state cannot be read: {error}") from error


_PATHS: dict[str, Callable[[Request, Connect], Answer]] = {
    "/": _page,
    "/metrics": _metrics,
    "/status.json": _status,
    "/healthz": _health,
    "/readyz": _readiness,
}
