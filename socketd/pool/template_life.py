"""The life of a service's templates: which one serves, which is starting, which are leaving.

Owns the table of stages and what follows from each event. Must not know processes, /proc or any
clock: `handle` takes an event and the time and returns commands, to be carried out in order.

    ABSENT ── begin, retry ──> STARTING ── held ──> SERVING ── renew, crash, retry ──> RENEWING
       ^  ^────── failed ─────────┘ ^                 │  ^──── held, failed ──────────────┘  │
       └────────── server ended ────│─────────────────┘                                      │
                                    └──────────────── server ended ──────────────────────────┘
    any ── close ──> CLOSED

Each start tries the wanted levels, the highest first, down to one that works. Before `load` the
loader is asked, in a process of its own, whether the program can be held before it runs. A serving
template is replaced only by one that is ready. A level at which the program was refused is not
tried again, see template_memory.py. After a failure the next attempt follows after a growing delay;
a retry timer is set in the stages ABSENT and SERVING only.

A copy that crashes may have been made to, by somebody who tries out what copies have in common,
such as the layout of their memory. What was learned of one template is worth nothing for the next:
it is renewed at once. But a program may crash for other reasons, so a template serves for a tenth
of a second, and for as long as it has taken to start; then the renewal that was due follows.
"""

import enum
import math
import random
from typing import assert_never

from socketd.dataclass import dataclass
from socketd.pool.backoff import BackOff
from socketd.pool.template_memory import TemplateMemory
from socketd.pool.template_messages import (
    Abandon,
    Adopt,
    Arm,
    AskAgain,
    AskForLost,
    Begun,
    Closed,
    ComingDropped,
    CopyCrashed,
    Disarm,
    Discard,
    Dismiss,
    FilesChanged,
    Forget,
    Held,
    Launch,
    Launched,
    LetEnd,
    Look,
    NotLaunched,
    Refused,
    RenewalWanted,
    ReportFailed,
    ReportServing,
    ShortageOver,
    TemplateCommand,
    TemplateEnded,
    TemplateEvent,
    TemplateTimer,
    TimerDue,
)
from socketd.settings.readiness import Readiness, ReadyLevel

_STEADY_SECONDS = 1.0
_FIRST_LOOK_SECONDS = 0.001
_LOOK_GROWTH = 1.25
_LONGEST_LOOK_SECONDS = 0.02
_RENEWAL_JITTER = 0.1
_SETTLE_SECONDS = 0.3  # an installation replaces many files, one after another
_CHANGES_APART_SECONDS = 10.0  # a program may change a file of its own again and again
# For how long a template serves at least, whatever its copies do. Byte by byte it takes several
# hundred connections to learn an address or a canary, and a machine serves some thousand a second.
_LEAST_SECONDS = 0.1


class Stage(enum.Enum):
    """The stage of a service's templates."""

    ABSENT = "absent"
    STARTING = "starting"
    SERVING = "serving"
    RENEWING = "renewing"
    CLOSED = "closed"


class Turn(enum.Enum):
    """What may happen to a stage."""

    BEGIN = "begin"
    HELD = "held"
    FAILED = "failed"
    SERVER_ENDED = "server ended"
    CLOSE = "close"


class ImpossibleTurnError(Exception):
    """An event that the table does not contain: a bug in socketd."""


_TURNS = {
    (Stage.ABSENT, Turn.BEGIN): Stage.STARTING,
    (Stage.STARTING, Turn.HELD): Stage.SERVING,
    (Stage.STARTING, Turn.FAILED): Stage.ABSENT,
    (Stage.SERVING, Turn.BEGIN): Stage.RENEWING,
    (Stage.SERVING, Turn.SERVER_ENDED): Stage.ABSENT,
    (Stage.RENEWING, Turn.HELD): Stage.SERVING,
    (Stage.RENEWING, Turn.FAILED): Stage.SERVING,
    (Stage.RENEWING, Turn.SERVER_ENDED): Stage.STARTING,
    (Stage.CLOSED, Turn.SERVER_ENDED): Stage.CLOSED,
    **{(stage, Turn.CLOSE): Stage.CLOSED for stage in Stage},
}


@dataclass(frozen=True, slots=True)
class _Template:
    pid: int
    level: ReadyLevel
    since_seconds: float
    is_loader: bool = False


class TemplateLife:
    """The templates of one generation of one service."""

    def __init__(
        self, readiness: Readiness, seed: int = 0, memory: TemplateMemory | None = None
    ) -> None:
        self.stage = Stage.ABSENT
        self.trouble: str | None = None
        self.serving: _Template | None = None
        self.coming: _Template | None = None
        self.leaving: frozenset[int] = frozenset()
        self._readiness = readiness
        self._memory = TemplateMemory() if memory is None else memory
        self._back_off = BackOff(seed)
        self._random = random.Random(seed)  # noqa: S311  spreads renewals, guards no secret
        self._levels: list[ReadyLevel] = []
        self._level = readiness.level
        self._reasons: list[str] = []
        self._look_seconds = _FIRST_LOOK_SECONDS
        self._is_retry_set = False
        self._is_short = False
        self._renewal_seconds = math.inf  # the time that the timer is set to
        self._changed_seconds = -math.inf  # of the last renewal for changed files
        self._is_changed = False
        self._failure = ""  # the reason of the last one, if no template has been ready since
        self._least_seconds = 0.0  # no crash renews the serving template before that time

    @property
    def is_gone(self) -> bool:
        """Tell whether no process is left."""
        return self.serving is None and self.coming is None and not self.leaving

    @property
    def level(self) -> ReadyLevel:
        """Return the level of the serving template, or the wanted level while there is none."""
        return self._readiness.level if self.serving is None else self.serving.level

    def handle(self, event: TemplateEvent, now: float) -> list[TemplateCommand]:
        """Return what follows from an event."""
        match event:
            case Begun():
                return self._begin(now)
            case Launched(pid, is_loader):
                return self._on_launched(pid, now, is_loader=is_loader)
            case NotLaunched(reason, is_final, is_short):
                self._is_short = is_short
                return self._on_failed_level(reason, now, is_final=is_final)
            case Held():
                return self._on_held(now)
            case Refused(reason):
                return self._on_refused(reason, now)
            case TemplateEnded(pid, status, words):
                return self._on_ended(pid, status, words, now)
            case TimerDue(timer, overdue):
                return self._on_due(timer, overdue, now)
            case RenewalWanted() | CopyCrashed() | FilesChanged():
                return self._on_renewal_wanted(event, now)
            case ShortageOver():
                return self._use_room(now)
            case ComingDropped():
                return self._on_coming_dropped(now)
            case Closed():
                return self._close()
            case _:
                assert_never(event)

    def _turn(self, turn: Turn) -> None:
        try:
            self.stage = _TURNS[self.stage, turn]
        except KeyError:
            raise ImpossibleTurnError(
                f"the templates cannot take the turn {turn.value!r} while {self.stage.value}"
            ) from None

    def _begin(self, now: float) -> list[TemplateCommand]:
        self._turn(Turn.BEGIN)
        self._levels = list(self._readiness.levels)
        self._reasons = []
        return self._try_next_level(now)

    def _try_next_level(self, now: float) -> list[TemplateCommand]:
        self._level = self._levels.pop(0)
        reason = self._memory.reason(self._level)
        if reason is not None:
            return self._on_failed_level(reason, now)
        # At this level nothing of the program may run before there is a connection.
        return [Launch(self._level, is_loader=self._level is ReadyLevel.LOAD)]

    def _on_launched(self, pid: int, now: float, *, is_loader: bool) -> list[TemplateCommand]:
        self.coming = _Template(pid, self._level, now, is_loader)
        self._is_short = False
        if not self._level.is_held:
            return self._on_held(now)
        limit = Arm(TemplateTimer.LIMIT, now + self._readiness.hold_seconds)
        if is_loader:
            return [limit]
        self._look_seconds = _FIRST_LOOK_SECONDS
        return [limit, *self._look_later(now)]

    def _look_later(self, now: float) -> list[TemplateCommand]:
        due = now + self._look_seconds
        self._look_seconds = min(self._look_seconds * _LOOK_GROWTH, _LONGEST_LOOK_SECONDS)
        return [Arm(TemplateTimer.LOOK, due)]

    def _on_held(self, now: float) -> list[TemplateCommand]:
        assert self.coming is not None
        self._turn(Turn.HELD)
        old, new, self.coming = self.serving, self.coming, None
        self.serving = _Template(new.pid, new.level, now)
        reasons = tuple(dict.fromkeys(self._reasons))
        is_news = self._memory.is_news(new.level, reasons)
        over, self._failure = self._failure or self._regained(reasons), ""
        commands: list[TemplateCommand] = [
            *_STOP_LOOKING,
            Adopt(new.pid),
            ReportServing(new.pid, new.level, reasons, is_news, over),
        ]
        if self._readiness.level.is_held:
            jitter = self._random.uniform(1 - _RENEWAL_JITTER, 1 + _RENEWAL_JITTER)
            self._least_seconds = now + max(_LEAST_SECONDS, now - new.since_seconds)
            commands.append(self._renew_at(now + self._readiness.renew_seconds * jitter))
        if self._is_changed:
            self._is_changed = False
            commands += self._on_files_changed(now)
        if old is None:
            return [*commands, AskAgain()]
        self.leaving |= {old.pid}
        return [*commands, Dismiss(old.pid)]

    def _regained(self, reasons: tuple[str, ...]) -> str:
        """Return why it was at a lower level before, if one was asked for and is reached now."""
        return "" if self._readiness.is_auto else self._memory.regained(reasons)

    def _on_refused(self, reason: str, now: float) -> list[TemplateCommand]:
        self._memory.note(self._level, reason)
        return self._drop_coming() + self._on_failed_level(reason, now)

    def _drop_coming(self) -> list[TemplateCommand]:
        assert self.coming is not None
        pid, self.coming = self.coming.pid, None
        self.leaving |= {pid}
        return [*_STOP_LOOKING, Discard(pid)]

    def _on_failed_level(
        self, reason: str, now: float, *, is_final: bool = False
    ) -> list[TemplateCommand]:
        self._reasons.append(reason)
        if self._levels and not is_final:
            return self._try_next_level(now)
        self._turn(Turn.FAILED)
        if not is_final:
            self.trouble = f"--ready {self._readiness.level.value}!: {reason}"
        return self._retry_later(reason, now)

    def _retry_later(self, reason: str, now: float) -> list[TemplateCommand]:
        delay = self._back_off.fail(now)
        self._is_retry_set = True
        self._failure = reason
        return [
            Arm(TemplateTimer.RETRY, now + delay),
            ReportFailed(reason, delay, self._back_off.step),
        ]

    def _on_ended(self, pid: int, status: int, words: str, now: float) -> list[TemplateCommand]:
        if pid in self.leaving:
            self.leaving -= {pid}
            return [AskForLost()] if self.stage is not Stage.CLOSED else self._abandon_if_gone()
        if self.coming is not None and pid == self.coming.pid:
            is_loader, self.coming = self.coming.is_loader, None
            if is_loader and not words:
                return [*_STOP_LOOKING, Forget(pid), Launch(self._level)]
            if status == 0:  # with another one it may have failed for what is not so tomorrow
                self._memory.note(self._level, words)
            return [*_STOP_LOOKING, Forget(pid), *self._on_failed_level(words, now)]
        assert self.serving is not None
        assert self.serving.pid == pid
        begun, self.serving = self.serving.since_seconds, None
        self._turn(Turn.SERVER_ENDED)
        commands: list[TemplateCommand] = [Disarm(TemplateTimer.RENEW), Forget(pid)]
        if self.stage is Stage.CLOSED:
            return commands + self._abandon_if_gone()
        reason = f"ended with status {status}"
        self.trouble = f"the template {reason}"
        if now - begun > _STEADY_SECONDS:
            self._back_off.succeed(begun)
        if self.stage is Stage.STARTING:
            return commands
        return commands + self._retry_later(reason, now)

    def _on_due(self, timer: TemplateTimer, overdue: str, now: float) -> list[TemplateCommand]:
        match timer:
            case TemplateTimer.LOOK:
                assert self.coming is not None
                return [*self._look_later(now), Look(self.coming.pid)]
            case TemplateTimer.LIMIT:
                limit = self._readiness.hold_seconds
                return self._on_refused(f"it {overdue} within {limit:g} s", now)
            case TemplateTimer.RENEW:
                return self._renew(now)
            case TemplateTimer.RETRY:
                self._is_retry_set = False
                return self._begin(now)
            case _:
                assert_never(timer)

    def _renew(self, now: float) -> list[TemplateCommand]:
        if self.stage is Stage.SERVING and not self._is_retry_set:
            return self._begin(now)
        return []

    def _renew_at(self, due: float) -> TemplateCommand:
        self._renewal_seconds = due
        return Arm(TemplateTimer.RENEW, due)

    def _on_renewal_wanted(
        self, why: RenewalWanted | CopyCrashed | FilesChanged, now: float
    ) -> list[TemplateCommand]:
        """Renew at once; after a crash only what is held, when it has served for long enough."""
        if isinstance(why, RenewalWanted):
            return self._renew(now)
        if isinstance(why, FilesChanged):
            return self._on_files_changed(now)
        if self.stage is not Stage.SERVING or not self.level.is_held:
            return []
        if now >= self._least_seconds:
            return self._renew(now)
        if self._least_seconds < self._renewal_seconds:
            return [self._renew_at(self._least_seconds)]
        return []

    def _on_files_changed(self, now: float) -> list[TemplateCommand]:
        """Renew when all files have been replaced; what is on its way may have read old ones."""
        if self.stage is not Stage.SERVING:
            self._is_changed = self.stage in (Stage.STARTING, Stage.RENEWING)
            return []
        due = max(now + _SETTLE_SECONDS, self._changed_seconds + _CHANGES_APART_SECONDS)
        if due >= self._renewal_seconds:
            return []
        self._changed_seconds = due
        return [self._renew_at(due)]

    def _use_room(self, now: float) -> list[TemplateCommand]:
        """Try again at once what failed for lack of processes or memory."""
        if not (self._is_short and self._is_retry_set):
            return []
        self._is_retry_set = False
        return [Disarm(TemplateTimer.RETRY), *self._begin(now)]

    def _on_coming_dropped(self, now: float) -> list[TemplateCommand]:
        if self.coming is None:
            return []
        commands = self._drop_coming()
        self._turn(Turn.FAILED)
        self._is_retry_set = True
        return [*commands, Arm(TemplateTimer.RETRY, now)]  # in case the re-exec fails

    def _close(self) -> list[TemplateCommand]:
        if self.stage is Stage.CLOSED:
            return []
        self._turn(Turn.CLOSE)
        self._is_retry_set = False
        commands: list[TemplateCommand] = [Disarm(timer) for timer in TemplateTimer]
        if self.coming is not None:
            commands += self._drop_coming()
        if self.serving is not None:
            commands.append(LetEnd(self.serving.pid))
        return commands + self._abandon_if_gone()

    def _abandon_if_gone(self) -> list[TemplateCommand]:
        return [Abandon()] if self.is_gone else []


_STOP_LOOKING = (Disarm(TemplateTimer.LOOK), Disarm(TemplateTimer.LIMIT))
