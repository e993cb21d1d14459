"""The settings of a service, checked and frozen.

Owns the settings and their limits. Must not know click, the environment or a clock.
"""

import enum

from socketd.dataclass import dataclass
from socketd.pool.settings import PoolSettings
from socketd.programs.cgi import ClientGone, Front
from socketd.programs.command import Program
from socketd.relay.relay import RelaySettings
from socketd.settings.address import Address, TcpAddress, place_of
from socketd.settings.admission import OPEN, Admission
from socketd.settings.confinement import UNCONFINED, Confinement
from socketd.settings.readiness import AT_FORK, Readiness
from socketd.settings.stderr import StderrTarget

DEFAULT_BACKLOG = 4096


class WorkerKind(enum.Enum):
    """Which spawner to use; AUTO is the native one where it was built."""

    AUTO = "auto"
    NATIVE = "native"
    PYTHON = "python"


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """One listener of a service: where it listens, what it runs, how its pool behaves.

    `soft_nofile` is the limit of open files to give back to workers, if the master has raised it.
    """

    name: str
    address: Address
    program: Program
    environment: dict[str, str]
    pool: PoolSettings
    backlog: int = DEFAULT_BACKLOG
    stderr: StderrTarget = StderrTarget.SOCKET
    worker: WorkerKind = WorkerKind.AUTO
    relay: RelaySettings | None = None
    confinement: Confinement = UNCONFINED
    soft_nofile: int | None = None
    readiness: Readiness = AT_FORK
    front: Front | None = None
    linger_seconds: float = 0.0
    admission: Admission = OPEN
    ends_children: bool = False

    @property
    def is_watching_clients(self) -> bool:
        """Tell whether somebody has to look if the client of a program has gone.

        A worker that serves FastCGI sees that itself.
        """
        if self.front is None or self.front.keep_seconds is not None:
            return False
        return self.front.client_gone is ClientGone.END

    @property
    def key(self) -> str:
        """Return what identifies a listener across reloads: its place, for port 0 also its name."""
        place = place_of(self.address)
        is_any = isinstance(self.address, TcpAddress) and self.address.port == "0"
        return f"{self.name} {place}" if is_any else place


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences between the present and the wanted services, by key."""

    added: list[ServiceSettings]
    kept: list[ServiceSettings]
    changed: int
    removed: list[str]


def compare(present: dict[str, ServiceSettings], wanted: list[ServiceSettings]) -> Changes:
    """Divide the wanted services into new and present ones; all others are removed."""
    keys = {settings.key for settings in wanted}
    return Changes(
        added=[settings for settings in wanted if settings.key not in present],
        kept=[settings for settings in wanted if settings.key in present],
        changed=sum(present.get(settings.key, settings) != settings for settings in wanted),
        removed=[key for key in present if key not in keys],
    )
