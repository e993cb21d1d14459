"""The settings of a worker's process: user, limits and the like.

Owns the values as the operator gave them. Must not know how they are applied, nor whether the named
users exist.
"""

import resource

from socketd.dataclass import dataclass

RESOURCES = {
    name.removeprefix("RLIMIT_").lower(): int(getattr(resource, name))
    for name in dir(resource)
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
}


@dataclass(frozen=True, slots=True)
class ResourceLimit:
    """One limit of setrlimit(2) by its lower-case name; None means that there is none."""

    name: str
    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True)
class Boundary:
    """What a process may reach; None means all that its user may.

    Below `read_paths` it may read and execute, below `write_paths` also change everything. With
    either of them nothing else is in reach but `programs`, the paths of what the service runs.
    `tcp_connect` are the ports that it may connect to.
    """

    read_paths: tuple[str, ...] | None = None
    write_paths: tuple[str, ...] | None = None
    tcp_connect: tuple[int, ...] | None = None
    programs: tuple[str, ...] = ()

    @property
    def has_paths(self) -> bool:
        """Tell whether files are limited."""
        return self.read_paths is not None or self.write_paths is not None

    @property
    def named(self) -> tuple[str, ...]:
        """Return every path that the operator has named, or that is run."""
        return (*(self.read_paths or ()), *(self.write_paths or ()), *self.programs)


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """The limits of a control group for each connection; None means that there is none.

    `path` is the group in which such groups are made, None for the server's own. Memory is in
    bytes, processor time in percent of one processor.
    """

    path: str | None = None
    memory_max: int | None = None
    cpu_max: int | None = None
    pids_max: int | None = None


@dataclass(frozen=True, slots=True)
class Confinement:
    """How a worker's process differs from the master's; None means unchanged.

    Without `groups` a user gets the groups of the user database. With `chroot`, its root directory,
    every other path is one below that.
    """

    user: str | None = None
    groups: tuple[str, ...] | None = None
    directory: str | None = None
    umask: int | None = None
    limits: tuple[ResourceLimit, ...] = ()
    nice: int | None = None
    no_new_privs: bool = False
    chroot: str | None = None
    boundary: Boundary | None = None
    group: GroupLimits | None = None


UNCONFINED = Confinement()
