"""The front of a service: how a CGI program is put behind a protocol of web servers.

Owns what CGI needs of such a service: which program, in which folder, with which variables. Must
not know workers, nor who reads the settings from a user. native/front/ takes the requests.

With SCGI the worker itself reads the head of the request from the connection, between accept and
the program. FastCGI frames the whole connection in records, so there the worker stays, and runs the
program for each request; where workers are not native, the program is a wrapper that does the same.
"""

import contextlib
import enum
import os
import sys
from collections.abc import Mapping

from socketd.dataclass import dataclass
from socketd.errors import ProgramError, SystemFailureError, UsageError
from socketd.programs.command import Program, locate
from socketd.settings.stderr import StderrTarget
from socketd.system.directory import absolute
from socketd.system.products import FCGI_WRAPPER, SCGI_WRAPPER

_PREFIX = "SOCKETD_PROGRAM_"
SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"
DEFAULT_HEAD_SECONDS = 30.0
# The web server should be the one that closes: a request that it sends while we close is lost.
# nginx keeps connections for 60 s by default.
DEFAULT_KEEP_SECONDS = 75.0
_MOST_WRAPPER_SECONDS = 86400.0
LARGEST_HEAD = 65535  # as in native/front/request.h
DEFAULT_TEMPLATES = 8


class FrontKind(enum.Enum):
    """The protocol of requests; NONE gives the connection to the program unchanged."""

    NONE = "none"
    SCGI = "scgi"
    FCGI = "fcgi"


class ClientGone(enum.Enum):
    """What becomes of a program whose client has gone: it is told to end, or goes on to its end."""

    END = "end"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the programs are that requests name; see native/front/choice.h.

    Either a `root` folder, below which the path of a request leads to a program, or `scripts`:
    folders and programs of which a request may name a file. `indexes` stand for their folder.
    `templates` is how many programs at most have a template of their own at a time.
    """

    root: str | None = None
    scripts: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    templates: int = DEFAULT_TEMPLATES

    def options(self) -> list[str]:
        """Return the options of a wrapper for it."""
        what = ["--scripts", ",".join(self.scripts)] if self.root is None else ["--root", self.root]
        return [*what, *(["--index", ",".join(self.indexes)] if self.indexes else [])]


@dataclass(frozen=True, slots=True)
class Front:
    """What a worker does with a connection: it reads the head of a request, or serves FastCGI.

    With `folders` the request names its program there. `head_seconds` is the limit for the
    whole head, `answer_seconds` that for the first byte of an answer, and `head_limit` and
    `body_limit` are those of a head and a body in bytes. `request_variables` are the names that a
    request may set, None for all but the refused ones. With `keep_seconds` it is FastCGI, whose
    connections are kept for so long between two requests. Then `limit_seconds` is the limit for a
    request, and `kill_seconds` for its processes to end after SIGTERM; standard error of its
    program goes to the web server, unless `stderr` says otherwise.
    """

    head_seconds: float = DEFAULT_HEAD_SECONDS
    folders: Folders | None = None
    request_variables: tuple[str, ...] | None = None
    keep_seconds: float | None = None
    limit_seconds: float | None = None
    kill_seconds: float = 0.0
    client_gone: ClientGone = ClientGone.END
    stderr: StderrTarget | None = None
    answer_seconds: float | None = None
    body_limit: int | None = None
    head_limit: int = LARGEST_HEAD


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a web server may take for the whole head of a request, and between two requests.

    Only FastCGI keeps connections, so only there is a time between requests. There is also the
    time that a program has for the first byte of its answer, and the limits of a body and of a head
    in bytes.
    """

    head_seconds: float = DEFAULT_HEAD_SECONDS
    keep_seconds: float = DEFAULT_KEEP_SECONDS
    answer_seconds: float | None = None
    body_limit: int | None = None
    head_limit: int = LARGEST_HEAD


USUAL_WAITS = Waits()


@dataclass(frozen=True, slots=True)
class CgiProgram:
    """A CGI program as a service runs it; the front is None if the program brings its own."""

    program: Program
    front: Front | None
    environment: dict[str, str]
    directory: str


def put_behind(
    kind: FrontKind,
    chosen: Program | Folders,
    own_variables: Mapping[str, str],
    waits: Waits = USUAL_WAITS,
    request_variables: tuple[str, ...] | None = None,
    client_gone: ClientGone = ClientGone.END,
    stderr: StderrTarget | None = None,
    *,
    is_wrapped: bool = False,
) -> CgiProgram:
    """Put a program, or folders of them, behind a protocol; FastCGI by a wrapper if `is_wrapped`.

    Nothing of the server's environment is used: it is a safe PATH and `own_variables`. A program
    runs in its own folder (RFC 3875, section 7.2). With FastCGI its standard error goes to the web
    server, unless `stderr` says otherwise. Raises SystemFailureError if the wrapper was not
    built.
    """
    environment = {"PATH": SAFE_PATH, **own_variables}
    if isinstance(chosen, Folders):
        folders, directory = chosen, chosen.root or "/"
        program = Program(directory, (directory,))
        what = chosen.options()
    else:
        folders, directory = None, os.path.dirname(chosen.path)
        program = chosen
        what = ["--", program.path, *program.arguments[1:]]
    if kind is FrontKind.SCGI or not is_wrapped:
        kept = waits.keep_seconds if kind is FrontKind.FCGI else None
        front = Front(
            waits.head_seconds,
            folders,
            request_variables,
            kept,
            client_gone=client_gone,
            stderr=stderr,
            answer_seconds=waits.answer_seconds,
            body_limit=waits.body_limit,
            head_limit=waits.head_limit,
        )
        return CgiProgram(program, front, environment, directory)
    options = _options(waits, request_variables, client_gone)
    if stderr not in (None, StderrTarget.SOCKET):
        # What the service itself has there.
        options += ["--stderr", "null" if stderr is StderrTarget.NULL else "inherit"]
    wrapper = _wrapper(*options, "--env-prefix", _PREFIX, *what)
    return CgiProgram(wrapper, None, _hidden(environment), directory)


def _hidden(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the wrapper's own environment, which contains that of its programs.

    Every user can see arguments, but not an environment. The names get a prefix, so that no
    variable affects the wrapper itself or is replaced by one about the connection.
    """
    return {_PREFIX + name: value for name, value in environment.items()}


# In the package, and in the folder of its commands.
_WRAPPERS = {
    FrontKind.SCGI: (SCGI_WRAPPER, os.path.join(sys.prefix, "bin", "scgi2cgi")),
    FrontKind.FCGI: (FCGI_WRAPPER, os.path.join(sys.prefix, "bin", "fcgi2cgi")),
}


def unwrap(program: Program) -> tuple[FrontKind, Program | Folders] | None:
    """Return the protocol of our wrapper and the program or folder that it runs.

    A worker with a front does the same and saves an exec. None for any other program, and where the
    wrapper itself is to be used: with other options, or if the program cannot be found.
    """
    for kind, places in _WRAPPERS.items():
        if any(_is_same(program.path, place) for place in places):
            chosen = _wrapped(program)
            return None if chosen is None else (kind, chosen)
    return None


def _wrapped(program: Program) -> Program | Folders | None:
    """Return what a wrapper runs."""
    match program.arguments[1:]:
        case ("--root", folder):
            return Folders(folder) if os.path.isabs(folder) and os.path.isdir(folder) else None
        case ("--scripts", text) if all(map(os.path.isabs, text.split(","))):
            return Folders(scripts=tuple(text.split(",")))
        case (name, *_) if not name.startswith("-"):
            with contextlib.suppress(ProgramError):
                return locate(program.arguments[1:], dict(os.environ))
            return None
        case _:
            return None


def _is_same(path: str, other: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(path, other)
    return False


def _options(
    waits: Waits, request_variables: tuple[str, ...] | None, client_gone: ClientGone
) -> list[str]:
    """Return the options of the FastCGI wrapper that are not about what it runs."""
    names = (
        [] if request_variables is None else ["--request-variables", ",".join(request_variables)]
    )
    gone = [] if client_gone is ClientGone.END else ["--client-gone", client_gone.value]
    limits = []
    if waits.answer_seconds is not None:
        limits += ["--answer-timeout", _wrapper_seconds(waits.answer_seconds)]
    if waits.body_limit is not None:
        limits += ["--body-limit", str(waits.body_limit)]
    if waits.head_limit != LARGEST_HEAD:
        limits += ["--head-limit", str(waits.head_limit)]
    return [
        "--head-timeout", _wrapper_seconds(waits.head_seconds),
        "--keep-timeout", _wrapper_seconds(waits.keep_seconds),
        *limits,
        *names,
        *gone,
    ]  # fmt: skip


def _wrapper_seconds(seconds: float) -> str:
    return f"{min(max(seconds, 0.001), _MOST_WRAPPER_SECONDS):.3f}"


def _wrapper(*arguments: str) -> Program:
    """Return the FastCGI wrapper. Raises SystemFailureError if it was not built."""
    if not os.access(FCGI_WRAPPER, os.X_OK):
        raise SystemFailureError(
            "FastCGI: fcgi2cgi was not built when socketd was installed; install a C compiler and "
            "install socketd again"
        )
    return Program(FCGI_WRAPPER, ("fcgi2cgi", *arguments))


def check_root(folder: str) -> str:
    """Return the absolute path of a folder of programs. Raises UsageError if it is none."""
    path = absolute(folder)
    if not os.path.isdir(path):
        raise UsageError(f"--root: {folder!r} is not a directory")
    return path
