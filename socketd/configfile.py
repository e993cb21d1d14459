"""The configuration file: read whole, every mistake found in one go.

Owns the way from a file to the settings of services. Must not know what is done with them.

msgspec checks a value against a type, and stops at the first that does not fit. So each key is
converted by itself, and what one key gets wrong keeps no other from being looked at.
"""

import dataclasses
import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from socketd.accounts import login_variables
from socketd.address import InheritedAddress, UnixAddress, parse_listen
from socketd.config import ServiceSettings, size_pool, usual_stderr, why_no_front
from socketd.confinement import Confinement, ResourceLimit
from socketd.duration import parse_duration
from socketd.environment import base_environment
from socketd.errors import ConfigurationError, ExitCode, ProgramError, UsageError, describe_errno
from socketd.filemode import parse_mode
from socketd.front import DEFAULT_KEEP_SECONDS, CgiProgram, FrontKind, Waits, put_behind
from socketd.pool import PoolSettings, Strategy
from socketd.privileges import RESOURCES
from socketd.program import Program, ShellUse, locate, resolve
from socketd.schema import Key, Listen, Service, decode, keys_of
from socketd.spawner import Readiness, ReadyLevel, WorkerKind
from socketd.template import is_built

_Table = TypeVar("_Table", bound=msgspec.Struct)
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_NAME = "a name of up to 64 letters, digits and _ . @ -"
_LONGEST_FOUND = 60


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong with a file."""

    key: str
    problem: str

    def __str__(self) -> str:
        """Return `key: problem`, or the problem of the file as a whole."""
        return f"{self.key}: {self.problem}" if self.key else self.problem


@dataclass(slots=True)
class Findings:
    """The mistakes so far."""

    mistakes: list[Mistake] = field(default_factory=list)

    def add(self, key: str, found: object, allowed: str, why: str = "") -> None:
        """Note a value that is not what it may be."""
        problem = f"found {_shown(found)}" + (f", {why}" if why else "")
        self.mistakes.append(Mistake(key, f"{problem}; allowed: {allowed}"))

    def add_unknown(self, key: str, name: str, known: list[str]) -> None:
        """Note a key that there is not, with the nearest that there is."""
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        self.mistakes.append(Mistake(key, f"unknown key{hint} known: {', '.join(known)}"))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file is read against: the server's environment, and what was passed to it.

    `passed` counts the sockets of each name; None means that nobody knows, as in a check.
    """

    environment: dict[str, str]
    passed: Mapping[str, int] | None = None
    soft_nofile: int | None = None


def load(path: str, surroundings: Surroundings) -> list[ServiceSettings]:
    """Return the settings of every listener of every service.

    Raises ConfigurationError with every mistake there is.
    """
    findings = Findings()
    services = parse(path, findings)
    settings = []
    for name, service in services.items():
        settings += _settings_of(name, service, surroundings, findings)
    _find_duplicates(settings, findings)
    if findings.mistakes:
        raise ConfigurationError(path, [str(mistake) for mistake in findings.mistakes])
    return settings


def parse(path: str, findings: Findings) -> dict[str, Service]:
    """Return the services whose tables make sense, and note what does not.

    Raises ConfigurationError for a file that cannot be read or is no TOML.
    """
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        why = describe_errno(error.errno or 0)
        raise ConfigurationError(path, [f"cannot be read: {why}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(path, [f"is not TOML: {error}"]) from error
    for name in document:
        if name != "service":
            findings.add_unknown(name, name, ["service"])
    tables = document.get("service", {})
    if not isinstance(tables, dict) or not tables:
        findings.add("service", tables, "at least one table [service.NAME]")
        return {}
    services = {}
    for name, table in tables.items():
        if not _NAME_PATTERN.fullmatch(name):
            findings.add(f"service.{_quoted(name)}", name, _NAME)
        service = _read_table(f"service.{_quoted(name)}", table, Service, findings)
        if service is not None:
            services[name] = service
    return services


def _read_table(place: str, found: object, kind: type[_Table], findings: Findings) -> _Table | None:
    """Return a table of the file as its structure, None if it is none.

    What is wrong with a key is noted; the default stands in for it, or None where there is none,
    so that the rest of the table can be looked at all the same.
    """
    if not isinstance(found, dict):
        findings.add(place, found, "a table")
        return None
    keys = {key.name: key for key in keys_of(kind)}
    for name in found:
        if name not in keys:
            findings.add_unknown(f"{place}.{_quoted(name)}", name, list(keys))
    values = {}
    for key in keys.values():
        if key.name in found:
            value = _read_value(f"{place}.{key.name}", found[key.name], key, findings)
            if value is not None or key.is_required:
                values[key.name] = value
        elif key.is_required:
            values[key.name] = None
            findings.mistakes.append(
                Mistake(f"{place}.{key.name}", f"is missing; allowed: {key.allowed}")
            )
    return kind(**values)


def _read_value(place: str, found: object, key: Key, findings: Findings) -> Any:  # noqa: ANN401  a value of the key's type
    if isinstance(key.kind, type) and issubclass(key.kind, msgspec.Struct):
        return _read_table(place, found, key.kind, findings)
    if key.kind == list[str | Listen] and isinstance(found, list) and found:
        return [_read_listen(f"{place}[{i}]", one, findings) for i, one in enumerate(found)]
    try:
        return msgspec.convert(_refuse_empty(found), type=key.kind, dec_hook=decode)
    except (msgspec.ValidationError, ValueError):
        findings.add(place, found, key.allowed)
        return None


def _refuse_empty(found: object) -> object:
    """Return what is empty and may be. Raises ValueError for an empty text or list."""
    if isinstance(found, str | list) and not found:
        raise ValueError(found)
    return found


def _read_listen(place: str, found: object, findings: Findings) -> Listen | None:
    if isinstance(found, str):
        found = {"address": found}
    listen = _read_table(place, found, Listen, findings)
    if listen is None or not isinstance(listen.address, str):
        return None
    try:
        address = parse_listen(listen.address)
    except UsageError:
        findings.add(place, listen.address, keys_of(Listen)[0].allowed)
        return None
    assert isinstance(found, dict)
    if not isinstance(address, UnixAddress) and len(found) > 1:
        findings.add(place, listen.address, "mode, owner and group with unix:/PATH only")
    return listen


def _settings_of(
    name: str, service: Service, around: Surroundings, findings: Findings
) -> list[ServiceSettings]:
    place = f"service.{_quoted(name)}"
    own = dict(service.environment)
    if service.user is not None:
        own = login_variables(service.user) | own
    for variable in service.environment:
        if not variable or "=" in variable or "\0" in variable + service.environment[variable]:
            findings.add(f"{place}.environment", variable, "names without = and texts without NUL")
    inherited = base_environment(around.environment) | own
    program = _program_of(place, service, inherited, findings)
    confinement = _confinement_of(place, service, findings)
    settings = ServiceSettings(
        name=name,
        address=InheritedAddress(""),
        program=program,
        environment=inherited,
        pool=_pool_of(place, service, findings),
        backlog=service.backlog,
        stderr=service.stderr or usual_stderr(service.front),
        worker=service.worker,
        confinement=confinement,
        soft_nofile=None if "nofile" in service.limits else around.soft_nofile,
        readiness=_readiness_of(place, service, findings),
    )
    cgi = _cgi_of(place, service, program, own, findings)
    if cgi is not None:
        settings = dataclasses.replace(
            settings,
            program=cgi.program,
            front=cgi.front,
            environment=cgi.environment,
            confinement=dataclasses.replace(
                confinement, directory=confinement.directory or cgi.directory
            ),
        )
    if service.worker is WorkerKind.NATIVE and not is_built():
        findings.add(
            f"{place}.worker", "native", "auto, python", "which was not built at installation"
        )
    result = []
    for index, listen in enumerate(service.listen or ()):
        if not isinstance(listen, Listen):
            continue
        result += [
            dataclasses.replace(settings, address=address)
            for address in _addresses_of(f"{place}.listen[{index}]", listen, around, findings)
        ]
    return result


def _addresses_of(
    place: str, listen: Listen, around: Surroundings, findings: Findings
) -> list[Any]:
    address = parse_listen(listen.address)
    if isinstance(address, UnixAddress):
        return [UnixAddress(address.path, parse_mode(listen.mode, ""), listen.owner, listen.group)]
    if not isinstance(address, InheritedAddress) or around.passed is None:
        return [address]
    count = around.passed.get(address.name, 0)
    if count == 0:
        names = ", ".join(map(repr, around.passed)) or "none at all"
        findings.add(place, listen.address, f"the names of sockets that were passed: {names}")
    return [InheritedAddress(address.name, position) for position in range(count)]


def _program_of(
    place: str, service: Service, environment: dict[str, str], findings: Findings
) -> Program:
    place, allowed = f"{place}.program", "a program that can be run"
    found: str | list[str] | None = service.program
    if found is None:
        if service.root is None:
            findings.mistakes.append(Mistake(place, f"is missing; allowed: {allowed}"))
        return Program("/", ())
    try:
        if isinstance(found, list):
            if not found or any("\0" in word for word in found):
                raise ProgramError("names no program", ExitCode.NOT_FOUND)
            if service.shell is ShellUse.ALWAYS:
                findings.add(f"{place}", found, "a text, with shell = 'always'")
            return locate(tuple(found), environment)
        if "\0" in found:
            raise ProgramError("it holds a NUL", ExitCode.NOT_FOUND)
        return resolve(found, service.shell, environment)
    except ProgramError as error:
        findings.add(place, found, allowed, str(error))
        return Program("/", ())


def _cgi_of(
    place: str, service: Service, program: Program, own: dict[str, str], findings: Findings
) -> CgiProgram | None:
    """Return what a front makes of a service; what speaks against it is noted."""
    kind, root = service.front, service.root
    if root is not None:
        if service.program is not None:
            findings.add(f"{place}.root", root, "root in place of program, not beside it")
        if not os.path.isabs(root) or not os.path.isdir(root):
            findings.add(f"{place}.root", root, "the absolute path of a directory")
        if kind is FrontKind.NONE:
            findings.add(f"{place}.root", root, "root with front = 'scgi' or 'fcgi'")
    if service.keep_timeout is not None and kind is not FrontKind.FCGI:
        findings.add(
            f"{place}.keep_timeout", service.keep_timeout, "keep_timeout with front = 'fcgi'"
        )
    if kind is FrontKind.NONE:
        return None
    level = ReadyLevel(service.ready.removesuffix("!"))
    reason = why_no_front(kind, level, service.worker, has_root=root is not None)
    if reason is None and not is_built():
        reason = "which needs the native worker, which was not built at installation"
    if reason is not None:
        findings.add(f"{place}.front", kind.value, "what the other keys go together with", reason)
        return None
    kept = service.keep_timeout
    waits = Waits(
        parse_duration(service.head_timeout, ""),
        DEFAULT_KEEP_SECONDS if kept is None else parse_duration(kept, ""),
    )
    return put_behind(kind, program if root is None else root, own, waits)


def _pool_of(place: str, service: Service, findings: Findings) -> PoolSettings:
    workers = service.workers
    try:
        minimum, maximum = size_pool(workers.strategy, workers.min, workers.max)
    except UsageError:
        is_fixed = workers.strategy is Strategy.FIXED
        allowed = f"{workers.min}, which is min" if is_fixed else f"min ({workers.min}) or more"
        findings.add(f"{place}.workers.max", workers.max, allowed)
        minimum, maximum = workers.min, workers.min
    return PoolSettings(
        minimum,
        maximum,
        workers.strategy,
        parse_duration(workers.idle_timeout, ""),
        parse_duration(service.timeouts.drain, ""),
        kill_seconds=parse_duration(service.timeouts.kill, ""),
        limit_seconds=None
        if service.timeouts.connection is None
        else parse_duration(service.timeouts.connection, ""),
    )


def _readiness_of(place: str, service: Service, findings: Findings) -> Readiness:
    level = ReadyLevel(service.ready.removesuffix("!"))
    is_strict = service.ready.endswith("!")
    if level is not ReadyLevel.FORK and service.worker is WorkerKind.PYTHON:
        findings.add(f"{place}.ready", service.ready, "fork with worker = 'python'")
    if is_strict and not is_built():
        findings.add(f"{place}.ready", service.ready, "fork", "which needs the native worker")
    return Readiness(
        level,
        is_strict,
        parse_duration(service.hold_timeout, ""),
        parse_duration(service.renew_after, ""),
    )


def _confinement_of(place: str, service: Service, findings: Findings) -> Confinement:
    if service.directory is not None and not os.path.isabs(service.directory):
        findings.add(f"{place}.directory", service.directory, "an absolute path")
    if service.groups is not None and service.user is None:
        findings.add(f"{place}.groups", service.groups, "groups only together with user")
    limits = []
    for name, value in service.limits.items():
        if name not in RESOURCES:
            findings.add_unknown(f"{place}.limits.{_quoted(name)}", name, sorted(RESOURCES))
            continue
        both = value if isinstance(value, list) else [value, value]
        numbers = [None if one == "unlimited" else one for one in both]
        if len(both) != 2 or any(isinstance(one, str) for one in numbers):
            findings.add(
                f"{place}.limits.{name}", value, "a number, 'unlimited', or a list of two of these"
            )
            continue
        soft, hard = numbers
        if hard is not None and (soft is None or soft > hard):  # type: ignore[operator]  # no text is left
            findings.add(f"{place}.limits.{name}", value, "a soft limit within the hard one")
        limits.append(ResourceLimit(name, soft, hard))  # type: ignore[arg-type]  # no text is left
    return Confinement(
        service.user,
        None if service.groups is None else tuple(service.groups),
        service.directory,
        None if service.umask is None else parse_mode(service.umask, ""),
        tuple(limits),
        service.nice,
        service.no_new_privs,
    )


def _find_duplicates(settings: list[ServiceSettings], findings: Findings) -> None:
    owners: dict[str, str] = {}
    for one in settings:
        if one.key in owners:
            place = f"service.{_quoted(one.name)}.listen"
            findings.add(place, one.key, "each address once", f"which {owners[one.key]} has too")
        owners.setdefault(one.key, f"service.{_quoted(one.name)}")


def _quoted(name: str) -> str:
    return (
        name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else repr(name)
    )


def _shown(found: object) -> str:
    text = repr(found) if not isinstance(found, bool) else str(found).lower()
    return text if len(text) <= _LONGEST_FOUND else text[: _LONGEST_FOUND - 3] + "..."
