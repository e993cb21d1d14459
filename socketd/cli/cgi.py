"""`socketd cgi`: CGI programs behind a web server, with everything chosen that can be.

Owns the way from that command line to the settings of services. Must not know how they are served.

FastCGI in front of a program that is held takes two services: workers of the one speak FastCGI and
pass each request on to the other, whose workers are copies of the program.
"""

import contextlib
import dataclasses
import functools
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from socketd import estate
from socketd.accounts import check_name, login_variables
from socketd.address import Address, UnixAddress, parse_listen, place_of
from socketd.cli.run import RunOptions, Source, begin_log, serve
from socketd.config import ServiceSettings, size_pool, usual_stderr, why_no_front
from socketd.configfile import Surroundings
from socketd.confinement import Confinement
from socketd.errors import ExitCode, SystemFailureError, UsageError
from socketd.front import (
    DEFAULT_KEEP_SECONDS,
    CgiProgram,
    FrontKind,
    Waits,
    check_root,
    pass_on,
    put_behind,
)
from socketd.pool import PoolSettings, Strategy
from socketd.program import Program, locate
from socketd.spawner import AT_FORK, Readiness, ReadyLevel, WorkerKind
from socketd.start import best_start
from socketd.template import is_built

_FOLDER_VARIABLE = "SOCKETD_CGI_FOLDER"  # for the next version of ourselves
_SOCKET_NAME = "requests.sock"
_OWNER_ONLY = 0o600
_EVERYBODY_MAY_ENTER = 0o711


@dataclass(frozen=True, slots=True)
class CgiOptions:
    """What the command line says, addresses as they were typed.

    `ready` is a level, or empty where the best one is to be found. `words` are the program and its
    arguments, none with `root`. `mode` is that of the paths of UNIX sockets.
    """

    scgi: tuple[str, ...]
    fcgi: tuple[str, ...]
    words: tuple[str, ...]
    root: str | None
    workers: int
    max_workers: int | None
    strategy: Strategy
    idle_seconds: float
    drain_seconds: float
    head_seconds: float
    keep_seconds: float | None
    limit_seconds: float | None
    ready: str
    user: str | None
    variables: tuple[str, ...]
    mode: int


def cgi(options: CgiOptions, run_options: RunOptions, estate_version: int | None) -> int:
    """Serve until told to stop; return the exit code. Raises SocketdError if it cannot begin.

    With `estate_version` only say whether this version could go on where that one has stopped.
    """
    if estate_version is not None:
        estate.check_version(estate_version)
        begin_log(run_options)
        _settings(options, "", Surroundings(dict(os.environ)))
        return ExitCode.DONE
    proof = ("cgi", "--estate-version", str(estate.VERSION), *sys.argv[2:])
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_folder()) if options.fcgi else ""
        read = functools.partial(_settings, options, folder)
        return serve(Source("cgi", read, proof), run_options)


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """Have a folder for a socket of our own; the next version of ourselves takes it over."""
    folder = os.environ.pop(_FOLDER_VARIABLE, None)
    if folder is None:
        folder = tempfile.mkdtemp(prefix="socketd-cgi-")
        os.chmod(folder, _EVERYBODY_MAY_ENTER)  # the socket itself has an owner
    os.environ[_FOLDER_VARIABLE] = folder
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # somebody else has put something there
            os.rmdir(folder)


def _settings(options: CgiOptions, folder: str, around: Surroundings) -> list[ServiceSettings]:
    """Return the settings of every service; `folder` is for a socket of our own."""
    _check(options)
    chosen, readiness = _start(options)
    pairs = dict(_pair(variable, around.environment) for variable in options.variables)
    own = login_variables(options.user or "") | pairs
    make = functools.partial(_service, options, around)
    keep_seconds = options.keep_seconds
    waits = Waits(
        options.head_seconds, DEFAULT_KEEP_SECONDS if keep_seconds is None else keep_seconds
    )
    scgi = put_behind(FrontKind.SCGI, chosen, own, waits)
    services = [make(_address(text, options), scgi, readiness) for text in options.scgi]
    if not options.fcgi:
        return services
    if readiness.level is ReadyLevel.FORK and options.limit_seconds is None:
        fcgi = put_behind(FrontKind.FCGI, chosen, own, waits)
    else:
        # A limit on a connection that the web server keeps would be none on a request.
        inner = UnixAddress(os.path.join(folder, _SOCKET_NAME), _OWNER_ONLY, options.user)
        services.append(dataclasses.replace(make(inner, scgi, readiness), is_inner=True))
        fcgi = pass_on(place_of(inner), waits)
    endless = dataclasses.replace(options, limit_seconds=None)
    return services + [
        _service(endless, around, _address(text, options), fcgi, AT_FORK) for text in options.fcgi
    ]


def _pair(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return name and value of NAME=VALUE, or of NAME, which stands in the environment.

    A value that is typed is for everybody to see, among the arguments. Raises UsageError.
    """
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"--env: {text!r} is not NAME=VALUE or NAME")
    if not equals and name not in environment:
        raise UsageError(f"--env: {name!r} has no value, neither here nor in the environment")
    return name, value if equals else environment[name]


def _check(options: CgiOptions) -> None:
    if not options.scgi and not options.fcgi:
        raise UsageError("nothing to listen to: give --scgi ADDRESS or --fcgi ADDRESS")
    if options.keep_seconds is not None and not options.fcgi:
        raise UsageError("--keep-timeout needs --fcgi: no other connection is kept")
    if bool(options.words) == (options.root is not None):
        raise UsageError("give either a PROGRAM or --root FOLDER")
    if options.user is not None:
        check_name(options.user, "--user")
    if not is_built():
        raise SystemFailureError(
            "cgi needs the native worker, which was not built when socketd was installed; install "
            "a C compiler and install socketd again"
        )


def _start(options: CgiOptions) -> tuple[Program | str, Readiness]:
    """Return the program, or the folder of programs, and how far it is started ahead."""
    level = ReadyLevel(options.ready.removesuffix("!") or ReadyLevel.FORK.value)
    has_root = options.root is not None
    reason = why_no_front(FrontKind.SCGI, level, WorkerKind.NATIVE, has_root=has_root)
    if reason is not None:
        raise UsageError(f"--ready {options.ready}: {reason}")
    if options.root is not None:
        return check_root(options.root), AT_FORK
    program = locate(options.words, dict(os.environ))
    if options.ready:
        return program, Readiness(level, options.ready.endswith("!"))
    program, level = best_start(program)
    return program, Readiness(level)


def _service(
    options: CgiOptions,
    around: Surroundings,
    address: Address,
    cgi_program: CgiProgram,
    readiness: Readiness,
) -> ServiceSettings:
    minimum, maximum = size_pool(options.strategy, options.workers, options.max_workers)
    return ServiceSettings(
        name="cgi",
        address=address,
        program=cgi_program.program,
        environment=cgi_program.environment,
        pool=PoolSettings(
            minimum,
            maximum,
            options.strategy,
            options.idle_seconds,
            options.drain_seconds,
            limit_seconds=options.limit_seconds,
        ),
        stderr=usual_stderr(FrontKind.SCGI),
        confinement=Confinement(user=options.user, directory=cgi_program.directory),
        soft_nofile=around.soft_nofile,
        readiness=readiness,
        front=cgi_program.front,
    )


def _address(text: str, options: CgiOptions) -> Address:
    """Read `HOST:PORT`, `PORT` or `/PATH`, or any form of a configuration file."""
    is_whole = text.startswith(("tcp:", "unix:", "fd:"))
    scheme = "" if is_whole else "unix:" if text.startswith("/") else "tcp:"
    address = parse_listen(scheme + text)
    if isinstance(address, UnixAddress):
        return UnixAddress(address.path, options.mode)
    return address
