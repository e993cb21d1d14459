"""What a client of the control socket may ask for, and the lines of requests and answers.

Owns the words of the protocol and their limits. Must not know sockets, nor how anything is done.
"""

import msgspec

from socketd.control.authority import Order
from socketd.control.document import FORMAT, text
from socketd.dataclass import dataclass
from socketd.errors import UsageError

MOST_REQUEST_BYTES = 4096
QUESTIONS = ("state", "server", "workers")


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know, and of what."""

    get: str
    service: str | None = None
    address: str | None = None
    start: int = 0


STATE = Question("state")


class _Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    get: str | None = None
    do: str | None = None
    service: str | None = None
    address: str | None = None
    start: int = msgspec.field(default=0, name="from")
    pid: int | None = None
    min: int | None = None
    max: int | None = None
    level: str | None = None


class _Failed(msgspec.Struct):
    format: int
    error: str
    errors: list[str]
    code: int


class _Done(msgspec.Struct):
    format: int
    done: str


def read(line: bytes) -> Question | Order:
    """Return the request in a line. Raises UsageError for what is none."""
    try:
        one = msgspec.json.decode(line, type=_Request)
    except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
        raise UsageError(f"this is no request: {error}") from None
    if one.get is not None and one.do is None:
        return Question(one.get, one.service, one.address, one.start)
    if one.do is not None and one.get is None:
        return Order(one.do, one.service, one.address, one.pid, one.min, one.max, one.level)
    raise UsageError("a request has one of the keys 'get' and 'do'")


def line_of(document: object) -> bytes:
    """Return the line of an answer."""
    return msgspec.json.encode(document) + b"\n"


def failed(errors: list[str], code: int) -> bytes:
    """Return the line that says why something was not done; the code is one of exit codes."""
    texts = list(map(text, errors))
    return line_of(_Failed(FORMAT, "; ".join(texts), texts, code))


def done(what: str) -> bytes:
    """Return the line that says what was done."""
    return line_of(_Done(FORMAT, what))
