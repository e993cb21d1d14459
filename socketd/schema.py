"""The keys of the configuration file: names, types, defaults, and what each one allows and means.

Owns the shape of the file, one structure per table. Must not know how a file is read, nor what
the settings do. A key's `title` is what it allows and its `description` what it means: error
lines and docs/configuration.md take both from here.
"""

import enum
import functools
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta, Struct, field

from socketd.accounts import check_name
from socketd.address import LISTEN_FORMS
from socketd.config import DEFAULT_BACKLOG, DEFAULT_MAXIMUM, HIGHEST_BACKLOG, MOST_WORKERS
from socketd.duration import parse_duration
from socketd.errors import UsageError
from socketd.filemode import parse_mode
from socketd.front import FrontKind
from socketd.pool import Strategy
from socketd.pool.settings import KILL_SECONDS
from socketd.program import ShellUse
from socketd.spawner import StderrTarget, WorkerKind

_DURATION = "a number with ms, s, m, h or d, as in '30s'"
_OCTAL = "an octal number in quotes, as in '0660'"


class Duration(str):
    """A length of time as people write it."""

    __slots__ = ()


class Octal(str):
    """The bits of a mode or a umask, in octal digits."""

    __slots__ = ()


class Ready(str):
    """How far the template has got when workers are copied from it."""

    __slots__ = ()


class Account(str):
    """The name of a user or a group, or its number."""

    __slots__ = ()


_PARSERS: dict[type, Callable[[str, str], object]] = {
    Account: check_name,
    Duration: parse_duration,
    Octal: parse_mode,
}


def decode(kind: type, found: object) -> object:
    """Make one of our own types of what stands in a file. Raises ValueError if it is none."""
    if not isinstance(found, str):
        raise ValueError(found)
    if kind in _PARSERS:
        try:
            _PARSERS[kind](found, "")
        except UsageError as error:
            raise ValueError(found) from error
    elif found not in READY_LEVELS:
        raise ValueError(found)
    return kind(found)


READY_LEVELS = ("fork", "load", "read", "stop", "relay", "load!", "read!", "stop!", "relay!")
_Count = Annotated[int, Meta(ge=1, le=MOST_WORKERS)]
_Limit = Annotated[int, Meta(ge=0, le=2**63 - 1)]
LimitValue = _Limit | str


def _one_of(kind: type[enum.Enum]) -> str:
    return "one of " + ", ".join(str(member.value) for member in kind)


class Listen(Struct, forbid_unknown_fields=True):
    """A listener with more than an address."""

    address: Annotated[str, Meta(title=LISTEN_FORMS, description="where to listen")]
    mode: Annotated[
        Octal, Meta(title=_OCTAL, description="the permissions of a UNIX socket's path")
    ] = Octal("0660")
    owner: Annotated[
        Account | None,
        Meta(title="the name of a user", description="who owns a UNIX socket's path"),
    ] = None
    group: Annotated[
        Account | None, Meta(title="the name of a group", description="the group of that path")
    ] = None


class Workers(Struct, forbid_unknown_fields=True):
    """The pool of each listener."""

    min: Annotated[
        _Count,
        Meta(
            title=f"a whole number from 1 to {MOST_WORKERS}",
            description="how many workers wait, for each listener",
        ),
    ] = 1
    max: Annotated[
        _Count | None,
        Meta(
            title=f"a whole number from min to {MOST_WORKERS}; min itself with strategy fixed",
            description="how many workers there may be, for each listener; by default "
            f"{DEFAULT_MAXIMUM}, or min where that is larger or the strategy fixed",
        ),
    ] = None
    strategy: Annotated[
        Strategy, Meta(title=_one_of(Strategy), description="how the pool grows and shrinks")
    ] = Strategy.EAGER
    idle_timeout: Annotated[
        Duration, Meta(title=_DURATION, description="the quiet time after which the pool shrinks")
    ] = Duration("30s")


class Timeouts(Struct, forbid_unknown_fields=True):
    """How long a connection may take, and a stop waits."""

    connection: Annotated[
        Duration | None,
        Meta(title=_DURATION, description="for a connection, before SIGTERM is sent"),
    ] = None
    drain: Annotated[
        Duration,
        Meta(title=_DURATION, description="for connections at a stop, before SIGTERM is sent"),
    ] = Duration("30s")
    kill: Annotated[
        Duration, Meta(title=_DURATION, description="after SIGTERM, before SIGKILL is sent")
    ] = Duration(f"{KILL_SECONDS:g}s")


class Service(Struct, forbid_unknown_fields=True):
    """A service."""

    listen: Annotated[
        list[str | Listen],
        Meta(
            title=f"a list of at least one of {LISTEN_FORMS}; or tables with address, mode, owner, "
            "group",
            description="where to listen",
        ),
    ]
    program: Annotated[
        str | list[str] | None,
        Meta(
            title="a command as for a shell, or a list of a program and its arguments",
            description="what each connection is given to; needed without root",
        ),
    ] = None
    front: Annotated[
        FrontKind,
        Meta(
            title=_one_of(FrontKind),
            description="the protocol by which requests for a CGI program come ([cgi.md](cgi.md))",
        ),
    ] = FrontKind.NONE
    root: Annotated[
        str | None,
        Meta(
            title="an absolute path of a directory, with a front",
            description="in place of program: a request's path names one in it",
        ),
    ] = None
    head_timeout: Annotated[
        Duration,
        Meta(title=_DURATION, description="how long the head of a request may take"),
    ] = Duration("30s")
    keep_timeout: Annotated[
        Duration | None,
        Meta(
            title="a number with ms, s, m, h or d, with front = 'fcgi'",
            description="how long a kept connection may wait for its next request; by default 75s",
        ),
    ] = None
    shell: Annotated[
        ShellUse,
        Meta(title=_one_of(ShellUse), description="whether a command is run by /bin/sh"),
    ] = ShellUse.AUTO
    ready: Annotated[
        Ready,
        Meta(
            title="one of " + ", ".join(READY_LEVELS),
            description="how far the program has got before a connection; a level with ! is not "
            "given up for a lesser one",
        ),
    ] = Ready("fork")
    hold_timeout: Annotated[
        Duration,
        Meta(title=_DURATION, description="how long that may take before it is given up"),
    ] = Duration("10s")
    renew_after: Annotated[
        Duration, Meta(title=_DURATION, description="the age at which it is started afresh")
    ] = Duration("1h")
    worker: Annotated[
        WorkerKind, Meta(title=_one_of(WorkerKind), description="what workers are made by")
    ] = WorkerKind.AUTO
    backlog: Annotated[
        Annotated[int, Meta(ge=1, le=HIGHEST_BACKLOG)],
        Meta(
            title=f"a whole number from 1 to {HIGHEST_BACKLOG}",
            description="the length of the kernel's queue, for each listener",
        ),
    ] = DEFAULT_BACKLOG
    stderr: Annotated[
        StderrTarget | None,
        Meta(
            title=_one_of(StderrTarget),
            description="where the program's stderr goes; by default socket, or inherit with a "
            "front",
        ),
    ] = None
    user: Annotated[
        Account | None, Meta(title="the name of a user", description="who runs the program")
    ] = None
    groups: Annotated[
        list[Account] | None,
        Meta(
            title="a list of names of groups, the first of them the primary one",
            description="the groups of the program, instead of those that the user has",
        ),
    ] = None
    directory: Annotated[
        str | None,
        Meta(title="an absolute path", description="the program's working directory"),
    ] = None
    umask: Annotated[Octal | None, Meta(title=_OCTAL, description="the program's umask")] = None
    nice: Annotated[
        Annotated[int, Meta(ge=-20, le=19)] | None,
        Meta(title="a whole number from -20 to 19", description="the program's niceness"),
    ] = None
    no_new_privs: Annotated[
        bool,
        Meta(title="true or false", description="whether no program can gain privileges by exec"),
    ] = False
    environment: Annotated[
        dict[str, str],
        Meta(
            title="a table of names and texts",
            description="variables beside those of the server and of the connection",
        ),
    ] = field(default_factory=dict)
    limits: Annotated[
        dict[str, LimitValue | list[LimitValue]],
        Meta(
            title="a table of resources of setrlimit(2) in lower case; each a number, 'unlimited', "
            "or a list of both limits, the soft one first",
            description="resource limits, as in nofile = 1024",
        ),
    ] = field(default_factory=dict)
    workers: Annotated[Workers, Meta(title="a table", description="the pool of each listener")] = (
        field(default_factory=Workers)
    )
    timeouts: Annotated[Timeouts, Meta(title="a table", description="how long is waited")] = field(
        default_factory=Timeouts
    )


class Key(Struct):
    """One key of a table, as error lines and documents want to know it."""

    name: str
    kind: Any  # a type, or what typing makes of several
    allowed: str
    meaning: str
    is_required: bool
    default: Any  # a value of `kind`


@functools.cache
def keys_of(table: type[Struct]) -> tuple[Key, ...]:
    """Return the keys of a table, in the order of the documents."""
    return tuple(_make_keys(table))


def _make_keys(table: type[Struct]) -> Iterator[Key]:
    for one in msgspec.structs.fields(table):
        # typing flattens: the limits of the value come first, what people read comes last.
        kind, *limits, note = get_args(one.type)
        for limit in limits:
            kind = Annotated[kind, limit]
        default = one.default
        if one.default_factory is not msgspec.NODEFAULT:
            default = one.default_factory()
        yield Key(
            one.encode_name, kind, note.title or "", note.description or "", one.required, default
        )
