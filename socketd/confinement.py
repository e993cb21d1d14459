"""What a worker may and may not do: the settings of its process.

Owns the values as an operator has chosen them. Must not know how they are applied, nor whether
the users that are named exist.
"""

import resource
from dataclasses import dataclass

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
    """How a worker's process differs from the master's; None leaves a thing as it is.

    Without `groups` a user has those of the user database.
    """

    user: str | None = None
    groups: tuple[str, ...] | None = None
    directory: str | None = None
    umask: int | None = None
    limits: tuple[ResourceLimit, ...] = ()
    nice: int | None = None
    no_new_privs: bool = False


UNCONFINED = Confinement()
