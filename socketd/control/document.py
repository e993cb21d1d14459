"""What a master says of itself and its services: the values of a document, and their names.

Owns the shape: docs/control.md has a row for each key, and docs/examples/state.json all of them.
Must not know where the numbers come from, nor how the document travels.

Times are seconds, memory is bytes, and a key that ends in `_at` is a time of day, in seconds since
1970. A counter begins with the server, goes on through reloads and re-execs, and never goes back.
Whoever reads the document has to leave keys alone that he does not know: new ones need no new
format.
"""

from socketd.dataclass import dataclass

TYPE_CHECKING = False  # typing's, without typing
FORMAT = 1


def text(words: str) -> str:
    """Return a text that can be sent: a path may hold bytes that are no text."""
    return words.encode(errors="backslashreplace").decode()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a reload or a re-exec; `errors` are none if it was done."""

    finished_at: float
    errors: list[str]


@dataclass(frozen=True, slots=True)
class Attempts:
    """How many reloads, or re-execs, there were, and the last of them."""

    done: int
    failed: int
    last: Outcome | None


@dataclass(frozen=True, slots=True)
class Server:
    """The master. `faults` are bugs of socketd that it has survived."""

    version: str
    python: str
    pid: int
    file: str | None
    control: str
    state: str
    log_level: str
    started_at: float
    executed_at: float
    answered_at: float
    faults: int
    cpu_seconds: float
    rss_bytes: int
    reloads: Attempts
    reexecs: Attempts


@dataclass(frozen=True, slots=True)
class Workers:
    """What the workers of a listener do, and how many there may be.

    `outdated` wait and are of an older generation, `retiring` were asked to leave. `target` is how
    many of the present generation are wanted at this moment. `is_set` tells that somebody has set
    the sizes, which are the file's again after the next reload.
    """

    idle: int
    busy: int
    starting: int
    retiring: int
    outdated: int
    target: int
    min: int
    max: int
    is_set: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """How many clients wait in the kernel's queue, and how many can."""

    length: int
    limit: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values are at most each of the bounds; the last count is that of all values."""

    bounds: list[float]
    counts: list[int]
    sum: float


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of a listener since the start of the server.

    `closed` has one count for each result, `ended` one for each limit that has ended some. The
    histograms are about those that are over.
    """

    accepted: int
    closed: dict[str, int]
    ended: dict[str, int]
    cpu_seconds: float
    duration_seconds: Histogram
    max_rss_bytes: Histogram


@dataclass(frozen=True, slots=True)
class Failures:
    """Workers that have failed before they had a connection, and why the last one has."""

    count: int
    reason: str
    failed_at: float | None


@dataclass(frozen=True, slots=True)
class BackOff:
    """A pause after failures: no worker is started for so long."""

    seconds: float
    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Level:
    """The level of `ready`: as it was asked for, as it is, and why it is not the wanted one.

    With `is_auto` nobody has asked for it: another one is what this program can have.
    """

    wanted: str
    had: str | None
    reason: str
    is_auto: bool


@dataclass(frozen=True, slots=True)
class Template:
    """The process that workers are forked from, if there is one, and those before it."""

    pid: int | None
    age_seconds: float | None
    begun: int
    failed: int


@dataclass(frozen=True, slots=True)
class Favourite:
    """A program that requests name, with a template and workers of its own."""

    program: str
    idle: int
    busy: int


@dataclass(frozen=True, slots=True)
class Lasting:
    """What of a listener and its workers stays as it is until something happens to them.

    `board` has one letter for each worker. `nobody_idle` counts how often no worker was left that
    waits, `max_reached` how often there were as many as there may be. `crashes` are bugs of socketd
    in this service.
    """

    address: str
    state: str
    generation: int
    strategy: str
    workers: Workers
    board: str
    connections: Connections
    refused: dict[str, int]
    nobody_idle: int
    max_reached: int
    failures: Failures
    level: Level
    crashes: int


@dataclass(frozen=True, slots=True)
class Passing:
    """What of a listener is different at any time, or that only others know.

    `busy_seconds` and `idle_seconds` are sums over all workers. `departs_in_seconds` is for how
    long one that is `departing` takes connections.
    """

    queue: Queue | None
    busy_seconds: float
    idle_seconds: float
    back_off: BackOff | None
    template: Template
    favourites: list[Favourite]
    departs_in_seconds: float | None


if TYPE_CHECKING:

    @dataclass(frozen=True, slots=True)
    class Listening(Passing, Lasting):  # type: ignore[misc]  # slots of both, which only exist below
        """One listener of a service: the keys of both, side by side."""

        departs_in_seconds: float | None = None  # which an older server does not tell

else:
    _both = {
        "__annotations__": Lasting.__annotations__ | Passing.__annotations__,
        "departs_in_seconds": None,
    }
    Listening = dataclass(frozen=True, slots=True)(type("Listening", (), _both))


@dataclass(frozen=True, slots=True)
class Service:
    """A service: what it runs, and where it listens."""

    name: str
    program: str
    front: str
    listeners: list[Listening]


@dataclass(frozen=True, slots=True)
class State:
    """Everything, in one document."""

    format: int
    server: Server
    services: list[Service]


@dataclass(frozen=True, slots=True)
class ServerOnly:
    """What the master says of itself, without the services."""

    format: int
    server: Server


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker. Without a process id it is being made; `peer` is its client if it has one."""

    number: int
    pid: int | None
    state: str
    generation: int
    age_seconds: float
    connection_seconds: float | None
    peer: str | None
    cpu_seconds: float | None
    rss_bytes: int | None


@dataclass(frozen=True, slots=True)
class WorkerList:
    """Some workers of one listener, and the number from which to ask for the next."""

    format: int
    service: str
    address: str
    workers: list[Worker]
    next: int | None
