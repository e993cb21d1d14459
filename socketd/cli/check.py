"""`socketd check` and `socketd show`: what a configuration file says, without serving.

Owns what can be tried without harm, and the form in which settings are shown.
"""

import json
import os
import re
from collections.abc import Iterator

from socketd import estate
from socketd.address import TcpAddress, UnixAddress
from socketd.config import ServiceSettings
from socketd.configfile import (
    Findings,
    Listening,
    ServiceTable,
    inner_tables,
    load,
    parse,
    settings_in,
)
from socketd.errors import ConfigurationError, SocketdError
from socketd.listeners import check_unix, resolve_tcp
from socketd.privileges import look_up
from socketd.settings.build import USUAL_MODE, Builder, Surroundings
from socketd.settings.table import Setting
from socketd.settings.values import Values
from socketd.socketfile import find_owner


def check(path: str, estate_version: int | None) -> None:
    """Raise SocketdError if the services of a file would not come up, as far as can be tried.

    Nothing is bound and nothing started. With `estate_version` also tell whether this program
    could go on where one has stopped that writes this version.
    """
    if estate_version is not None:
        estate.check_version(estate_version)
    mistakes = []
    for settings in load(path, Surroundings(dict(os.environ))):
        mistakes += [f"service.{settings.name}: {one}" for one in _try(settings)]
    if mistakes:
        raise ConfigurationError(path, list(dict.fromkeys(mistakes)))


def _try(settings: ServiceSettings) -> Iterator[SocketdError | str]:
    """Try what does no harm; yield what would fail."""
    address = settings.address
    try:
        if isinstance(address, TcpAddress):
            resolve_tcp(address)
        elif isinstance(address, UnixAddress):
            check_unix(address)
            find_owner(address)
    except SocketdError as error:
        yield error
    if isinstance(address, UnixAddress) and not os.path.isdir(os.path.dirname(address.path)):
        yield f"the directory of {address.path!r} does not exist"
    try:
        look_up(settings.confinement)
    except SocketdError as error:
        yield error
    directory = settings.confinement.directory
    if directory is not None and not os.path.isdir(directory):
        yield f"the directory {directory!r} does not exist"


def show(path: str) -> str:
    """Return every setting of a file as TOML, with the defaults filled in.

    Raises ConfigurationError.
    """
    around = Surroundings(dict(os.environ))
    tables = parse(path, Findings())
    load(path, around)
    return "\n\n".join("\n".join(_lines(table, around)) for table in tables)


def _lines(table: ServiceTable, around: Surroundings) -> Iterator[str]:
    """Yield a service's table and the tables in it; what is not set has no value in TOML."""
    place = f"service.{_toml_key(table.name)}"
    values = _with_derived(table, around)
    yield f"[{place}]"
    yield f"listen = {_toml([_listen(one) for one in table.listeners])}"
    yield from _settings(settings_in(""), values)
    for inner in inner_tables():
        yield ""
        yield f"[{place}.{inner}]"
        yield from _settings(settings_in(inner), values)


def _with_derived(table: ServiceTable, around: Surroundings) -> Values:
    """Return the values with those that follow from others."""
    pool = Builder(table.values, around).pool()
    derived: dict[str, object] = {
        "workers.min": pool.minimum,
        "workers.max": pool.maximum,
        "workers.strategy": pool.strategy.value,
    }
    return Values({**derived, **table.values.given})


def _settings(settings: list[Setting], values: Values) -> Iterator[str]:
    for setting in settings:
        value = values.get(setting.key)
        if value is None:
            yield f"# {setting.name} is not set"
        else:
            yield f"{setting.name} = {_toml(setting.kind.show(value))}"


def _listen(listening: Listening) -> object:
    """Return the text of a listener, or a table where it has rights."""
    if not listening.address.startswith("unix:"):
        return listening.address
    values = Values({"listen.mode": USUAL_MODE, **listening.values.given})
    shown = {one.name: (one, values.get(one.key)) for one in settings_in("listen")}
    rights = {
        name: one.kind.show(value) for name, (one, value) in shown.items() if value is not None
    }
    return {"address": listening.address, **rights}


def _toml(value: object) -> str:
    if isinstance(value, dict):
        pairs = [f"{_toml_key(key)} = {_toml(one)}" for key, one in value.items()]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _toml_key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name)
