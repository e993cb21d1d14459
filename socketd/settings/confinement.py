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
class Confinement:
    """How a worker's process differs from the master's; None means unchanged.

    Without `groups` a user gets the groups of the user database.
    """

    user: str | None = None
    groups: tuple[str, ...] | None = None
    directory: str | None = None
    umask: int | None = None
    limits: tuple[ResourceLimit, ...] = ()
    nice: int | None = None
    no_new_privs: bool = False


UNCONFINED = Confinement()
