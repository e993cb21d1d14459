"""The levels of --ready: how far a program is started ahead of its connection.

Owns the levels and the order in which one is tried after another. Must not know how a program is
held; see docs/templates.md.
"""

import enum

from socketd.dataclass import dataclass


class ReadyLevel(enum.Enum):
    """The state of the process from which workers are forked.

    RELAY is different: workers are forked as at FORK, and each starts its own program at once.
    """

    FORK = "fork"
    LOAD = "load"
    READ = "read"
    STOP = "stop"
    RELAY = "relay"

    @property
    def is_held(self) -> bool:
        """Tell whether the template is the program itself, and not our own."""
        return self not in (ReadyLevel.FORK, ReadyLevel.RELAY)


_FALLBACKS = {
    ReadyLevel.FORK: (ReadyLevel.FORK,),
    ReadyLevel.LOAD: (ReadyLevel.LOAD, ReadyLevel.FORK),
    ReadyLevel.READ: (ReadyLevel.READ, ReadyLevel.LOAD, ReadyLevel.FORK),
    ReadyLevel.STOP: (ReadyLevel.STOP, ReadyLevel.LOAD, ReadyLevel.FORK),
    ReadyLevel.RELAY: (ReadyLevel.RELAY,),
}


@dataclass(frozen=True, slots=True)
class Readiness:
    """The wanted level, and whether a lower one is accepted; see docs/templates.md.

    With `may_share_files` copies may share files that are open for writing, and locks. With
    `is_auto` nobody has asked for the level, so a lower one is no reason for a warning. With
    `is_run_on_trial` one copy runs the program before others do, where it runs ahead anyway.
    `warm_up` is the path of a file with a request for that copy.
    """

    level: ReadyLevel = ReadyLevel.FORK
    is_strict: bool = False
    hold_seconds: float = 10.0
    renew_seconds: float = 3600.0
    may_share_files: bool = False
    is_auto: bool = False
    is_run_on_trial: bool = False
    warm_up: str | None = None

    @property
    def levels(self) -> tuple[ReadyLevel, ...]:
        """Return the levels to try, the best one first."""
        levels = _FALLBACKS[self.level]
        return levels[:1] if self.is_strict else levels


AT_FORK = Readiness()

# The highest level at which a program cannot tell that it is held, and at which none of its code
# runs before there is a connection.
AUTO = "auto"
AUTO_LEVEL = ReadyLevel.LOAD
