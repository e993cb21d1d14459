"""What each path answers: metrics, the state, health, readiness, the page.

Owns the paths, and what HTTP says of each answer. Must not know how a request is read
nor how an answer is sent.
"""

import gzip
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import msgspec

from socketd.control.client import ControlError
from socketd.control.document import State
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
_LEAST_BYTES_TO_COMPRESS = 1400  # what fits into one packet anyway
# Speed is what matters on the way to a scraper: more takes three times as long for a tenth less.
_COMPRESSION = 1
# Each answer is of one moment, is what it says that it is, and is for no page but ours.
_OF_EACH: Fields = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Vary", "Accept, Accept-Encoding"),
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


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; the fields that say how long it is and what becomes of the connection are not."""

    status: HTTPStatus
    fields: Fields
    body: bytes


def answer(request: Request, ask: Callable[[], bytes], tell: Callable[[str], None]) -> Answer:
    """Return the answer to a request.

    `ask` returns the state of the server as it sends it and raises SocketdError; why it did is
    told, but not to the client, who need not know where anything is.
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
        made = make(request, ask)
    except SocketdError as error:
        tell(str(error))
        made = plain(HTTPStatus.SERVICE_UNAVAILABLE, "the server does not answer; see its log")
    return _compressed(made, request.fields.get("accept-encoding", ""))


def plain(status: HTTPStatus, text: str, *fields: tuple[str, str]) -> Answer:
    """Return an answer that is a text."""
    return _answer(status, _PLAIN_TYPE, f"{text}\n".encode(), *fields)


def _answer(status: HTTPStatus, kind: str, body: bytes, *fields: tuple[str, str]) -> Answer:
    return Answer(status, (("Content-Type", kind), *_OF_EACH, *fields), body)


def _compressed(made: Answer, accepted: str) -> Answer:
    if len(made.body) < _LEAST_BYTES_TO_COMPRESS or not _is_gzip_wanted(accepted):
        return made
    body = gzip.compress(made.body, _COMPRESSION, mtime=0)
    return Answer(made.status, (*made.fields, ("Content-Encoding", "gzip")), body)


def _is_gzip_wanted(accepted: str) -> bool:
    for part in accepted.split(","):
        coding, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if coding == "gzip":
            return not is_refused(parameters)
    return False


def _metrics(request: Request, ask: Callable[[], bytes]) -> Answer:
    state = _decoded(ask())
    if is_openmetrics_wanted(request.fields.get("accept", "")):
        return _answer(HTTPStatus.OK, OPENMETRICS_TYPE, as_openmetrics(families(state)).encode())
    return _answer(HTTPStatus.OK, TEXT_TYPE, as_text(families(state)).encode())


def _status(_: Request, ask: Callable[[], bytes]) -> Answer:
    return _answer(HTTPStatus.OK, "application/json", ask() + b"\n")


def _health(_: Request, ask: Callable[[], bytes]) -> Answer:
    ask()
    return plain(HTTPStatus.OK, "ok")


def _readiness(request: Request, ask: Callable[[], bytes]) -> Answer:
    """Answer whether clients are served: by all services, or by the one that is asked about."""
    state = _decoded(ask())
    name = request.parameter("service")
    services = [one for one in state.services if name in (None, one.name)]
    if not services:
        return plain(HTTPStatus.NOT_FOUND, "there is no such service")
    reasons = why_not_ready(state, services)
    if reasons:
        return plain(HTTPStatus.SERVICE_UNAVAILABLE, "\n".join(reasons))
    return plain(HTTPStatus.OK, "ok")


def _page(_: Request, __: Callable[[], bytes]) -> Answer:
    text, policy = page.load()
    return _answer(
        HTTPStatus.OK,
        "text/html; charset=utf-8",
        text,
        ("Content-Security-Policy", policy),
        ("Referrer-Policy", "no-referrer"),
    )


def _decoded(line: bytes) -> State:
    try:
        return msgspec.json.decode(line, type=State)
    except ValueError as error:  # msgspec's are ValueErrors
        raise ControlError(f"the server's state cannot be read: {error}") from error


_PATHS: dict[str, Callable[[Request, Callable[[], bytes]], Answer]] = {
    "/": _page,
    "/metrics": _metrics,
    "/status.json": _status,
    "/healthz": _health,
    "/readyz": _readiness,
}
