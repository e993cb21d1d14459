"""The workers of one service as processes: their slots, their process ids, who makes them.

Owns the board and the spawners of a service, and sends the signals. Must not know the pool, nor
why anybody is wanted, let go or ended.

A reload brings another spawner. The former one is closed and may still bring forth what it had
been given; all of them stand on one board, which is made for the largest pool there may be: slots
that nobody has used cost no memory.
"""

import contextlib
import errno
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass

from socketd import log
from socketd.board import Board, SlotState, Step
from socketd.children import Family
from socketd.config import ServiceSettings, WorkerKind
from socketd.listeners import Listener
from socketd.products import is_built
from socketd.readiness import ReadyLevel
from socketd.reaper import DeadChild
from socketd.settings.table import MOST_WORKERS
from socketd.spawner import Spawner, WorkerPlan
from socketd.template import NativeSpawner
from socketd.wheel import Timers
from socketd.worker import RETIRE_SIGNAL, PythonSpawner


@dataclass(frozen=True, slots=True)
class CrewState:
    """What a crew must be told to go on where another has stopped.

    `templates` are the process ids of spawners, of this generation or older, that the successor
    cannot talk to; they end when they have made what they had been asked for.
    """

    generation: int
    board_fd: int
    watched: int
    pids: dict[int, int]
    terminated: tuple[int, ...]
    templates: tuple[int, ...]


class Crew:
    """The processes of one service, from the first to the last."""

    def __init__(
        self,
        service: str,
        most: int,
        doorbell_fd: int,
        wheel: Timers,
        family: Family,
        state: CrewState | None = None,
    ) -> None:
        self.service = service
        self.family = family
        self._doorbell_fd = doorbell_fd
        self._wheel = wheel
        self._spawners: list[Spawner] = []
        self._terminated: set[int] = set()
        self._generation = 0
        self._former: set[int] = set()
        self._former_generation = -1
        self._unborn: list[int] = []
        self.board = Board(MOST_WORKERS, state.board_fd if state is not None else None)
        self.board.watch(most)
        if state is not None:
            self.board.watch(max(most, state.watched))
            family.restore(state.pids, state.templates)
            self._terminated = set(state.terminated)
            self._former = set(state.templates)
            self._former_generation = self._generation = state.generation

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
    def has_unborn(self) -> bool:
        """Tell whether workers have been claimed and not been asked for."""
        return bool(self._unborn)

    @property
    def level(self) -> ReadyLevel:
        """Return how far the process has got that workers are forked from now."""
        return self._spawners[-1].level

    @property
    def trouble(self) -> str | None:
        """Tell why no first worker may come, None as long as one may."""
        return self._spawners[-1].trouble if self._spawners else None

    def make_spawner(
        self, settings: ServiceSettings, listener: Listener, generation: int
    ) -> Spawner:
        """Make a spawner, not yet used. Raises SystemFailureError if its process cannot start."""
        plan = WorkerPlan(settings, listener.socket, self._doorbell_fd, os.getpid(), generation)
        most = max(self.board.watched, settings.pool.maximum)
        self.board.watch(most)
        if settings.worker is WorkerKind.PYTHON:
            return PythonSpawner(plan, self.board, self.family)
        if settings.worker is WorkerKind.NATIVE or is_built():
            return NativeSpawner(plan, self.board, settings.name, self._wheel, self.family)
        log.emit("native_worker_missing", service=settings.name)
        if settings.readiness.level is not ReadyLevel.FORK:
            log.emit(
                "template_fell_back",
                service=settings.name,
                wanted=settings.readiness.level.value,
                ready=ReadyLevel.FORK.value,
                reason="the native template was not built when socketd was installed",
            )
        return PythonSpawner(plan, self.board, self.family)

    def employ(self, spawner: Spawner, generation: int) -> None:
        """Have this one make workers from now on, and no other."""
        self.ask_for_unborn()
        self._generation = generation
        self.dismiss_spawners()
        self._spawners = [one for one in self._spawners if not one.is_gone]
        self._spawners.append(spawner)

    def discard(self, spawner: Spawner) -> None:
        """Take back a spawner that was never employed."""
        spawner.close()
        self._spawners.insert(0, spawner)

    def dismiss_spawners(self) -> None:
        """Have nobody make workers any more."""
        for spawner in self._spawners:
            spawner.close()

    def leave_word(self) -> None:
        """Have those leave at once who are not born yet."""
        for number in self.board.find(SlotState.STARTING):
            self.board.ask_to_retire(number)

    def claim(self, workers: Iterable[int], generation: int) -> None:
        """Take slots for workers that are to be asked for."""
        for number in workers:
            self.board.claim(number, generation)
            self._unborn.append(number)

    def ask_for_unborn(self) -> None:
        """Have the claimed workers made."""
        if self._unborn:
            unborn, self._unborn = self._unborn, []
            self._spawners[-1].spawn(unborn)

    def note(self, number: int) -> int:
        """Keep a worker's process id in mind, and return it."""
        pid = self.board.pid(number)
        self.family.note_worker(pid, number)
        return pid

    def note_all(self) -> None:
        """Keep all in mind of whom nobody has told us: a worker rings when it accepts."""
        for state in (SlotState.STARTING, SlotState.IDLE, SlotState.ACCEPTED):
            for number in self.board.find(state):
                if self.board.pid(number):
                    self.note(number)

    def bury(self, pid: int, number: int) -> None:
        """End what a worker has left behind after a termination."""
        if number in self._terminated:
            self._terminated.discard(number)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def bury_template(self, child: DeadChild) -> bool:
        """Take note of the end of a spawner's process; tell whether it was one."""
        if child.pid in self._former:
            self._former.discard(child.pid)
            if not self._former:
                self._abandon_unborn_of_former()
            return True
        return any(spawner.bury(child) for spawner in self._spawners)

    def find_room(self) -> None:
        """Take note that a process has ended: there may be room for a template that had none."""
        if self._spawners:
            self._spawners[-1].find_room()

    def distrust(self, pid: int) -> None:
        """Take note that somebody has stopped a child."""
        for spawner in self._spawners:
            spawner.distrust(pid)

    def retire(self, workers: Iterable[int]) -> None:
        """Ask workers to leave, those that are not born yet in writing."""
        for number in workers:
            self.board.ask_to_retire(number)
            if self.board.pid(number):
                with contextlib.suppress(PermissionError):  # it has become a set-uid program
                    os.kill(self.note(number), RETIRE_SIGNAL)

    def ask_to_finish(self, workers: Iterable[int]) -> None:
        """Tell workers, by the signal that an idle one retires at and most programs ignore."""
        for number in workers:
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.kill(self.board.pid(number), RETIRE_SIGNAL)

    def terminate(self, workers: Iterable[int]) -> None:
        """Send SIGTERM to the process groups of workers."""
        self._terminated.update(workers)
        self._signal(workers, signal.SIGTERM)

    def kill(self, workers: Iterable[int]) -> None:
        """Send SIGKILL to the process groups of workers."""
        self._signal(workers, signal.SIGKILL)

    def state(self) -> CrewState:
        """Return all that a successor wants to know; it takes over when nobody is left here."""
        self.ask_for_unborn()
        for spawner in self._spawners:
            spawner.give_up_coming()
        return CrewState(
            self._generation,
            self.board.fd,
            self.board.watched,
            dict(self.family.workers),
            tuple(self._terminated),
            self.template_pids,
        )

    def _abandon_unborn_of_former(self) -> None:
        board = self.board
        for number in board.find(SlotState.STARTING):
            if not board.pid(number) and board.generation(number) <= self._former_generation:
                board.write_failure(number, Step.FORK, errno.ECANCELED)
                board.set_state(number, SlotState.STILLBORN)

    def _signal(self, workers: Iterable[int], number: signal.Signals) -> None:
        for worker in workers:
            self.board.ask_to_retire(worker)
            pid = self.board.pid(worker)
            if not pid:
                continue
            try:
                try:
                    os.killpg(pid, number)
                except ProcessLookupError:
                    os.kill(pid, number)  # born an instant ago, not yet the leader of its group
            except PermissionError:
                log.emit("signal_refused", service=self.service, pid=pid, signal=number.name)
