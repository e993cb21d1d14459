"""The native template: a process held still, from which workers are forked.

Owns the processes of a service's templates, and carries out what their life commands
(socketd/pool/template_life.py). Must not know why a worker is wanted, nor when a template is
renewed or given up. native/template.c is the other side.

A template clones with CLONE_PARENT, so workers are children of the master and outlive it. A
number that it had been given but had not cloned yet is known by its record, which holds no pid;
those are given to its successor. The pipe holds every number there is, so writing never blocks.
"""

import contextlib
import functools
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import assert_never

from socketd.errors import SystemFailureError, describe_refusal, is_shortage
from socketd.loop.filewatch import OwnWatches
from socketd.loop.reaper import DeadChild
from socketd.loop.wheel import Timer, Timers
from socketd.pool.tally import Tally
from socketd.pool.template_life import Stage, TemplateLife
from socketd.pool.template_memory import TemplateMemory
from socketd.pool.template_messages import (
    BEGINNINGS,
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
from socketd.programs.fingerprint import fingerprint, mark_of
from socketd.programs.hold_script import read_by_hold
from socketd.programs.loadable import loader_lists
from socketd.programs.privileges import grant, user_of
from socketd.settings.readiness import ReadyLevel
from socketd.system.products import ZYGOTE
from socketd.workers import kin
from socketd.workers.contract import RETIRE_SIGNAL
from socketd.workers.freshness import Freshness
from socketd.workers.holding import Hold
from socketd.workers.launch import NotHeldError, Template, launch_held, launch_zygote
from socketd.workers.layout import SlotState
from socketd.workers.ledger import Ledger
from socketd.workers.listing import Listing, launch_listing
from socketd.workers.spawner import ServingTemplate, WorkerPlan
from socketd.workers.template_reports import report_failed, report_serving


class NativeSpawner:
    """Has workers forked by the native template; see Spawner for the promises.

    `on_serving` is called each time a template begins to serve after there was none. With `watches`
    a template is renewed when what it was made from has changed. Raises SystemFailureError if the
    first template cannot be started, or workers cannot be confined as the plan has it.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        ledger: Ledger,
        service: str,
        wheel: Timers,
        clock: Callable[[], float] = time.monotonic,
        executable: str = ZYGOTE,
        memory: TemplateMemory | None = None,
        on_serving: Callable[[], None] = lambda: None,
        watches: OwnWatches | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._plan = plan
        self._tally = tally or Tally()
        self._freshness = Freshness(plan.settings, watches, self._on_files_changed)
        self._on_serving = on_serving
        self._memory = TemplateMemory() if memory is None else memory
        self._ledger = ledger
        self._board = ledger.board
        self._service = service
        self._wheel = wheel
        self._clock = clock
        self._executable = executable
        self._life = TemplateLife(plan.settings.readiness, os.getpid(), self._memory)
        self._templates: dict[int, Template] = {}
        self._hold: Hold | Listing | None = None
        # Numbers that a leaving template was given, should it die before they are born.
        self._assigned: set[int] = set()
        self._timers: dict[TemplateTimer, Timer] = {}
        self._is_used = False
        self._refusal: SystemFailureError | None = None
        program = plan.settings.program
        self._privileges = grant(plan.settings.confinement, program.path, *read_by_hold(program))
        ledger.family.uids.add(user_of(self._privileges))
        self._feed(Begun())
        self._refuse_if_absent()

    def _refuse_if_absent(self) -> None:
        """Raise why no template could be started; there is nothing to be undone."""
        if self._life.stage is Stage.ABSENT:
            self._feed(Closed())
            raise self._refusal or SystemFailureError(self._life.trouble or "cannot start")

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the templates: the one that serves, one on its way, and those that leave."""
        present = [one.pid for one in (self._life.serving, self._life.coming) if one is not None]
        return (*present, *self._life.leaving)

    @property
    def passed_on(self) -> ServingTemplate | None:
        """Return the template that serves, unless no more workers are wanted of it."""
        serving = self._life.serving
        pipe_fd = -1 if serving is None else self._templates[serving.pid].pipe_fd
        if serving is None or pipe_fd < 0:
            return None
        has_groups = self._templates[serving.pid].groups is not None
        return ServingTemplate(serving.pid, pipe_fd, serving.level, has_groups)

    @property
    def is_caught_up(self) -> bool:
        """Tell whether there is a template, no other, and it has read what it was given."""
        serving = self._life.serving
        if serving is None or self._life.leaving or self._templates[serving.pid].pipe_fd < 0:
            return self.is_gone
        return self._templates[serving.pid].has_read_all

    @property
    def is_serving(self) -> bool:
        """Tell whether there is a template to fork from."""
        return self._life.serving is not None

    @property
    def is_gone(self) -> bool:
        """Tell whether no process of this spawner's own is left."""
        return self._life.is_gone

    @property
    def level(self) -> ReadyLevel:
        """Return the level of the template that serves, or that is wanted as long as none does."""
        return self._life.level

    @property
    def trouble(self) -> str | None:
        """Tell why no first worker may come: the template's end, or what forbids to hold it."""
        return self._life.trouble

    def spawn(self, workers: Sequence[int]) -> None:
        """Hand the numbers to the template, or to its successor if there is none now."""
        self._is_used |= bool(workers)
        if self._assigned:
            self._assigned.difference_update(workers)
        serving = self._life.serving
        if serving is None or not workers:
            return
        template = self._templates[serving.pid]
        if template.pipe_fd >= 0:
            with contextlib.suppress(BrokenPipeError):  # it has died; its end is being reported
                if not template.ask_for(workers):
                    kin.end(serving.pid)  # it does not read

    def renew(self) -> bool:
        """Take a fresh template; the present one serves until that is ready."""
        begun, was_serving = self._tally.templates_begun, self._life.stage is Stage.SERVING
        self._feed(RenewalWanted())
        is_done = self._tally.templates_begun > begun
        return was_serving and (is_done or self._life.stage is not Stage.SERVING)

    def close(self) -> None:
        """Let the template end; what it was not given in time is stillborn."""
        self._freshness.forget()
        self._feed(Closed())

    def drop_coming(self) -> None:
        """End a program that is on its way to be held: the next version could not talk to it."""
        self._feed(ComingDropped())

    def on_exit(self, child: DeadChild) -> bool:
        """Take note of a template's end; tell whether the child was one."""
        if child.pid not in self.pids:
            return False
        words = ""
        if self._hold is not None and self._hold.template.pid == child.pid:
            words = self._hold.last_words(child.status)
        self._feed(TemplateEnded(child.pid, child.status, words))
        return True

    def on_crash(self) -> None:
        """Take a fresh template, unless the present one is too new."""
        self._feed(CopyCrashed())

    def retry_after_shortage(self) -> None:
        """Start the template at once that the machine had no room for."""
        self._feed(ShortageOver())

    def on_stopped(self, pid: int) -> None:
        """End the template if it is the one that was stopped, unless it has to stop."""
        if self._hold is not None and pid == self._hold.template.pid:
            try:
                self._hold.take_stop()
            except NotHeldError as error:
                self._feed(Refused(str(error)))
        elif pid in self.pids:
            kin.end(pid)
        elif self._is_expected_to_stop and self._ledger.family.slot_of(pid) is not None:
            with contextlib.suppress(PermissionError):
                kin.send(pid, signal.SIGCONT)  # it stops where a template would have been held

    @property
    def _is_expected_to_stop(self) -> bool:
        """Tell whether workers run a program that stops itself, since it could not be held."""
        is_wanted = self._plan.settings.readiness.level is ReadyLevel.STOP
        serving = self._life.serving
        return is_wanted and not (serving is not None and serving.level is ReadyLevel.STOP)

    def _feed(self, event: TemplateEvent) -> None:
        if self._life.coming is None and isinstance(event, BEGINNINGS):
            self._meet_program()
        was_serving = self.is_serving
        for command in self._life.handle(event, self._clock()):
            self._carry_out(command)
        if self.is_serving and not was_serving:
            self._on_serving()

    def _on_files_changed(self) -> None:
        self._feed(FilesChanged())

    def _meet_program(self) -> None:
        """Have forgotten what is known of a program that has changed since."""
        settings = self._plan.settings
        if settings.readiness.level.is_held:
            directory = settings.confinement.directory or os.curdir
            files = fingerprint(settings.program, directory, settings.environment)
            how = (settings.confinement, settings.readiness, settings.stderr, settings.front)
            request = mark_of(settings.readiness.warm_up or "")
            self._memory.meet((settings.program, settings.environment, how, files, request))

    def _carry_out(self, command: TemplateCommand) -> None:
        match command:
            case Launch():
                self._launch(command)
            case Look():
                self._look()
            case Adopt(pid):
                self._hold = None
                self._templates[pid].settle()
                self._freshness.watch(self._templates[pid])
            case Dismiss(pid):
                self._dismiss(pid)
            case Discard(pid):
                self._discard(pid)
            case Forget(pid):
                self._let_go(pid)
            case LetEnd(pid):
                self._templates[pid].close()
            case Arm() | Disarm():
                self._set(command)
            case AskAgain() | AskForLost() | Abandon():
                self._care_for_unborn(command)
            case ReportServing(pid, _, reasons):
                self._tally.begin_template(pid, "; ".join(reasons), self._clock())
                report_serving(self._plan, self._templates[pid], command)
            case ReportFailed():
                self._tally.templates_failed += 1
                report_failed(self._plan, command)
            case _:
                assert_never(command)

    def _launch(self, command: Launch) -> None:
        """Start a process at a level, or the loader that is asked first; say what came of it."""
        settings = self._plan.settings
        # One that cannot be asked is trusted by who wants the level, and by nobody else.
        is_loader = command.is_loader and (settings.readiness.is_auto or loader_lists())
        try:
            template = self._start(command.level, is_loader=is_loader)
        except OSError as error:
            number = error.errno or 0
            why = describe_refusal(number)
            self._refusal = SystemFailureError(f"cannot start {self._executable!r}: {why}")
            if is_shortage(number):
                self._ledger.family.note_shortage()
            self._feed(
                NotLaunched(f"cannot start: {why}", is_final=True, is_short=is_shortage(number))
            )
            return
        except NotHeldError as error:
            wanted = settings.readiness.level.value
            self._refusal = SystemFailureError(f"--ready {wanted}!: {error}")
            self._feed(NotLaunched(str(error)))
            return
        self._ledger.family.note_template(template.pid)
        self._templates[template.pid] = template
        self._hold = None
        if is_loader:
            self._hold = Listing(template)
        elif template.level.is_held:
            self._hold = Hold(template, settings)
        self._feed(Launched(template.pid, is_loader))

    def _start(self, level: ReadyLevel, *, is_loader: bool) -> Template:
        plan, board, privileges = self._plan, self._board, self._privileges
        if is_loader:
            return launch_listing(plan, privileges)
        if level.is_held:
            return launch_held(plan, board, level, privileges)
        return launch_zygote(plan, board, self._executable, privileges, self._service)

    def _look(self) -> None:
        """See how far the program has got that is to be held."""
        assert self._hold is not None  # nothing is armed otherwise
        try:
            is_held = self._hold.look()
        except NotHeldError as error:
            self._feed(Refused(str(error)))
            return
        if is_held:
            self._hold.end()
            self._feed(Held())

    def _dismiss(self, pid: int) -> None:
        """Let a template end, and its idle copies: the pool will ask for others."""
        self._assigned = set(self._unborn())
        self._templates.pop(pid).close()
        for number in self._ledger.waiting(self._plan.generation):
            self._board.ask_to_retire(number)
            if self._board.state(number) != SlotState.ACCEPTED:  # it would hear of it as a program
                self._ask_to_leave(number)
        front = self._plan.settings.front
        if front is not None and front.keep_seconds is not None:
            # A kept connection would be served by copies of this template for ever.
            for number in self._ledger.busy():
                self._ask_to_leave(number)

    def _ask_to_leave(self, number: int) -> None:
        with contextlib.suppress(PermissionError):
            kin.send(self._ledger.pid(number), RETIRE_SIGNAL)

    def _discard(self, pid: int) -> None:
        """Give up holding a program, and end it with what it has started."""
        self._let_go(pid)
        kin.end(pid)

    def _let_go(self, pid: int) -> None:
        """Close whatever we have of a template."""
        if self._hold is not None and self._hold.template.pid == pid:
            self._hold.end()
            self._hold = None
        self._templates.pop(pid).close()

    def _care_for_unborn(self, command: AskAgain | AskForLost | Abandon) -> None:
        match command:
            case AskAgain():
                self.spawn(self._unborn())
            case AskForLost():
                self.spawn(sorted(self._assigned.intersection(self._unborn())))
            case Abandon():
                self._abandon_unborn()

    def _set(self, command: Arm | Disarm) -> None:
        """Set a timer, or stop it."""
        timer = command.timer
        pending = self._timers.pop(timer, None)
        if pending is not None:
            self._wheel.cancel(pending)
        if isinstance(command, Arm):
            expire = functools.partial(self._expire, timer)
            self._timers[timer] = self._wheel.add(command.due_seconds, expire)

    def _expire(self, timer: TemplateTimer) -> None:
        del self._timers[timer]
        overdue = "" if self._hold is None else self._hold.overdue
        self._feed(TimerDue(timer, overdue))

    def _unborn(self) -> list[int]:
        """Return the numbers that were asked for, of us, and have no process."""
        if not self._is_used:  # another one of our generation may be: we were only tried
            return []
        return self._ledger.unborn(lambda generation: generation == self._plan.generation)

    def _abandon_unborn(self) -> None:
        self._ledger.abandon(self._unborn())
