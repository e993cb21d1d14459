"""What happens to the templates of a service, and what is to be done: events and commands.

Owns the values alone. Must not know who makes or runs them. A template is named by its process id.
"""

import enum
from dataclasses import dataclass

from socketd.settings.readiness import ReadyLevel


class TemplateTimer(enum.Enum):
    """The timers of a template's life."""

    LOOK = "look"  # at the program that is on its way
    LIMIT = "limit"  # for getting there
    RENEW = "renew"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Begun:
    """A first template is wanted."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A process was started; one at a level without holding serves at once."""

    pid: int


@dataclass(frozen=True, slots=True)
class NotLaunched:
    """A process could not be started at this level.

    With `is_final` no other level will do; with `is_short` the machine has no room for it.
    """

    reason: str
    is_final: bool = False
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """The program that was on its way is held."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The program that was on its way cannot be held."""

    reason: str


@dataclass(frozen=True, slots=True)
class TemplateEnded:
    """A template's process has ended; `words` say why it has not become one, if it has not."""

    pid: int
    status: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class TimerDue:
    """A timer has run out; for LIMIT, `overdue` says what the program has not done."""

    timer: TemplateTimer
    overdue: str = ""


@dataclass(frozen=True, slots=True)
class RenewalWanted:
    """A fresh template is wanted; the present one serves until that is ready."""


@dataclass(frozen=True, slots=True)
class RoomFound:
    """A process has ended, so there may be room for another one."""


@dataclass(frozen=True, slots=True)
class ComingGivenUp:
    """Who comes after this process cannot speak to a program that is on its way."""


@dataclass(frozen=True, slots=True)
class Closed:
    """No more workers are wanted."""


TemplateEvent = (
    Begun
    | Launched
    | NotLaunched
    | Held
    | Refused
    | TemplateEnded
    | TimerDue
    | RenewalWanted
    | RoomFound
    | ComingGivenUp
    | Closed
)


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a process at this level, and tell by an event at once what came of it."""

    level: ReadyLevel


@dataclass(frozen=True, slots=True)
class Look:
    """See how far the program has got, and tell by an event if it is held or never will be."""

    pid: int


@dataclass(frozen=True, slots=True)
class Adopt:
    """Fork workers from this one from now on."""

    pid: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Let a template end that has served, and its idle copies: another one serves."""

    pid: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Kill a program that was on its way, with what it has started."""

    pid: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Close what is left of a template whose process is gone."""

    pid: int


@dataclass(frozen=True, slots=True)
class LetEnd:
    """Give a template no more numbers: it ends when it has made what it was asked for."""

    pid: int


@dataclass(frozen=True, slots=True)
class Arm:
    """Set a timer, in place of one of the same kind."""

    timer: TemplateTimer
    due_seconds: float


@dataclass(frozen=True, slots=True)
class Disarm:
    """Stop a timer, if it is set."""

    timer: TemplateTimer


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Give the numbers that have no process to the template that serves now."""


@dataclass(frozen=True, slots=True)
class AskForLost:
    """The same with those that a template had been given before another one took its place."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Nobody will make the workers that have no process: say so on the board."""


@dataclass(frozen=True, slots=True)
class ReportServing:
    """A template serves, at a lower level than wanted if there are reasons."""

    pid: int
    level: ReadyLevel
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReportFailed:
    """No template could be had; the next attempt comes after a delay."""

    reason: str
    delay_seconds: float
    step: int


TemplateCommand = (
    Launch
    | Look
    | Adopt
    | Dismiss
    | Discard
    | Forget
    | LetEnd
    | Arm
    | Disarm
    | AskAgain
    | AskForLost
    | Abandon
    | ReportServing
    | ReportFailed
)
