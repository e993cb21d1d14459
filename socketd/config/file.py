"""The configuration file: every mistake in it is found in one go.

Owns the way from a file to values, and from there to the settings of services; mistakes are
described with the keys of the file. Must not know which settings there are, nor what they are for.
"""

import contextlib
import os
import re
from collections.abc import Sequence

from socketd.config.build import Builder, Surroundings
from socketd.config.document import before_tables, decode, read_text
from socketd.config.findings import Findings as Findings
from socketd.config.findings import quoted
from socketd.config.inner import INNER, as_service, settings_of_inner, why_not
from socketd.config.listening import USUAL_MODE, completed, misplaced, untimed
from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass, replace
from socketd.errors import ConfigurationError, UsageError
from socketd.settings.address import (
    LISTEN_FORMS,
    Address,
    InheritedAddress,
    parse_listen,
)
from socketd.settings.kinds import BadValueError
from socketd.settings.setting import FILE, Setting
from socketd.settings.table import offered
from socketd.settings.values import Values

LISTEN = "listen"
CONTROL = "control"
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_NAME = "a name of up to 64 letters, digits and _ . @ -"
LISTEN_ALLOWED = (
    f"{LISTEN_FORMS}; or a table with address and the keys of a listener; or a list of these"
)
OFF = "off"
CONTROL_ALLOWED = 'the absolute path of a UNIX socket, or "off"'
LISTEN_MEANING = "where to listen"


@dataclass(frozen=True, slots=True)
class Listening:
    """One entry of `listen`: its place in the file, the address, and the permissions of a path."""

    place: str
    address: str
    values: Values


@dataclass(frozen=True, slots=True)
class ServiceTable:
    """A table [service.NAME], or [metrics], as it was read; `place` is its name in the file."""

    name: str
    place: str
    values: Values
    listeners: tuple[Listening, ...]


@dataclass(slots=True)
class ServerTable:
    """What a file says of the server itself; `control` is None unless it does.

    `inner` are the tables of services that tell of all others.
    """

    control: str | None = None
    inner: tuple[ServiceTable, ...] = ()
    is_read: bool = False


def load(
    path: str, around: Surroundings, server: ServerTable | None = None
) -> list[ServiceSettings]:
    """Return the settings of every listener of every service, and note those of the server.

    Raises ConfigurationError with every mistake there is, and notes nothing then.
    """
    findings, found = Findings(), ServerTable()
    settings = gather(path, around, findings, found)
    if findings.mistakes:
        raise ConfigurationError(path, [str(mistake) for mistake in findings.mistakes])
    if server is not None:
        server.control, server.is_read = found.control, True
    return settings


def control_in(path: str) -> str | None:
    """Return what a file says of its server's control socket, whatever else is wrong with it.

    What is no TOML is read up to its first table. Raises ConfigurationError if that is none either.
    """
    try:
        text = read_text(path)
    except ConfigurationError:
        return None
    try:
        document = decode(path, text)
    except ConfigurationError as error:
        with contextlib.suppress(ConfigurationError):
            return _read_control(decode(path, before_tables(text)), Findings())
        raise error from None
    return _read_control(document, Findings())


def gather(
    path: str, around: Surroundings, findings: Findings, server: ServerTable | None = None
) -> list[ServiceSettings]:
    """Return the settings of every listener as far as they are valid, and record the mistakes.

    Raises ConfigurationError for a file that cannot be read or is no TOML.
    """
    server = server or ServerTable()
    tables = parse(path, findings, server)
    delay_seconds = _longest_delay(tables)
    for inner in server.inner:
        tables += _inner(inner, server.control, around, findings, delay_seconds)
    settings, owners = [], dict[str, str]()
    for table in tables:
        of_table = _settings_of(table, around, findings)
        _find_duplicates(table.place, of_table, owners, findings)
        settings += of_table
    return settings


def _inner(
    table: ServiceTable,
    control: str | None,
    around: Surroundings,
    findings: Findings,
    delay_seconds: float | None,
) -> list[ServiceTable]:
    """Return an inner table as that of a service, nothing if there can be none."""
    path = around.usual_control() if control is None else None if control == OFF else control
    why = why_not(table.name, path)
    if why:
        findings.add(table.place, why)
    if path is None:
        return []
    return [replace(table, values=as_service(table.name, table.values, path, delay_seconds))]


def _longest_delay(tables: list[ServiceTable]) -> float | None:
    """Return for how long the last of all services takes connections that was told to stop."""
    found = [table.values.get("stop_delay") for table in tables]
    return max((one for one in found if isinstance(one, float)), default=None)


def parse(path: str, findings: Findings, server: ServerTable | None = None) -> list[ServiceTable]:
    """Return the tables of services, and record the mistakes.

    Raises ConfigurationError for a file that cannot be read or is no TOML.
    """
    document = decode(path, read_text(path))
    for name in document:
        if name not in ("service", CONTROL, *INNER):
            findings.add_unknown(name, name, ["service", CONTROL, *INNER])
    server = server or ServerTable()
    server.control = _read_control(document, findings)
    tables = document.get("service", {})
    for name in INNER:
        if name in document:
            server.inner += (_read_inner(name, document[name], findings),)
            if isinstance(tables, dict) and name in tables:
                findings.add(name, f"is a service of that name, so none can be [service.{name}]")
    if not isinstance(tables, dict) or not tables:
        findings.add_value("service", tables, "at least one table [service.NAME]")
        return []
    return [_read_service(name, table, findings) for name, table in tables.items()]


def _read_inner(name: str, found: object, findings: Findings) -> ServiceTable:
    rest = dict(found) if isinstance(found, dict) else {LISTEN: found}
    place = f"{name}.{LISTEN}"
    addresses = rest.pop(LISTEN, None)
    if addresses is None:
        findings.add(place, f"is missing; allowed: {LISTEN_ALLOWED}")
    elif not isinstance(found, dict):
        findings.add_value(name, found, "a table with listen")
        addresses = None
    listeners = [] if addresses is None else _read_listeners(place, addresses, findings)
    offered_there = settings_of_inner()
    values = _read_settings(name, offered_there, rest, findings, (LISTEN,))
    return ServiceTable(name, name, values, tuple(listeners))


def _read_control(document: dict[str, object], findings: Findings) -> str | None:
    if CONTROL not in document:
        return None
    found = document[CONTROL]
    if not isinstance(found, str) or not (found == OFF or os.path.isabs(found)) or "\0" in found:
        findings.add_value(CONTROL, found, CONTROL_ALLOWED)
        return None
    return found


def _read_service(name: str, found: object, findings: Findings) -> ServiceTable:
    place = f"service.{quoted(name)}"
    if not _NAME_PATTERN.fullmatch(name):
        findings.add_value(place, name, _NAME)
    listeners: list[Listening] = []
    if not isinstance(found, dict):
        findings.add_value(place, found, "a table")
        return ServiceTable(name, place, Values({}), ())
    rest = dict(found)
    if LISTEN in rest:
        listeners = _read_listeners(f"{place}.{LISTEN}", rest.pop(LISTEN), findings)
    else:
        findings.add(f"{place}.{LISTEN}", f"is missing; allowed: {LISTEN_ALLOWED}")
    tables = inner_tables()
    within = {inner: rest.pop(inner) for inner in tables if inner in rest}
    values = _read_table(place, "", rest, findings, (LISTEN, *tables))
    for inner, table in within.items():
        more = _read_table(f"{place}.{inner}", inner, table, findings, ())
        values = Values({**values.given, **more.given}, values.wrong | more.wrong)
    return ServiceTable(name, place, values, tuple(listeners))


def inner_tables() -> list[str]:
    """Return the names of the tables within a service's."""
    tables = dict.fromkeys(setting.table for setting in offered(FILE))
    return [table for table in tables if table not in ("", LISTEN)]


def settings_in(table: str) -> list[Setting]:
    """Return the settings whose keys are in a table; the empty name is the service's own table."""
    return [setting for setting in offered(FILE) if setting.table == table]


def _read_table(
    place: str, table: str, found: object, findings: Findings, others: tuple[str, ...]
) -> Values:
    """Return the values of a table; a mistake in one value does not prevent reading the others.

    `others` are keys of the table that are not settings.
    """
    if not isinstance(found, dict):
        findings.add_value(place, found, "a table")
        return Values({})
    return _read_settings(place, settings_in(table), found, findings, others)


def _read_settings(
    place: str,
    offered_there: Sequence[Setting],
    found: dict[str, object],
    findings: Findings,
    others: tuple[str, ...],
) -> Values:
    settings = {setting.name: setting for setting in offered_there}
    given, bad = {}, set()
    for name, value in found.items():
        setting = settings.get(name)
        if setting is None:
            known = [*others[:1], *settings, *others[1:]]
            findings.add_unknown(f"{place}.{quoted(name)}", name, known, _home_of(name))
            continue
        try:
            given[setting.key] = setting.kind.take(value)
        except BadValueError as error:
            bad.add(setting.key)
            wrong = error.inner or (("", value, setting.kind.allowed, str(error)),)
            for inner, part, allowed, why in wrong:
                key = f"{name}.{quoted(inner)}" if inner else name
                findings.add_value(f"{place}.{key}", part, allowed, why)
    return Values(given, frozenset(bad))


def _home_of(name: str) -> str:
    """Return in which table a key would be known, nothing if in none."""
    for setting in offered(FILE):
        if setting.name == name:
            if setting.table == LISTEN:
                return f"a listener, as in {LISTEN} = [{{ address = ..., {name} = ... }}]"
            return f"[service.NAME{'.' * bool(setting.table)}{setting.table}]"
    return ""


def _read_listeners(place: str, found: object, findings: Findings) -> list[Listening]:
    if isinstance(found, str | dict):  # a list of one, as people write it
        one = _read_listener(place, found, findings)
        return [] if one is None else [one]
    if not isinstance(found, list) or not found:
        findings.add_value(place, found, LISTEN_ALLOWED)
        return []
    read = (_read_listener(f"{place}[{i}]", one, findings) for i, one in enumerate(found))
    return [one for one in read if one is not None]


def _read_listener(place: str, found: object, findings: Findings) -> Listening | None:
    rest = dict(found) if isinstance(found, dict) else {"address": found}
    if "address" not in rest:
        findings.add(f"{place}.address", f"is missing; allowed: {LISTEN_FORMS}")
    text = rest.pop("address", None)
    values = _read_table(place, LISTEN, rest, findings, ("address",))
    if not isinstance(text, str):
        if text is not None:
            findings.add_value(place, text, LISTEN_FORMS)
        return None
    try:
        address = parse_listen(text)
    except UsageError:
        findings.add_value(place, text, LISTEN_FORMS, _meant(text))
        return None
    for problem in misplaced(address, values):
        name = problem.key.removeprefix(f"{LISTEN}.")
        findings.add(f"{place}.{name}", problem.in_file())
    return Listening(place, text, values)


def _meant(text: str) -> str:
    """Return a hint at the address that a text without its kind is, nothing if it is none."""
    if text.partition(":")[0] in ("tcp", "unix", "fd"):
        return ""
    whole = ("unix:" if text.startswith(("/", "@")) else "tcp:") + text
    with contextlib.suppress(UsageError):
        parse_listen(whole)
        return f"perhaps {whole!r} is meant"
    return ""


def _settings_of(
    table: ServiceTable, around: Surroundings, findings: Findings
) -> list[ServiceSettings]:
    builder = Builder(table.values, around)
    settings = builder.service(table.name)
    addresses = [parse_listen(listening.address) for listening in table.listeners]
    for problem in (*builder.problems, *untimed(addresses, table.values)):
        findings.add(f"{table.place}.{problem.key}", problem.in_file())
    return [
        replace(settings, address=completed(address, listening.values, USUAL_MODE))
        for listening in table.listeners
        for address in _addresses_of(listening, around, findings)
    ]


def _addresses_of(
    listening: Listening, around: Surroundings, findings: Findings
) -> Sequence[Address]:
    address = parse_listen(listening.address)
    if not isinstance(address, InheritedAddress) or around.passed is None:
        return [address]
    count = around.passed.get(address.name, 0)
    if count == 0:
        names = ", ".join(map(repr, around.passed)) or "none at all"
        allowed = f"the names of sockets that were passed: {names}"
        findings.add_value(listening.place, listening.address, allowed)
    return [InheritedAddress(address.name, position) for position in range(count)]


def _find_duplicates(
    place: str, settings: list[ServiceSettings], owners: dict[str, str], findings: Findings
) -> None:
    """Record the addresses that another table has too; `owners` has those of all before."""
    for one in settings:
        if one.key in owners:
            why = f"which {owners[one.key]} has too"
            findings.add_value(f"{place}.{LISTEN}", one.key, "each address once", why)
        owners.setdefault(one.key, place)
