"""One listener for good: the service on it, and the next one should that crash.

Owns the barrier: all that the master does for one service happens in here, and an exception that
nobody has foreseen goes no further. Must not know other services, the loop, nor what a service
does.

A service that has crashed is put away: its timers are cancelled, its template ends, workers that
wait are asked to leave, and the busy finish; see wreckage.py. The listener stays bound, clients
wait in its queue, and a fresh service begins on it after a delay that grows. One that has never
been ready when the server starts is a failed start instead.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from socketd.config.services import ServiceSettings
from socketd.errors import SocketdError, SystemFailureError, describe_refusal
from socketd.loop.listeners import Listener
from socketd.loop.reaper import DeadChild
from socketd.loop.wheel import OwnTimers, Timer, Wheel
from socketd.master.barrier import Barrier, bug_of, report_crash, report_refusal
from socketd.master.endpoint import Service, ServiceState
from socketd.master.wreckage import Wreckage
from socketd.pool.backoff import BackOff
from socketd.workers.children import Child, Family
from socketd.workers.processes import Crew
from socketd.workers.spawner import Spawner

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Ground:
    """What all services of a master share."""

    wheel: Wheel
    doorbell_fd: int
    found_family: "Callable[[Ward], Family]"
    forget_family: Callable[[Family], None]


class Ward:
    """The services on one listener, one at a time.

    Nothing in here raises anything but SocketdError, and that only where it says so. One that
    `is_first` has failed if it crashes before it was ever ready, and `failure` says so; any other
    is tried again.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        listener: Listener,
        ground: Ground,
        *,
        is_first: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.listener = listener
        self.crashes = 0
        self._ground = ground
        self._is_first = is_first
        self._clock = clock
        self._service: Service | None = None
        self._barrier = Barrier(self._put_away)
        self._timers = OwnTimers(ground.wheel, self._run)
        self._back_off = BackOff(seed=os.getpid())
        self._restart: Timer | None = None
        self._wreckage = Wreckage(settings.name, ground.wheel, ground.forget_family)
        self._was_ready = False
        self._failure: SocketdError | None = None
        self._stop_reason = ""
        self._former_connections = 0

    @property
    def is_ready(self) -> bool:
        """Tell whether the first workers have come up once, whatever was after that."""
        return self._was_ready or (self._service is not None and self._service.is_ready)

    @property
    def is_finished(self) -> bool:
        """Tell whether it is over: nobody works any more, or ever will."""
        if self._restart is not None or not self._wreckage.is_gone:
            return False
        return self._service is None or self._service.is_finished

    @property
    def is_stopping(self) -> bool:
        """Tell whether it is on its way to its end."""
        if self._service is None:
            return bool(self._stop_reason) or self._restart is None
        return self._ask(lambda service: service.is_stopping, otherwise=False)

    @property
    def failure(self) -> SocketdError | None:
        """Tell why it cannot come up for the first time, None as long as it may."""
        if self._failure is None and self._service is not None and self._service.failure:
            return SystemFailureError(f"cannot start workers: {self._service.failure}")
        return self._failure

    @property
    def patience_seconds(self) -> float:
        """Return for how long news of workers may wait; see Service."""
        return self._ask(lambda service: service.patience_seconds, otherwise=0.0)

    @property
    def is_patient_with_ends(self) -> bool:
        """Tell whether the ends of workers may wait; see Service, which keeps it as a value."""
        return self._service is None or self._service.is_patient_with_ends

    @property
    def counts(self) -> tuple[int, int, int]:
        """Return the workers that wait, those at work, and the connections since the start."""
        idle, busy, connections = self._ask(lambda service: service.counts, otherwise=(0, 0, 0))
        return idle, busy + self._wreckage.workers, self._former_connections + connections

    def found(self) -> None:
        """Make the service, which is not started yet. Raises SocketdError, BugError for a crash."""
        with self._telling(), self._naming():
            self._service = self._make_service()

    def prepare(self, settings: ServiceSettings) -> Spawner | None:
        """Make a spawner for `begin` or `reload`; there is none while the service is put away.

        Raises SocketdError, BugError for a crash.
        """
        service = self._service
        if service is None:
            return None
        with self._telling(), self._naming():
            generation = service.next_generation if service.has_begun else 0
            return service.crew.make_spawner(settings, self.listener, generation)

    def discard(self, spawner: Spawner | None) -> None:
        """Take back what `prepare` has made."""
        if spawner is None:
            return
        with self._barrier:
            if self._service is None:
                spawner.close()
            else:
                self._service.crew.discard(spawner)

    def abandon(self) -> None:
        """Take back `found`: nothing was started."""
        self._disarm()
        service, self._service = self._service, None
        if service is not None:
            self._wreckage.step(service.crew.close)

    def begin(self, spawner: Spawner | None) -> None:
        """Bring up the first workers."""
        if spawner is not None:
            self._do(lambda service: service.start(spawner))

    def reload(self, settings: ServiceSettings, spawner: Spawner | None) -> None:
        """Have a new generation of workers made; one that is put away begins at once."""
        self.settings = settings
        self._back_off = BackOff(seed=os.getpid())
        service = self._service
        with self._barrier:
            if service is not None and spawner is not None:
                service.reload(settings, spawner)
        if service is None and self._restart is not None:
            self._disarm()
            self._begin_again()

    def resume(self, state: ServiceState | None, remains: tuple[int, ...]) -> None:
        """Go on where the ward of another process has stopped; only for a new one."""
        self._was_ready = True
        if remains:
            family = self._ground.found_family(self)
            self._wreckage.take_over(family, remains, self.settings.pool)
        if state is not None:
            self._stop_reason = state.stop_reason
            with self._barrier:
                service = self._service = self._make_service(state)
                service.resume(state)

    def renew(self) -> None:
        """Have new workers made after `resume`: those of the other process serve until then."""
        service = self._service
        if service is not None:
            with self._barrier:
                if service.is_listening:
                    self._renew(service)
        elif not self._is_bound:
            self._wreckage.stop()
        elif self._restart is None:
            self._begin_again()

    def state(self) -> tuple[ServiceState | None, tuple[int, ...]]:
        """Return what `resume` wants to know; there is no state of one that is put away."""
        state = self._ask(lambda service: service.state(), otherwise=None)
        return state, self._wreckage.pids

    def look(self) -> bool:
        """Read the board, since somebody has rung; tell whether there is `work` to do."""
        return self._ask(lambda it: not it.is_finished and it.look(), otherwise=False)

    def work(self) -> None:
        """Feed the pool with all that has happened."""
        self._do(lambda service: service.work())

    def look_at(self, pid: int) -> None:
        """Find out who has ended or was stopped, before it is collected."""
        self._do(lambda service: service.look_at(pid))
        self._wreckage.look_at(pid)

    def note_stranger(self) -> None:
        """Take note that a child has ended that has come of the service and that nobody knew."""
        self._do(lambda service: service.note_stranger())

    def on_exit(self, child: DeadChild, whose: Child) -> bool:
        """Take note of the end of a child, of the service or of one that has crashed.

        Tell whether a worker has ended that may have made room for another.
        """
        service = self._service
        if service is not None and service.crew.family is whose.family:
            with self._barrier:
                if whose.slot is not None:
                    return service.on_exit(child, whose.slot)
                service.on_template_exit(child)
            return False
        return self._wreckage.on_exit(child.pid, whose)

    def find_room(self, ended: int) -> None:
        """Start whom there was no room for: so many workers of any service have ended."""
        self._do(lambda service: service.find_room(ended))

    def on_stopped(self, pid: int) -> None:
        """Take note that somebody has stopped a child."""
        self._wreckage.on_stopped(pid)
        self._do(lambda service: service.on_stopped(pid))

    def stop(self, reason: str) -> None:
        """Begin to stop, or stop with more haste."""
        self._stop_reason = reason
        if self._service is None:
            self._give_up()
        self._do(lambda service: service.stop(reason))
        self._wreckage.stop()

    def give_up(self) -> None:
        """Let everybody go, without a look at what becomes of them: the master is at its end."""
        self._stop_reason = self._stop_reason or "crash"
        service, self._service = self._service, None
        if service is not None:
            self._clear_away(service)
        self._give_up()

    @property
    def _is_bound(self) -> bool:
        return self.listener.socket.fileno() >= 0  # nothing of ours, which might crash

    def _do(self, action: Callable[[Service], object]) -> None:
        """Have the service do something, unless it has ended: its board is closed then."""
        service = self._service
        if service is not None and not service.is_finished:
            with self._barrier:
                action(service)

    def _ask(self, question: Callable[[Service], _Answer], otherwise: _Answer) -> _Answer:
        service = self._service
        if service is not None:
            with self._barrier:
                return question(service)
        return otherwise

    def _run(self, action: Callable[[], None]) -> None:
        with self._barrier:
            action()

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Say of whatever the system refuses that it was refused to this service."""
        try:
            yield
        except OSError as error:
            attempt = f"cannot start service {self.settings.name!r}"
            raise SystemFailureError(f"{attempt}: {describe_refusal(error.errno or 0)}") from error

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Put a service away that crashes, and say so to the caller by BugError."""
        try:
            yield
        except SocketdError:
            raise
        except Exception as error:
            self._put_away(error)
            raise bug_of(self.settings.name, error) from error

    def _make_service(self, state: ServiceState | None = None) -> Service:
        ground, settings = self._ground, self.settings
        crew = Crew(
            settings.name,
            settings.pool.maximum,
            ground.doorbell_fd,
            self._timers,
            ground.found_family(self),
            None if state is None else state.crew,
        )
        return Service(settings, self.listener, crew, self._timers)

    def _put_away(self, error: Exception) -> None:
        """Take a service out of action of which nobody can tell what still works."""
        self.crashes += 1
        service, self._service = self._service, None
        if service is not None:
            self._was_ready |= service.is_ready
        delay = None
        if self._is_to_go_on(service):
            delay = self._restart_later()
        elif self._is_first and not self._was_ready:
            self._failure = bug_of(self.settings.name, error)
        place, step = (self.settings.name, self.listener), self._back_off.step
        self._wreckage.step(lambda: report_crash(place, error, delay, step))
        if service is not None:
            self._clear_away(service)
        if delay is None:
            self._give_up()
        with contextlib.suppress(OSError):  # a full pipe wakes as well
            os.write(self._ground.doorbell_fd, b"\0")  # what has changed wants a turn

    def _is_to_go_on(self, service: Service | None) -> bool:
        """Tell whether there is to be a next service on this listener."""
        if self._stop_reason or not self._is_bound or (self._is_first and not self._was_ready):
            return False
        limit = self.settings.pool.connection_limit
        return limit is None or service is None or service.connections < limit

    def _clear_away(self, service: Service) -> None:
        self._timers.cancel_all()
        self._former_connections += service.connections
        is_stopping = bool(self._stop_reason)
        self._wreckage.clear_away(service.crew, self.settings.pool, is_stopping=is_stopping)

    def _give_up(self) -> None:
        """Have no next service, and give up the listener."""
        self._disarm()
        if not self._wreckage.step(self.listener.close):
            self._wreckage.step(self.listener.socket.close)

    def _disarm(self) -> None:
        if self._restart is not None:
            self._ground.wheel.cancel(self._restart)
            self._restart = None

    def _restart_later(self) -> float:
        self._disarm()
        now = self._clock()
        delay = self._back_off.fail(now)
        self._restart = self._ground.wheel.add(now + delay, self._begin_again)
        return delay

    def _begin_again(self) -> None:
        """Begin with a fresh service on the listener."""
        self._restart = None
        with self._barrier:
            try:
                service = self._service = self._make_service()
                service.start(service.crew.make_spawner(self.settings, self.listener, 0))
            except (SocketdError, OSError) as error:
                self._do_without(error)

    def _renew(self, service: Service) -> None:
        try:
            generation = service.next_generation
            spawner = service.crew.make_spawner(self.settings, self.listener, generation)
        except (SocketdError, OSError) as error:
            self._do_without(error)
            return
        service.reload(self.settings, spawner)

    def _do_without(self, error: SocketdError | OSError) -> None:
        """Try again later, since the system refuses what a fresh service needs."""
        service, self._service = self._service, None
        delay = None if self._stop_reason else self._restart_later()
        report_refusal((self.settings.name, self.listener), error, delay, self._back_off.step)
        if service is not None:
            self._clear_away(service)
        if delay is None:
            self._give_up()
