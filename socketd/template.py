"""The native template: a process held still, from which workers are forked.

Owns the templates of a service: which one serves, which one is on its way, which are leaving.
Must not know why a worker is wanted. native/template.c is the other side.

A template clones with CLONE_PARENT, so workers are children of the master and outlive it. A
number that it had been given but had not cloned yet is known by its record, which holds no pid;
those are given to its successor. The pipe holds every number there is, so writing never blocks.

Each start begins at the level that is wanted and goes down to the first that works: what READ or
STOP cannot hold is tried at LOAD, then at FORK, which is our own zygote and always works; RELAY is
that zygote too. A template that serves is left only for one that is ready: first the new one is
held, then the idle copies of the old one are asked to retire and the old one ends.
"""

import array
import contextlib
import errno
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence

from socketd import log
from socketd.board import Board, SlotState, Step
from socketd.children import Family
from socketd.errors import SystemFailureError, describe_errno
from socketd.holding import Hold
from socketd.launch import EXECUTABLE as EXECUTABLE
from socketd.launch import NUMBER, NotHeldError, Template, launch_held, launch_zygote
from socketd.pool.backoff import BackOff
from socketd.privileges import grant
from socketd.reaper import DeadChild
from socketd.spawner import ReadyLevel, WorkerPlan
from socketd.wheel import Timer, Timers
from socketd.worker import RETIRE_SIGNAL

_STEADY_SECONDS = 1.0
_FIRST_LOOK_SECONDS = 0.001
_LOOK_GROWTH = 1.25
_LONGEST_LOOK_SECONDS = 0.02
_RENEWAL_JITTER = 0.1
_FALLBACKS = {
    ReadyLevel.FORK: (ReadyLevel.FORK,),
    ReadyLevel.LOAD: (ReadyLevel.LOAD, ReadyLevel.FORK),
    ReadyLevel.READ: (ReadyLevel.READ, ReadyLevel.LOAD, ReadyLevel.FORK),
    ReadyLevel.STOP: (ReadyLevel.STOP, ReadyLevel.LOAD, ReadyLevel.FORK),
    ReadyLevel.RELAY: (ReadyLevel.RELAY,),
}


def is_built() -> bool:
    """Tell whether the native template was compiled when the package was installed."""
    return os.access(EXECUTABLE, os.X_OK)


class NativeSpawner:
    """Has workers forked by the native template; see Spawner for the promises.

    Raises SystemFailureError if the first template cannot be started, or workers cannot be
    confined as the plan has it.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        board: Board,
        service: str,
        wheel: Timers,
        family: Family,
        clock: Callable[[], float] = time.monotonic,
        executable: str = EXECUTABLE,
    ) -> None:
        self._plan = plan
        self._board = board
        self._service = service
        self._wheel = wheel
        self._family = family
        self._clock = clock
        self._executable = executable
        self._back_off = BackOff(seed=os.getpid())
        self._random = random.Random(os.getpid())  # noqa: S311  no secret
        self._current: Template | None = None
        self._next: Hold | None = None
        self._deadline_seconds = 0.0
        self._look_seconds = _FIRST_LOOK_SECONDS
        self._levels_left: list[ReadyLevel] = []
        self._reasons: list[str] = []
        self._leaving: set[int] = set()
        # Numbers that a leaving template was given, should it die before they are born.
        self._entrusted: set[int] = set()
        self._started_seconds = 0.0
        self._timers: dict[str, Timer] = {}
        self._is_closed = False
        self._is_used = False
        self._trouble: str | None = None
        self._privileges = grant(plan.confinement, plan.program.path)
        try:
            self._begin()
        except OSError as error:
            why = describe_errno(error.errno or 0)
            raise SystemFailureError(f"cannot start {executable!r}: {why}") from error
        except NotHeldError as error:
            raise SystemFailureError(f"--ready {plan.readiness.level.value}!: {error}") from error

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the templates: the one that serves, one on its way, and those that leave."""
        present = [] if self._current is None else [self._current.pid]
        coming = [] if self._next is None else [self._next.template.pid]
        return (*present, *coming, *self._leaving)

    @property
    def is_gone(self) -> bool:
        """Tell whether no process of this spawner's own is left."""
        return self._current is None and self._next is None and not self._leaving

    @property
    def level(self) -> ReadyLevel:
        """Return the level of the template that serves, or that is wanted as long as none does."""
        return self._plan.readiness.level if self._current is None else self._current.level

    @property
    def trouble(self) -> str | None:
        """Tell why no first worker may come: the template's end, or what forbids to hold it."""
        return self._trouble

    def spawn(self, workers: Sequence[int]) -> None:
        """Hand the numbers to the template, or to its successor if there is none now."""
        self._is_used |= bool(workers)
        if self._entrusted:
            self._entrusted.difference_update(workers)
        if self._current is not None and self._current.pipe_fd >= 0 and workers:
            with contextlib.suppress(BrokenPipeError):  # it has died; its end is being reported
                os.write(self._current.pipe_fd, array.array(NUMBER, workers).tobytes())

    def renew(self) -> None:
        """Take a fresh template; the present one serves until that is ready."""
        if self._next is None and "restart" not in self._timers and not self._is_closed:
            self._begin_again()

    def close(self) -> None:
        """Let the template end; what it was not given in time is stillborn."""
        self._is_closed = True
        for name in list(self._timers):
            self._disarm(name)
        if self._next is not None:
            self._drop_next()
        if self._current is not None:
            self._current.close()
        if self.is_gone:
            self._abandon_unborn()

    def give_up_coming(self) -> None:
        """Let no program be on its way to be held: who comes after us could not speak to it."""
        if self._next is not None:
            self._drop_next()
            if not self._is_closed:  # should nobody come after us
                self._arm("restart", self._clock(), self._begin_again)

    def bury(self, child: DeadChild) -> bool:
        """Take note of a template's end; tell whether the child was one."""
        if child.pid in self._leaving:
            self._leaving.discard(child.pid)
            if not self._is_closed and self._entrusted:
                self.spawn(sorted(self._entrusted.intersection(self._unborn())))
        elif self._next is not None and child.pid == self._next.template.pid:
            reason = self._next.last_words(child.status)
            template, self._next = self._next.end(), None
            template.close()
            self._go_down(reason)
        elif self._current is not None and child.pid == self._current.pid:
            self._current.close()
            self._current = None
            if not self._is_closed:
                self._replace(child.status)
        else:
            return False
        if self._is_closed and self.is_gone:
            self._abandon_unborn()
        return True

    def distrust(self, pid: int) -> None:
        """End the template if it is the one that was stopped, unless it has to stop."""
        if self._next is not None and pid == self._next.template.pid:
            try:
                self._next.take_stop()
            except NotHeldError as error:
                self._refuse(str(error))
        elif pid in self._leaving or (self._current is not None and pid == self._current.pid):
            os.kill(pid, signal.SIGKILL)
        elif self._is_expected_to_stop and self._family.slot_of(pid) is not None:
            os.kill(pid, signal.SIGCONT)  # it stops where a template would have been held

    @property
    def _is_expected_to_stop(self) -> bool:
        """Tell whether workers run a program that stops itself, since it could not be held."""
        is_wanted = self._plan.readiness.level is ReadyLevel.STOP
        return is_wanted and not (self._current and self._current.level is ReadyLevel.STOP)

    def _begin(self) -> None:
        """Start a template at the best level that is left. Raises OSError and NotHeldError."""
        readiness = self._plan.readiness
        levels = _FALLBACKS[readiness.level]
        self._levels_left = list(levels[:1] if readiness.is_strict else levels)
        self._reasons = []
        self._try_next_level()

    def _try_next_level(self) -> None:
        while True:
            level = self._levels_left.pop(0)
            try:
                template = self._launch(level)
                self._family.note_template(template.pid)
                if not level.is_held:
                    self._adopt(template)
                    return
                self._next = Hold(template)
            except NotHeldError as error:
                self._reasons.append(str(error))
                if not self._levels_left:
                    raise
                continue
            now = self._clock()
            self._deadline_seconds = now + self._plan.readiness.hold_seconds
            self._look_seconds = _FIRST_LOOK_SECONDS
            self._look_later(now)
            return

    def _launch(self, level: ReadyLevel) -> Template:
        plan, board, privileges = self._plan, self._board, self._privileges
        if level.is_held:
            return launch_held(plan, board, level, privileges)
        return launch_zygote(plan, board, self._executable, privileges, self._service)

    def _look_later(self, now: float) -> None:
        self._arm("look", now + self._look_seconds, self._look)
        self._look_seconds = min(self._look_seconds * _LOOK_GROWTH, _LONGEST_LOOK_SECONDS)

    def _look(self) -> None:
        """See how far the program has got that is to be held."""
        assert self._next is not None  # nothing is armed otherwise
        try:
            if self._next.look():
                template, self._next = self._next.end(), None
                self._adopt(template)
                return
        except NotHeldError as error:
            self._refuse(str(error))
            return
        now = self._clock()
        if now >= self._deadline_seconds:
            limit = self._plan.readiness.hold_seconds
            self._refuse(f"it {self._next.overdue} within {limit:g} s")
            return
        self._look_later(now)

    def _refuse(self, reason: str) -> None:
        """Give up holding the program that is on its way."""
        self._drop_next()
        self._go_down(reason)

    def _drop_next(self) -> None:
        assert self._next is not None
        self._disarm("look")
        template, self._next = self._next.end(), None
        template.close()
        self._leaving.add(template.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(template.pid, signal.SIGKILL)  # with what it has started

    def _go_down(self, reason: str) -> None:
        """Try the next level, since one has failed."""
        self._disarm("look")
        self._reasons.append(reason)
        if self._is_closed:
            return
        if self._levels_left:
            with self._restarting_if_it_fails():
                self._try_next_level()
            return
        self._trouble = f"--ready {self._plan.readiness.level.value}!: {reason}"
        self._restart_later(reason)

    def _adopt(self, template: Template) -> None:
        """Fork workers from this template from now on."""
        old, self._current = self._current, template
        template.settle()
        wanted = self._plan.readiness.level
        if self._reasons:
            log.emit(
                "template_fell_back",
                service=self._service,
                wanted=wanted.value,
                ready=template.level.value,
                reason="; ".join(dict.fromkeys(self._reasons)),
            )
        log.emit(
            "template_started",
            service=self._service,
            pid=template.pid,
            ready=template.level.value,
            descriptors=template.descriptors,
        )
        self._started_seconds = self._clock()
        if wanted.is_held:
            jitter = self._random.uniform(1 - _RENEWAL_JITTER, 1 + _RENEWAL_JITTER)
            age = self._plan.readiness.renew_seconds * jitter
            self._arm("renew", self._started_seconds + age, self.renew)
        if old is None:
            self.spawn(self._unborn())
        else:
            self._dismiss(old)

    def _dismiss(self, old: Template) -> None:
        """Let a template end, and its idle copies: the pool will ask for others."""
        self._entrusted = set(self._unborn())
        self._leaving.add(old.pid)
        old.close()
        for number in self._own(SlotState.STARTING) + self._own(SlotState.IDLE):
            self._board.ask_to_retire(number)
            pid = self._board.pid(number)
            if pid:
                with contextlib.suppress(PermissionError, ProcessLookupError):
                    os.kill(pid, RETIRE_SIGNAL)

    def _replace(self, status: int) -> None:
        """Arrange for a successor of the template that has died."""
        reason = f"ended with status {status}"
        self._trouble = f"the template {reason}"
        if self._clock() - self._started_seconds > _STEADY_SECONDS:
            self._back_off.succeed(self._started_seconds)
        if self._next is None:
            self._restart_later(reason)

    def _restart_later(self, reason: str) -> None:
        now = self._clock()
        delay = self._back_off.fail(now)
        self._arm("restart", now + delay, self._begin_again)
        log.emit(
            "template_failed",
            service=self._service,
            reason=reason,
            delay_s=round(delay, 3),
            step=self._back_off.step,
        )

    def _begin_again(self) -> None:
        with self._restarting_if_it_fails():
            self._begin()

    @contextlib.contextmanager
    def _restarting_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._restart_later(f"cannot start: {describe_errno(error.errno or 0)}")
        except NotHeldError as error:
            self._restart_later(str(error))

    def _arm(self, name: str, due_seconds: float, action: Callable[[], None]) -> None:
        self._disarm(name)

        def expire() -> None:
            del self._timers[name]
            action()

        self._timers[name] = self._wheel.add(due_seconds, expire)

    def _disarm(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            self._wheel.cancel(timer)

    def _unborn(self) -> list[int]:
        """Return the numbers that were asked for, of us, and have no process."""
        if not self._is_used:  # another one of our generation may be: we were only tried
            return []
        return [n for n in self._own(SlotState.STARTING) if not self._board.pid(n)]

    def _own(self, state: SlotState) -> list[int]:
        """Return the numbers of our generation in a state; the board has those of others too."""
        board, generation = self._board, self._plan.generation
        return [n for n in board.find(state) if board.generation(n) == generation]

    def _abandon_unborn(self) -> None:
        for number in self._unborn():
            self._board.write_failure(number, Step.FORK, errno.ECANCELED)
            self._board.set_state(number, SlotState.STILLBORN)
