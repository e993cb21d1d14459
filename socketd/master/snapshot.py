"""What a master leaves to the next version of itself, in bytes.

Owns the format; its version is in agreement.py. Must not know how the bytes travel, nor what is
done with them.
"""

import dataclasses
import json
import os
import re
import stat
import typing

import msgspec

from socketd.config.services import ServiceSettings
from socketd.control.passing import ControlState
from socketd.errors import SystemFailureError
from socketd.loop.listeners import ListenerState
from socketd.master.agreement import SNAPSHOT_VARIABLE, VERSION
from socketd.master.endpoints import EndpointSnapshot
from socketd.master.history import History
from socketd.master.override import Override
from socketd.master.reexec import Snapshot
from socketd.master.state import EndpointState
from socketd.operations.log import LogLevel
from socketd.operations.systemd import PassedSocket
from socketd.pool.departure import DepartureState
from socketd.pool.tally import Tally
from socketd.settings.address import (
    AbstractAddress,
    Address,
    InheritedAddress,
    TcpAddress,
    UnixAddress,
)

_LAST_STANDARD_FD = 2
_DESCRIPTOR = re.compile(r"[0-9]{1,9}")


_PLACES: dict[str, type[Address]] = {
    kind.__name__: kind for kind in (TcpAddress, UnixAddress, AbstractAddress, InheritedAddress)
}
# Everything of a service's settings but its address, which is one of several types, and the relay,
# which only services have that are not passed on.
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
    state: EndpointState | None
    remains: tuple[int, ...]
    tally: Tally
    override: Override
    departure: DepartureState | None


class _Document(msgspec.Struct):
    """Everything."""

    version: int
    services: list[_Service]
    doorbell: tuple[int, int]
    crashes: int
    passed: list[PassedSocket]
    soft_nofile: int | None
    history: History
    control: ControlState | None
    sensed: dict[str, int]
    log_level: LogLevel
    program_version: str = "unknown"


def write(snapshot: Snapshot, passed: list[PassedSocket], soft_nofile: int | None) -> bytes:
    """Put a snapshot into bytes, with the sockets that a manager had passed."""
    services = [_service_of(endpoint) for endpoint in snapshot.endpoints]
    document = _Document(
        VERSION,
        services,
        snapshot.doorbell,
        snapshot.crashes,
        passed,
        soft_nofile,
        snapshot.history,
        snapshot.control,
        snapshot.sensed,
        snapshot.log_level,
        snapshot.version,
    )
    return _encode(document)


def descriptor_of(text: str) -> int:
    """Return the descriptor that a variable names. Raises SystemFailureError if it names none."""
    if not _DESCRIPTOR.fullmatch(text) or int(text) <= _LAST_STANDARD_FD:
        raise SystemFailureError(
            f"{SNAPSHOT_VARIABLE}: {text!r} is not the number of a descriptor; unset it"
        )
    return int(text)


def read(fd: int) -> tuple[Snapshot, list[PassedSocket], int | None]:
    """Read what `write` has written; closes the descriptor. Raises SystemFailureError."""
    document, endpoints = _decode(fd)
    return (
        Snapshot(
            endpoints,
            document.doorbell,
            document.crashes,
            document.program_version,
            document.history,
            document.control,
            document.sensed,
            document.log_level,
        ),
        document.passed,
        document.soft_nofile,
    )


def check_descriptors(snapshot: Snapshot, passed: list[PassedSocket]) -> None:
    """Raise SystemFailureError if descriptors of a snapshot are not what they are said to be."""
    listeners = [
        endpoint.listener.fd for endpoint in snapshot.endpoints if endpoint.listener.fd is not None
    ]
    processes = [one.state.processes for one in snapshot.endpoints if one.state is not None]
    boards = [one.board_fd for one in processes]
    pipes = [one.serving.pipe_fd for one in processes if one.serving is not None]
    control = [] if snapshot.control is None else snapshot.control.fds
    sockets = [*listeners, *control, *(one.fd for one in passed)]
    kinds = (
        (sockets, stat.S_ISSOCK, "socket"),
        (boards, stat.S_ISREG, "board"),
        (pipes, stat.S_ISFIFO, "pipe of a template"),
        (snapshot.doorbell, stat.S_ISFIFO, "doorbell"),
    )
    for fds, is_right, kind in kinds:
        for fd in fds:
            try:
                found = is_right(os.fstat(fd).st_mode)
            except (OSError, OverflowError):
                found = False
            if not found:
                raise SystemFailureError(
                    f"{SNAPSHOT_VARIABLE}: descriptor {fd}, which it names as a {kind}, is none; "
                    "unset it"
                )


def _decode(fd: int) -> tuple[_Document, list[EndpointSnapshot]]:
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # another file might never end
            raise ValueError("it is no file in memory")
        with os.fdopen(fd, "rb") as file:
            file.seek(0)
            content = json.loads(file.read())
        document = msgspec.convert(content, _Document, str_keys=True)
        endpoints = [
            EndpointSnapshot(
                _settings_of(service),
                service.listener,
                service.state,
                service.remains,
                service.tally,
                service.override,
                service.departure,
            )
            for service in document.services
        ]
    except (OSError, RecursionError, ValueError) as error:  # msgspec's are ValueErrors
        raise SystemFailureError(
            f"{SNAPSHOT_VARIABLE}: descriptor {fd} holds nothing that another version of socketd "
            f"has left: {error}; unset it"
        ) from error
    return document, endpoints


def _encode(document: _Document) -> bytes:
    """Return ASCII: a path, an argument or a variable may hold bytes that are no text.

    Python has each of them as a lone surrogate (PEP 383), which UTF-8 has no form for and JSON has.
    """
    return json.dumps(msgspec.to_builtins(document, str_keys=True)).encode("ascii")


def _service_of(endpoint: EndpointSnapshot) -> _Service:
    address = endpoint.settings.address
    settings = {name: getattr(endpoint.settings, name) for name in _Settings.__struct_fields__}
    fields = dataclasses.asdict(address)
    place = type(address).__name__
    return _Service(
        settings,
        place,
        fields,
        endpoint.listener,
        endpoint.state,
        endpoint.remains,
        endpoint.tally,
        endpoint.override,
        endpoint.departure,
    )


def _settings_of(service: _Service) -> ServiceSettings:
    """Return the settings. Raises ValueError for what none are."""
    place = _PLACES.get(service.place)
    if place is None:
        raise ValueError(f"{service.place!r} is no kind of address")
    known = msgspec.convert(service.settings, type=_Settings, str_keys=True)
    values = {name: getattr(known, name) for name in _Settings.__struct_fields__}
    return ServiceSettings(address=msgspec.convert(service.address, type=place), **values)
