"""`socketd check` and `socketd show`: read a configuration file without serving.

Owns what can be tested without side effects, and how settings are shown.
"""

import functools
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from socketd.config.build import Builder, Surroundings
from socketd.config.confined import is_folder
from socketd.config.file import (
    OFF,
    Findings,
    Listening,
    ServerTable,
    ServiceTable,
    gather,
    inner_tables,
    load,
    parse,
    settings_in,
)
from socketd.config.inner import settings_of_inner
from socketd.config.listening import USUAL_MODE
from socketd.config.services import ServiceSettings
from socketd.config.toml import toml_key, toml_value
from socketd.control.place import usual_path
from socketd.dataclass import replace
from socketd.errors import ConfigurationError, SocketdError
from socketd.loop.listeners import check_abstract, check_unix, resolve_tcp
from socketd.loop.socketfile import find_owner
from socketd.programs.privileges import look_up
from socketd.settings.address import AbstractAddress, TcpAddress, UnixAddress
from socketd.settings.setting import Setting
from socketd.settings.values import Values
from socketd.system.accounts import find_group, find_user
from socketd.system.directory import absolute

_Input = TypeVar("_Input")


def check(path: str) -> list[ServiceSettings]:
    """Return the services of a file, or raise SocketdError if one would not come up.

    That is told as far as it can be tried: no socket is bound and no program started.
    """
    findings = Findings()
    services = gather(path, _around(path), findings)
    # Continue after mistakes in the file, so that all are reported at once.
    mistakes = [str(mistake) for mistake in findings.mistakes]
    for settings in services:
        mistakes += [f"service.{settings.name}: {one}" for one in _try(settings)]
    if mistakes:
        raise ConfigurationError(path, list(dict.fromkeys(mistakes)))
    return services


def _try(settings: ServiceSettings) -> Iterator[SocketdError | str]:
    """Test what has no side effects; yield everything that would fail."""
    address = settings.address
    if isinstance(address, TcpAddress):
        yield from _failure(resolve_tcp, address)
    elif isinstance(address, AbstractAddress):
        yield from _failure(check_abstract, address)
    elif isinstance(address, UnixAddress):
        yield from _failure(check_unix, address)
        yield from _failure(find_owner, replace(address, group=None))
        yield from _failure(find_owner, replace(address, owner=None))
        if not os.path.isdir(os.path.dirname(address.path)):
            yield f"the directory of {address.path!r} does not exist"
    confinement = settings.confinement
    unknown = [] if confinement.user is None else [*_failure(find_user, confinement.user)]
    for group in confinement.groups or ():
        unknown += _failure(find_group, group)
    # Check the names together only if each of them is known.
    yield from unknown or _failure(look_up, confinement)
    directory = confinement.directory
    if directory is not None and not is_folder(directory, confinement.chroot):
        yield f"the directory {directory!r} does not exist"


def _failure(attempt: Callable[[_Input], object], what: _Input) -> Iterator[SocketdError]:
    """Yield the error of an attempt, if there is one."""
    try:
        attempt(what)
    except SocketdError as error:
        yield error


def show(path: str) -> str:
    """Return every setting of a file as TOML, with the defaults filled in.

    Raises ConfigurationError.
    """
    around, server = _around(path), ServerTable()
    tables = parse(path, Findings(), server)
    load(path, around)
    head = [f"control = {toml_value(server.control or around.usual_control() or OFF)}"]
    head += ["\n".join(_inner_lines(table)) for table in server.inner]
    return "\n\n".join([*head, *("\n".join(_lines(table, around)) for table in tables)])


def _around(path: str) -> Surroundings:
    environment = dict(os.environ)
    find = functools.partial(usual_path, absolute(path), environment, os.geteuid())
    return Surroundings(environment, usual_control=find)


def _inner_lines(table: ServiceTable) -> Iterator[str]:
    yield f"[{table.name}]"
    yield f"listen = {toml_value([_listen(one) for one in table.listeners])}"
    yield from _settings(settings_of_inner(), table.values)


def _lines(table: ServiceTable, around: Surroundings) -> Iterator[str]:
    """Yield a service's table and its inner tables; TOML has no value for "not set"."""
    place = f"service.{toml_key(table.name)}"
    values = _with_derived(table, around)
    yield f"[{place}]"
    yield f"listen = {toml_value([_listen(one) for one in table.listeners])}"
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
    if table.values.has("warm_up"):
        derived["trial"] = "run"  # what it means, and the only word that goes with it
    return Values({**derived, **table.values.given})


def _settings(settings: list[Setting], values: Values) -> Iterator[str]:
    for setting in settings:
        value = values.get(setting.key)
        if value is None:
            yield f"# {setting.name} is not set"
        else:
            yield f"{setting.name} = {toml_value(setting.kind.show(value))}"


def _listen(listening: Listening) -> object:
    """Return the text of a listener, or a table where more is set, as the mode of a path is."""
    given = dict(listening.values.given)
    if listening.address.startswith("unix:/"):
        given = {"listen.mode": USUAL_MODE, **given}
    if not given:
        return listening.address
    shown = {
        one.name: one.kind.show(given[one.key]) for one in settings_in("listen") if one.key in given
    }
    return {"address": listening.address, **shown}
