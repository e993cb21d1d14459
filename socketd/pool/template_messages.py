"""The events and commands of a template's life.

Owns the values only. Must not know who sends or executes them. A template is identified by its
process id.
"""

import enum

from socketd.dataclass import dataclass
from socketd.settings.readiness import ReadyLevel


class TemplateTimer(enum.Enum):
    """The timers of a template's life."""

    LOOK = "look"  # check the program that is being started
    LIMIT = "limit"  # time limit for holding it
    RENEW = "renew"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Begun:
    """A first template is wanted."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A process was started; one at a level without holding serves at once.

    With `is_loader` it is the program's loader, which answers whether the program can be held
    before it runs, and ends.
    """

    pid: int
    is_loader: bool = False


@dataclass(frozen=True, slots=True)
class NotLaunched:
    """A process could not be started at this level.

    With `is_final` no other level is possible; with `is_short` the machine lacked processes or
    memory.
    """

    reason: str
    is_final: bool = False
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """The program that was being started is held."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The program that was being started cannot be held."""

    reason: str


@dataclass(frozen=True, slots=True)
class TemplateEnded:
    """A template's process has ended; `words` is the reason if it was not held before.

    There are none if it was a loader that had nothing to say against the program.
    """

    pid: int
    status: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class TimerDue:
    """A timer has expired; for LIMIT, `overdue` says what the program has not done."""

    timer: TemplateTimer
    overdue: str = ""


@dataclass(frozen=True, slots=True)
class RenewalWanted:
    """A new template is wanted; the present one serves until it is ready."""


@dataclass(frozen=True, slots=True)
class CopyCrashed:
    """A copy of a template, with a connection, has ended as one whose memory was overwritten."""


@dataclass(frozen=True, slots=True)
class FilesChanged:
    """A file that the program was made from has been changed or replaced."""


@dataclass(frozen=True, slots=True)
class ShortageOver:
    """A process has ended, so there may be room for another."""


@dataclass(frozen=True, slots=True)
class ComingDropped:
    """A re-exec comes: the next version could not talk to a program that is being started."""


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
    | CopyCrashed
    | FilesChanged
    | ShortageOver
    | ComingDropped
    | Closed
)

# Those from which a start may follow.
BEGINNINGS = (Begun, TimerDue, RenewalWanted, CopyCrashed, ShortageOver)


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a process at this level, or the loader, and report the result at once by an event."""

    level: ReadyLevel
    is_loader: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Check the program, and report by an event if it is held or cannot be."""

    pid: int


@dataclass(frozen=True, slots=True)
class Adopt:
    """Fork workers from this one from now on."""

    pid: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """End a former template and its idle copies: another one serves."""

    pid: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Kill a program that was being started, and everything that it started."""

    pid: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Close the descriptors of a template whose process is gone."""

    pid: int


@dataclass(frozen=True, slots=True)
class LetEnd:
    """Close the pipe of a template: it ends after creating the workers that it was asked for."""

    pid: int


@dataclass(frozen=True, slots=True)
class Arm:
    """Set a timer; it replaces one of the same kind."""

    timer: TemplateTimer
    due_seconds: float


@dataclass(frozen=True, slots=True)
class Disarm:
    """Stop a timer, if it is set."""

    timer: TemplateTimer


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Give the numbers without a process to the template that serves now."""


@dataclass(frozen=True, slots=True)
class AskForLost:
    """The same for numbers that a template had received before it was replaced."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Mark the numbers without a process on the board: no template will create these workers."""


@dataclass(frozen=True, slots=True)
class ReportServing:
    """A template serves, at a lower level than wanted if there are reasons.

    `is_news` tells whether these have not been told before. `recovered_from` is the reason of a
    failure that is over, or for which it had been at a lower level; "" if there is none.
    """

    pid: int
    level: ReadyLevel
    reasons: tuple[str, ...]
    is_news: bool
    recovered_from: str = ""


@dataclass(frozen=True, slots=True)
class ReportFailed:
    """No template could be started; the next attempt follows after a delay."""

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
