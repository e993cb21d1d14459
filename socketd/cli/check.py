"""`socketd check` and `socketd show`: what a configuration file says, without serving.

Owns what can be tried without harm, and the form in which settings are shown.
"""

import json
import os
import re
from collections.abc import Iterator

import msgspec

from socketd import estate
from socketd.address import TcpAddress, UnixAddress
from socketd.config import ServiceSettings, size_pool
from socketd.configfile import Findings, Surroundings, load, parse
from socketd.errors import ConfigurationError, SocketdError
from socketd.listeners import check_unix, resolve_tcp
from socketd.privileges import look_up
from socketd.schema import keys_of
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
    findings = Findings()
    services = parse(path, findings)
    load(path, Surroundings(dict(os.environ)))
    return "\n\n".join(
        "\n".join(_lines(f"service.{_toml_key(name)}", one)) for name, one in services.items()
    )


def _lines(place: str, table: msgspec.Struct) -> Iterator[str]:
    """Yield a table and the tables in it; what is not set has no value in TOML."""
    yield f"[{place}]"
    inner = []
    for key in keys_of(type(table)):
        value = getattr(table, key.name)
        if key.name == "listen":
            value = [one if one.address.startswith("unix:") else one.address for one in value]
        if key.name == "max" and value is None:
            value = size_pool(table.strategy, table.min, None)[1]  # type: ignore[attr-defined]  # the table of workers
        if isinstance(value, msgspec.Struct):
            inner.append((key.name, value))
        elif value is None:
            yield f"# {key.name} is not set"
        else:
            yield f"{key.name} = {_toml(msgspec.to_builtins(value, enc_hook=str))}"
    for name, value in inner:
        yield ""
        yield from _lines(f"{place}.{name}", value)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        pairs = [
            f"{_toml_key(key)} = {_toml(one)}" for key, one in value.items() if one is not None
        ]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _toml_key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else json.dumps(name)
