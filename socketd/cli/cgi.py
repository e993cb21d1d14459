"""`socketd cgi`: CGI programs behind a web server, with the best settings chosen automatically.

Owns the way from the command line to the settings of services. Must not know how they are served.

FastCGI in front of a held program takes two services: workers of the first speak FastCGI and pass
each request to the second, whose workers are copies of the program.
"""

import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping

from socketd.cli.given import refuse
from socketd.cli.run import RunOptions, Source, begin_log, serve
from socketd.config.build import USUAL_MODE, Builder, Surroundings, with_rights
from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass, replace
from socketd.errors import ExitCode, SystemFailureError, UsageError
from socketd.master.agreement import VERSION, check_version
from socketd.programs.cgi import FrontKind, pass_on
from socketd.programs.cgi_start import prepared
from socketd.programs.command import Program, locate
from socketd.settings.address import Address, UnixAddress, parse_listen, place_of
from socketd.settings.readiness import AT_FORK, ReadyLevel
from socketd.settings.values import Values

_FOLDER_VARIABLE = "SOCKETD_CGI_FOLDER"  # for the next version of ourselves
_SOCKET_NAME = "requests.sock"
_OWNER_ONLY = 0o600
_EVERYBODY_MAY_ENTER = 0o711


@dataclass(frozen=True, slots=True)
class CgiOptions:
    """The command line, with addresses as they were typed.

    `words` are the program and its arguments, none with a folder of programs.
    """

    scgi: tuple[str, ...]
    fcgi: tuple[str, ...]
    words: tuple[str, ...]
    values: Values


def cgi(options: CgiOptions, run_options: RunOptions, state_format: int | None) -> int:
    """Serve until told to stop; return the exit code. Raises SocketdError if it cannot begin.

    With `state_format` only check whether this version can read the state of that format.
    """
    if state_format is not None:
        check_version(state_format)
        begin_log(run_options)
        _settings(options, "", Surroundings(dict(os.environ)))
        return ExitCode.DONE
    proof = ("cgi", "--estate-version", str(VERSION), *sys.argv[2:])
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(_folder()) if options.fcgi else ""
        read = functools.partial(_settings, options, folder)
        return serve(Source("cgi", read, proof), run_options)


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """Create a folder for an internal socket; after a re-exec the next version uses it."""
    folder = os.environ.pop(_FOLDER_VARIABLE, None)
    if folder is None:
        try:
            folder = tempfile.mkdtemp(prefix="socketd-cgi-")
            os.chmod(folder, _EVERYBODY_MAY_ENTER)  # the socket itself has an owner
        except OSError as error:
            raise SystemFailureError(
                f"cannot create a folder for an internal socket: {error.strerror}; set TMPDIR to a "
                "writable directory"
            ) from error
    os.environ[_FOLDER_VARIABLE] = folder
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # another process has put a file there
            os.rmdir(folder)


def _settings(options: CgiOptions, folder: str, around: Surroundings) -> list[ServiceSettings]:
    """Return the settings of every service; `folder` is for an internal socket."""
    _check(options)
    found, values = _start(options)
    make = functools.partial(_make, around, found)
    scgi = make(_without(values, "keep_timeout"), FrontKind.SCGI)
    services = [_at(_address(text, options), scgi) for text in options.scgi]
    if not options.fcgi:
        return services
    # The web server keeps this connection, so the limit would not apply to a request.
    endless = _without(values, "timeouts.connection")
    if scgi.readiness.level is ReadyLevel.FORK and scgi.pool.limit_seconds is None:
        fcgi = make(endless, FrontKind.FCGI)
    else:
        user = scgi.confinement.user
        inner = UnixAddress(os.path.join(folder, _SOCKET_NAME), _OWNER_ONLY, user)
        services.append(replace(_at(inner, scgi), is_inner=True))
        passing = pass_on(
            place_of(inner), Builder(values, around).waits(), values.names("request_variables")
        )
        fcgi = replace(
            make(_without(endless, "keep_timeout"), FrontKind.SCGI),
            program=passing.program,
            front=None,
            environment=passing.environment,
            readiness=AT_FORK,
            linger_seconds=0.0,  # fcgi2cgi reads all input to the end
        )
    return services + [_at(_address(text, options), fcgi) for text in options.fcgi]


def _pair(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return name and value of NAME=VALUE, or of NAME, which stands in the environment.

    A value on the command line is visible to every user. Raises UsageError.
    """
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"--env: {text!r} is not NAME=VALUE or NAME")
    if not equals and name not in environment:
        raise UsageError(f"--env: {name!r} has no value, neither here nor in the environment")
    return name, value if equals else environment[name]


def _check(options: CgiOptions) -> None:
    if not options.scgi and not options.fcgi:
        raise UsageError("no address to listen on: give --scgi ADDRESS or --fcgi ADDRESS")
    if options.values.has("keep_timeout") and not options.fcgi:
        raise UsageError("--keep-timeout needs --fcgi: no other connection is kept")
    if bool(options.words) == options.values.has("root"):
        raise UsageError("give either a PROGRAM or --root FOLDER")


def _start(options: CgiOptions) -> tuple[Program | None, Values]:
    """Return the program, and the values including the best level for a script in Python."""
    if not options.words:
        return None, options.values
    program = locate(options.words, dict(os.environ))
    if options.values.has("ready"):
        return program, options.values
    script = prepared(program)
    if script is None:
        return program, options.values
    return script, Values({**options.values.given, "ready": ReadyLevel.STOP.value})


def _make(
    around: Surroundings, found: Program | None, values: Values, front: FrontKind
) -> ServiceSettings:
    """Return the settings of a service. Raises SocketdError for what is wrong."""
    builder = Builder(Values({**values.given, "front": front.value}), around, found)
    settings = builder.service("cgi")
    refuse(builder.problems)
    return settings


def _without(values: Values, key: str) -> Values:
    return Values({name: value for name, value in values.given.items() if name != key})


def _at(address: Address, settings: ServiceSettings) -> ServiceSettings:
    return replace(settings, address=address)


def _address(text: str, options: CgiOptions) -> Address:
    """Read `HOST:PORT`, `PORT` or `/PATH`, or any form of a configuration file."""
    is_whole = text.startswith(("tcp:", "unix:", "fd:"))
    scheme = "" if is_whole else "unix:" if text.startswith("/") else "tcp:"
    return with_rights(parse_listen(scheme + text), options.values, USUAL_MODE)
