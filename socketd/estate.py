"""What a master leaves to the next version of itself, in bytes.

Owns the format and its version. Must not know how the bytes travel, nor what is done with them.

Raise VERSION with any change of the structures below or of what they hold (the layout of the
board and the phases of the pool among them): a version that does not know the format refuses
before it is put in anybody's place.
"""

import os

import msgspec

from socketd.address import Address, InheritedAddress, UnixAddress, parse_listen, place_of
from socketd.config import ServiceSettings
from socketd.confinement import Confinement
from socketd.errors import SystemFailureError
from socketd.front import Front
from socketd.listeners import ListenerState
from socketd.pool import PoolSettings
from socketd.program import Program
from socketd.roster import Heir
from socketd.service import ServiceState
from socketd.spawner import Readiness, StderrTarget, WorkerKind
from socketd.succession import Estate
from socketd.systemd import PassedSocket

VERSION = 4


class _Address(msgspec.Struct):
    """An address; the unions of the program's own types cannot be told apart in bytes."""

    text: str
    mode: int | None = None
    owner: str | None = None
    group: str | None = None
    position: int = 0


class _Service(msgspec.Struct):
    """A service: its settings, its listener, its workers."""

    name: str
    address: _Address
    program: Program
    environment: dict[str, str]
    pool: PoolSettings
    backlog: int
    stderr: StderrTarget
    worker: WorkerKind
    confinement: Confinement
    soft_nofile: int | None
    readiness: Readiness
    front: Front | None
    is_inner: bool
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
    return msgspec.msgpack.encode(testament)


def read(fd: int) -> tuple[Estate, list[PassedSocket], int | None]:
    """Read what `write` has written; closes the descriptor."""
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        testament = msgspec.msgpack.decode(file.read(), type=_Testament)
    heirs = [
        Heir(_settings_of(service), service.listener, service.state, service.remains)
        for service in testament.services
    ]
    return (
        Estate(heirs, testament.doorbell, testament.crashes, testament.program_version),
        testament.passed,
        testament.soft_nofile,
    )


def _service_of(heir: Heir) -> _Service:
    settings = heir.settings
    return _Service(
        settings.name,
        _address_of(settings.address),
        settings.program,
        settings.environment,
        settings.pool,
        settings.backlog,
        settings.stderr,
        settings.worker,
        settings.confinement,
        settings.soft_nofile,
        settings.readiness,
        settings.front,
        settings.is_inner,
        heir.listener,
        heir.state,
        heir.remains,
    )


def _address_of(address: Address) -> _Address:
    if isinstance(address, UnixAddress):
        return _Address(place_of(address), address.mode, address.owner, address.group)
    if isinstance(address, InheritedAddress):
        return _Address(f"fd:{address.name}", position=address.position)
    return _Address(place_of(address))


def _settings_of(service: _Service) -> ServiceSettings:
    stored = service.address
    address = parse_listen(stored.text)
    if isinstance(address, UnixAddress):
        address = UnixAddress(address.path, stored.mode, stored.owner, stored.group)
    elif isinstance(address, InheritedAddress):
        address = InheritedAddress(address.name, stored.position)
    return ServiceSettings(
        service.name,
        address,
        service.program,
        service.environment,
        service.pool,
        service.backlog,
        service.stderr,
        service.worker,
        confinement=service.confinement,
        soft_nofile=service.soft_nofile,
        readiness=service.readiness,
        front=service.front,
        is_inner=service.is_inner,
    )
