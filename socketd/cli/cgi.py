"""`socketd cgi`: CGI programs behind a web server, with the best settings chosen automatically.

Owns the way from the command line to the settings of services. Must not know how they are served.
"""

import functools
import os
import sys
from collections.abc import Mapping

from socketd.cli.given import refuse
from socketd.cli.place import typed_place
from socketd.cli.run import RunOptions, Source, prove, serve
from socketd.config.build import Builder, Surroundings
from socketd.config.file import ServerTable
from socketd.config.listening import USUAL_MODE, completed, misplaced, untimed
from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass, replace
from socketd.errors import ExitCode, UsageError
from socketd.master.agreement import VERSION
from socketd.programs.cgi import FrontKind
from socketd.programs.cgi_start import prepared
from socketd.programs.command import Program, locate
from socketd.settings.address import Address
from socketd.settings.readiness import ReadyLevel
from socketd.settings.values import Problem, Values
from socketd.system.directory import absolute


@dataclass(frozen=True, slots=True)
class CgiOptions:
    """The command line, with addresses as they were typed.

    `words` are the program and its arguments, none with a folder of programs.
    """

    scgi: tuple[str, ...]
    fcgi: tuple[str, ...]
    words: tuple[str, ...]
    values: Values
    control: str | None = None


def cgi(options: CgiOptions, run_options: RunOptions, state_format: int | None) -> int:
    """Serve until told to stop; return the exit code. Raises SocketdError if it cannot begin.

    With `state_format` only check whether this version can read the state of that format.
    """
    if state_format is not None:
        prove(state_format, run_options)
        _settings(options, Surroundings(dict(os.environ)))
        return ExitCode.DONE
    proof = ("cgi", "--estate-version", str(VERSION), *sys.argv[2:])
    read = functools.partial(_settings, options)
    control = None if options.control is None else absolute(options.control)
    server = None if control is None else ServerTable(control=control, is_read=True)
    return serve(Source("cgi", read, proof, server=server), run_options)


def _settings(options: CgiOptions, around: Surroundings) -> list[ServiceSettings]:
    """Return the settings of every service."""
    _check(options)
    found, values = _start(options)
    kinds = (
        (FrontKind.SCGI, options.scgi, _without(values, "keep_timeout")),
        (FrontKind.FCGI, options.fcgi, _without(values, "timeouts.idle")),
    )
    return [
        _at(_address(text, options), _make(around, found, own, kind))
        for kind, addresses, own in kinds
        for text in addresses
    ]


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
    if options.values.has("timeouts.idle") and not options.scgi:
        raise UsageError("--idle-limit needs --scgi: see --keep-timeout and --answer-timeout")
    has_folders = [options.values.has(name) for name in ("root", "scripts")]
    if sum([bool(options.words), *has_folders]) != 1:
        raise UsageError("give either a PROGRAM, --root FOLDER or --scripts PATH")
    _check_listeners(options)


def _start(options: CgiOptions) -> tuple[Program | None, Values]:
    """Return the program, and the values including the best level for a script in Python."""
    if not options.words:
        return None, options.values
    program = locate(options.words, dict(os.environ), options.values.text("chroot"))
    if options.values.has("ready") or options.values.has("chroot"):
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


def _without(values: Values, *keys: str) -> Values:
    return Values({name: value for name, value in values.given.items() if name not in keys})


def _at(address: Address, settings: ServiceSettings) -> ServiceSettings:
    return replace(settings, address=address)


def _address(text: str, options: CgiOptions) -> Address:
    return completed(typed_place(text), options.values, USUAL_MODE)


def _check_listeners(options: CgiOptions) -> None:
    """Refuse a setting that goes with none of the addresses. Raises UsageError."""
    addresses = [typed_place(text) for text in (*options.scgi, *options.fcgi)]
    first, *others = (misplaced(address, options.values) for address in addresses)
    refuse(untimed(addresses, options.values))
    refuse(one for one in first if all(_has(problems, one.key) for problems in others))


def _has(problems: list[Problem], key: str) -> bool:
    return any(problem.key == key for problem in problems)
