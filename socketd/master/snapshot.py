"""What a master leaves to the next version of itself, in bytes.

Owns the format and its version. Must not know how the bytes travel, nor what is done with them.

Raise VERSION with any change of the structures below or of what they hold (the layout of the
board and the phases of the pool among them): a version that does not know the format refuses
before it is put in anybody's place.
"""

import dataclasses
import json
import os
import re
import stat
import typing

import msgspec

from socketd.config.services import ServiceSettings
from socketd.errors import SystemFailureError
from socketd.loop.listeners import ListenerState
from socketd.master.endpoint import ServiceState
from socketd.master.endpoints import Heir
from socketd.master.reexec import ESTATE_VARIABLE, Estate
from socketd.operations.systemd import PassedSocket
from socketd.settings.address import Address, InheritedAddress, TcpAddress, UnixAddress

VERSION = 7
_LAST_STANDARD_FD = 2
_DESCRIPTOR = re.compile(r"[0-9]{1,9}")


_PLACES: dict[str, type[Address]] = {
    kind.__name__: kind for kind in (TcpAddress, UnixAddress, InheritedAddress)
}
# Everything of a service's settings but its address, which is one of several types, and the relay,
# which only services have that nobody takes over.
_HINTS = typing.get_type_hints(ServiceSettings)
_Settings = msgspec.defstruct(
    "_Settings", [(name, kind) for name, kind in _HINTS.items() if name not in {"address", "relay"}]
)


class _Service(msgspec.Struct):
    """A service: its settings, its listener, its workers."""

    settings: dict[str, object]
    place: str
    address: dict[str, object]
    listener: ListenerState
    state: ServiceState | None
    remains: tuple[int, ...]


class _Testament(msgspec.Struct):
    """Everything."""

    version: int
    services: list[_Service]
    doorbell: tuple[int, int]
    crashes: int
    passed: list[PassedSocket]
    soft_nofile: int | None
    program_version: str = "unknown"


def check_version(version: int) -> None:
    """Raise SystemFailureError if this program could not go on where one of that version stops."""
    if version != VERSION:
        raise SystemFailureError(
            f"the running version passes its state on in format {version}, this one reads format "
            f"{VERSION}; restart the service"
        )


def write(estate: Estate, passed: list[PassedSocket], soft_nofile: int | None) -> bytes:
    """Put an estate into bytes, with the sockets that a manager had passed."""
    services = [_service_of(heir) for heir in estate.heirs]
    testament = _Testament(
        VERSION,
        services,
        estate.doorbell,
        estate.crashes,
        passed,
        soft_nofile,
        estate.version,
    )
    return _encode(testament)


def descriptor_of(text: str) -> int:
    """Return the descriptor that a variable names. Raises SystemFailureError if it names none."""
    if not _DESCRIPTOR.fullmatch(text) or int(text) <= _LAST_STANDARD_FD:
        raise SystemFailureError(
            f"{ESTATE_VARIABLE}: {text!r} is not the number of a descriptor; unset it"
        )
    return int(text)


def read(fd: int) -> tuple[Estate, list[PassedSocket], int | None]:
    """Read what `write` has written; closes the descriptor. Raises SystemFailureError."""
    testament, heirs = _decode(fd)
    return (
        Estate(heirs, testament.doorbell, testament.crashes, testament.program_version),
        testament.passed,
        testament.soft_nofile,
    )


def check_descriptors(estate: Estate, passed: list[PassedSocket]) -> None:
    """Raise SystemFailureError if the descriptors of an estate are not what they are said to be."""
    listeners = [heir.listener.fd for heir in estate.heirs if heir.listener.fd is not None]
    boards = [heir.state.crew.board_fd for heir in estate.heirs if heir.state is not None]
    sockets = [*listeners, *(one.fd for one in passed)]
    kinds = (
        (sockets, stat.S_ISSOCK, "socket"),
        (boards, stat.S_ISREG, "board"),
        (estate.doorbell, stat.S_ISFIFO, "doorbell"),
    )
    for fds, is_right, kind in kinds:
        for fd in fds:
            try:
                found = is_right(os.fstat(fd).st_mode)
            except (OSError, OverflowError):
                found = False
            if not found:
                raise SystemFailureError(
                    f"{ESTATE_VARIABLE}: descriptor {fd}, which it names as a {kind}, is none; "
                    "unset it"
                )


def _decode(fd: int) -> tuple[_Testament, list[Heir]]:
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # another file might never end
            raise ValueError("it is no file in memory")
        with os.fdopen(fd, "rb") as file:
            file.seek(0)
            content = json.loads(file.read())
        testament = msgspec.convert(content, _Testament, str_keys=True)
        heirs = [
            Heir(_settings_of(service), service.listener, service.state, service.remains)
            for service in testament.services
        ]
    except (OSError, RecursionError, ValueError) as error:  # msgspec's are ValueErrors
        raise SystemFailureError(
            f"{ESTATE_VARIABLE}: descriptor {fd} holds nothing that another version of socketd has "
            f"left: {error}; unset it"
        ) from error
    return testament, heirs


def _encode(testament: _Testament) -> bytes:
    """Return ASCII: a path, an argument or a variable may hold bytes that are no text.

    Python has each of them as a lone surrogate (PEP 383), which UTF-8 has no form for and JSON has.
    """
    return json.dumps(msgspec.to_builtins(testament, str_keys=True)).encode("ascii")


def _service_of(heir: Heir) -> _Service:
    address = heir.settings.address
    settings = {name: getattr(heir.settings, name) for name in _Settings.__struct_fields__}
    fields = dataclasses.asdict(address)
    place = type(address).__name__
    return _Service(settings, place, fields, heir.listener, heir.state, heir.remains)


def _settings_of(service: _Service) -> ServiceSettings:
    """Return the settings. Raises ValueError for what none are."""
    place = _PLACES.get(service.place)
    if place is None:
        raise ValueError(f"{service.place!r} is no kind of address")
    known = msgspec.convert(service.settings, type=_Settings, str_keys=True)
    values = {name: getattr(known, name) for name in _Settings.__struct_fields__}
    return ServiceSettings(address=msgspec.convert(service.address, type=place), **values)
