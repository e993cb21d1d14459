"""The workers of one service as processes: their slots, their process ids, who makes them.

Owns the spawners of a service and what is known of its slots (ledger.py), and has the signals sent.
Must not know the pool, nor why a worker is wanted, retired or ended.

A reload brings another spawner. It lines up as `next` until it can make workers, which may take a
program's whole start; the present one serves until then. The former one is closed and may still
create the workers it was asked for; all of them stand on one board, which is made for the largest
pool there may be: slots that were never used cost no memory.
"""

import contextlib
import functools
import os
import signal
from collections.abc import Callable, Iterable

from socketd.config.fronts import has_favourites
from socketd.config.services import ServiceSettings, WorkerKind
from socketd.dataclass import dataclass, field
from socketd.loop.filewatch import OwnWatches
from socketd.loop.listeners import Listener
from socketd.loop.reaper import DeadChild
from socketd.loop.wheel import Timers
from socketd.operations import log
from socketd.pool.tally import Tally
from socketd.pool.template_memory import TemplateMemory
from socketd.settings.readiness import ReadyLevel
from socketd.settings.table import MOST_WORKERS
from socketd.system.products import NOT_BUILT, is_built
from socketd.workers import kin
from socketd.workers.board import Board
from socketd.workers.children import Family
from socketd.workers.contract import RETIRE_SIGNAL
from socketd.workers.former import FormerSpawner
from socketd.workers.groups import FormerGroup, GroupsOfGenerations
from socketd.workers.ledger import Ledger, Slot
from socketd.workers.python_worker import PythonSpawner
from socketd.workers.spawner import Handing, ServingTemplate, Spawner, WorkerPlan
from socketd.workers.templates import NativeSpawner


@dataclass(frozen=True, slots=True)
class ProcessesState:
    """What is needed to go on where another process has stopped.

    `templates` are the process ids of spawners, of this generation or older. `serving` is the one
    of them, if there is one, that makes workers for the successor until that has its own; the
    others end when they have made what they had been asked for. `sessions` are those of all
    templates and of those before, `uids` the users of the service. `group` is the control group of
    its own, if it has one.
    """

    generation: int
    board_fd: int
    watched: int
    pids: dict[int, int]
    terminated: tuple[int, ...]
    templates: tuple[int, ...]
    sessions: tuple[int, ...] = ()
    uids: tuple[int, ...] = ()
    slots: dict[int, Slot] = field(default_factory=dict)
    serving: ServingTemplate | None = None
    group: FormerGroup | None = None

    @property
    def fds(self) -> list[int]:
        """Return the descriptors that a successor needs."""
        pipe = () if self.serving is None else (self.serving.pipe_fd,)
        return [self.board_fd, *pipe]


class Processes:
    """The processes of one service, from the first to the last."""

    def __init__(
        self,
        service: str,
        most: int,
        doorbell_fd: int,
        wheel: Timers,
        family: Family,
        state: ProcessesState | None = None,
        watches: OwnWatches | None = None,
        handing: Handing | None = None,
    ) -> None:
        self._watches, self.handing = watches, handing
        self.service = service
        self.on_serving: Callable[[], None] = lambda: None
        self.family = family
        self._doorbell_fd = doorbell_fd
        self._wheel = wheel
        # The present one is the last; one that is lined up is also `_next`.
        self._spawners: list[Spawner] = []
        self._next: Spawner | None = None
        self._memory = TemplateMemory()
        self._terminated: set[int] = set()
        self._generation = 0
        self._former: set[int] = set()
        self._former_generation = -1
        self._unborn: list[int] = []
        self.is_distrusted = False
        self.ends_children = False
        self.tally = Tally()
        # Who was nameless at the last sweep, since when, if they had all been asked for.
        self._missed: dict[int, int] = {}
        self.board = Board(MOST_WORKERS, state.board_fd if state is not None else None)
        # Workers of before count those in all of these slots, also at this moment.
        self.board.watch(most if state is None else max(most, state.watched))
        self.ledger = Ledger(self.board, family)
        self.groups = GroupsOfGenerations(None if state is None else state.group)
        if state is not None:
            family.restore(state.pids, state.templates, state.sessions)
            family.uids.update(state.uids)
            self.ledger.restore(state.slots)
            self.is_distrusted = any(slot.is_doubted for slot in state.slots.values())
            self._terminated = set(state.terminated)
            self._former = set(state.templates)
            self._former_generation = self._generation = state.generation
            if state.serving is not None:
                self._spawners = [FormerSpawner(state.serving, self.groups.present)]

    @property
    def is_gone(self) -> bool:
        """Tell whether no process but workers is left."""
        return not self._former and all(spawner.is_gone for spawner in self._spawners)

    @property
    def template_pids(self) -> tuple[int, ...]:
        """Return the processes that make workers or have made some."""
        pids = {pid for spawner in self._spawners for pid in spawner.pids}
        return tuple(pids | self._former)

    @property
    def level(self) -> ReadyLevel | None:
        """Return how far the process has got that workers are forked from; None without a spawner.

        There is none in a service that stops.
        """
        return self._spawners[-1].level if self._spawners else None

    @property
    def trouble(self) -> str | None:
        """Tell why no first worker may come, None as long as one may."""
        return self._spawners[-1].trouble if self._spawners else None

    def make_spawner(
        self, settings: ServiceSettings, listener: Listener, generation: int
    ) -> Spawner:
        """Make a spawner, not yet used. Raises SystemFailureError if its process cannot start."""
        groups = self.groups.begin(generation, settings.confinement)
        handing = self.handing if has_favourites(settings) else None
        doorbell_fd, pid = self._doorbell_fd, os.getpid()
        plan = WorkerPlan(settings, listener.socket, doorbell_fd, pid, generation, groups, handing)
        self.board.watch(max(self.board.watched, settings.pool.room))
        if settings.worker is WorkerKind.PYTHON:
            return PythonSpawner(plan, self.ledger)
        if settings.worker is WorkerKind.NATIVE or is_built():
            return NativeSpawner(
                plan,
                self.ledger,
                settings.name,
                self._wheel,
                memory=self._memory,
                on_serving=lambda: self.on_serving(),
                watches=self._watches,
                tally=self.tally,
            )
        _tell_once_of_missing_parts()
        if settings.readiness.level is not ReadyLevel.FORK:
            log.emit(
                "template_fell_back",
                service=settings.name,
                wanted=settings.readiness.level.value,
                ready=ReadyLevel.FORK.value,
                reason="the native template was not built when socketd was installed",
            )
        return PythonSpawner(plan, self.ledger)

    def employ(self, spawner: Spawner, generation: int) -> None:
        """Have this one make workers from now on, and no other."""
        self.ask_for_unborn()
        self._generation = generation
        former = [one for one in self._spawners if one is not spawner]
        for one in former:
            one.close()
        self._spawners = [*(one for one in former if not one.is_gone), spawner]
        self._next = None

    def line_up(self, spawner: Spawner) -> None:
        """Have this one take its turn when it can make workers, instead of another in line.

        `on_serving` is called when it can.
        """
        self.drop_next()
        former, present = self._spawners[:-1], self._spawners[-1:]
        self._spawners = [spawner, *(one for one in former if not one.is_gone), *present]
        self._next = spawner

    @property
    def due(self) -> Spawner | None:
        """Return the one that is lined up if it can make workers, or the present one cannot."""
        if self._next is None or not self._spawners:
            return None
        is_due = self._next.is_serving or not self._spawners[-1].is_serving
        return self._next if is_due else None

    def drop_next(self) -> None:
        """Take back the one that is lined up."""
        if self._next is not None:
            self._next.close()
            self._next = None

    def discard(self, spawner: Spawner) -> None:
        """Take back a spawner that was never employed."""
        spawner.close()
        self._spawners.insert(0, spawner)

    def dismiss_spawners(self) -> None:
        """Have no more workers made."""
        self._next = None
        for spawner in self._spawners:
            spawner.close()

    def ask_unborn_to_retire(self) -> None:
        """Have workers retire at once that are not forked yet."""
        for number in self.ledger.nameless:
            self.board.ask_to_retire(number)

    def claim(self, workers: Iterable[int], generation: int) -> None:
        """Take slots for workers that are to be asked for."""
        for number in workers:
            self.ledger.claim(number, generation)
            self.groups.prepare(number, generation)
            self._unborn.append(number)

    def ask_for_unborn(self) -> None:
        """Have the claimed workers made."""
        if self._unborn:
            unborn, self._unborn = self._unborn, []
            self._spawners[-1].spawn(unborn)

    def look_at(self, pid: int) -> None:
        """Find out who has ended before it is collected, and end what it leaves behind.

        Their group has no other number as long as they are there, and may be reused afterwards.
        """
        number = self.family.slot_of(pid)
        if number is None:
            self.ledger.name_all()
            number = self.family.slot_of(pid)
        if number is not None:
            self.groups.end(number)
        if number in self._terminated:
            self._terminated.discard(number)
            kin.end(pid)
        elif self.ends_children and number is not None:
            kin.terminate_rest(pid)

    def on_template_exit(self, child: DeadChild) -> bool:
        """Take note of the end of a spawner's process; tell whether it was one."""
        if child.pid in self._former:
            self._former.discard(child.pid)
            for spawner in self._spawners:
                spawner.on_exit(child)
            if not self._former:
                self._abandon_unborn_of_former()
            if self._next is not None and self.due is not None:
                self.on_serving()  # whoever is next in line has nobody to wait for
            return True
        return any(spawner.on_exit(child) for spawner in self._spawners)

    def on_crash(self, number: int) -> None:
        """Take note that a program has crashed with a connection: what it shares is not safe."""
        slot = self.ledger.find(number)
        if slot is not None and slot.generation == self._generation:
            for spawner in self._spawners[-1:]:
                spawner.on_crash()

    def renew_template(self) -> bool:
        """Take a fresh template; tell whether one is on its way, or serves already."""
        return self._next is None and any(spawner.renew() for spawner in self._spawners[-1:])

    def retry_after_shortage(self) -> None:
        """Take note that a process has ended: there may be room for a template that had none."""
        for spawner in (self._next, *self._spawners[-1:]):
            if spawner is not None:
                spawner.retry_after_shortage()

    def on_stopped(self, pid: int) -> None:
        """Take note that a child was stopped."""
        for spawner in self._spawners:
            spawner.on_stopped(pid)

    def distrust(self) -> None:
        """Take note of an impossible claim on the board: there may be unknown workers."""
        self.is_distrusted = True

    def sweep(self) -> tuple[list[int], bool]:
        """Find out who is there after the board has lied, not by what it says.

        Unknown children of this service are killed. Returns the slots that have no worker and will
        get none any more, and whether to sweep again after a while: a worker
        may be on its way.
        """
        self.ledger.name_all()
        self._end_unknown_children()
        makers = [one for one in self._spawners if one is not self._next]
        is_all_asked_for = not self._unborn and all(one.is_caught_up for one in makers)
        lost, missed = [], {}
        for number in self.ledger.nameless:
            slot = self.ledger.find(number)
            assert slot is not None  # it is claimed
            if slot.is_doubted or self._missed.get(number) == slot.claimed_ns:
                lost.append(number)
            elif is_all_asked_for:
                missed[number] = slot.claimed_ns
        self._missed = missed
        return lost, bool(self.ledger.nameless) and len(lost) < len(self.ledger.nameless)

    def close(self) -> None:
        """Forget the service, and kill its unknown children."""
        self._end_unknown_children()
        self.family.disband()
        self.groups.close()
        self.board.close()

    def retire(self, workers: Iterable[int]) -> None:
        """Ask workers to retire; those not forked yet read it in their record."""
        for number in workers:
            self.board.ask_to_retire(number)
            with contextlib.suppress(PermissionError):  # it has become a set-uid program
                kin.send(self.ledger.pid(number), RETIRE_SIGNAL)

    def ask_to_finish(self, workers: Iterable[int]) -> None:
        """Tell workers, by the signal that an idle one retires at and most programs ignore."""
        for number in workers:
            with contextlib.suppress(PermissionError):
                kin.send(self.ledger.pid(number), RETIRE_SIGNAL)

    def terminate(self, workers: Iterable[int]) -> None:
        """Send SIGTERM to the process groups of workers."""
        self._terminated.update(workers)
        self._signal(workers, signal.SIGTERM)

    def kill(self, workers: Iterable[int]) -> None:
        """Send SIGKILL to the process groups of workers, and to all in their control groups."""
        killed = tuple(workers)
        self._signal(killed, signal.SIGKILL)
        for number in killed:
            self.groups.end(number)

    def state(self) -> ProcessesState:
        """Return all that the next version needs to go on with these processes."""
        self.ask_for_unborn()
        for spawner in self._spawners:
            spawner.drop_coming()
        return ProcessesState(
            self._generation,
            self.board.fd,
            self.board.watched,
            dict(self.family.workers),
            tuple(self._terminated),
            self.template_pids,
            self.family.sessions,
            tuple(self.family.uids),
            self.ledger.state(),
            self._spawners[-1].passed_on if self._spawners else None,
            self.groups.passed_on,
        )

    def _abandon_unborn_of_former(self) -> None:
        self.ledger.abandon(self.ledger.unborn(lambda one: one <= self._former_generation))

    def _end_unknown_children(self) -> None:
        """Kill unknown children of this service, if the board has been wrong about some.

        Otherwise they are processes that programs left behind, if this one is their reaper.
        """
        if not self.is_distrusted:
            return
        for pid in kin.children():
            if not self.family.is_known(pid) and self.family.is_of_session(pid):
                kin.end(pid)

    def _signal(self, workers: Iterable[int], number: signal.Signals) -> None:
        for worker in workers:
            self.board.ask_to_retire(worker)
            pid = self.ledger.pid(worker)
            try:
                kin.send_to_group(pid, number)
            except PermissionError:
                log.emit("signal_refused", service=self.service, pid=pid, signal=number.name)


@functools.cache
def _tell_once_of_missing_parts() -> None:
    log.emit("native_worker_missing", reason=NOT_BUILT)
