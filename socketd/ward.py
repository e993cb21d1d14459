"""One listener for good: the service on it, and the next one should that crash.

Owns the barrier: all that the master does for one service happens in here, and an exception that
nobody has foreseen goes no further. Must not know other services, the loop, nor what a service
does.

A service that has crashed is put away. Nobody can tell what of it still works, so it is asked for
little, step by step, and each step may fail: its timers are cancelled, its template ends, workers
that wait are asked to leave, and the busy finish (see socketd/remains.py). The listener stays
bound, clients wait in its queue, and after a delay that grows a fresh service begins on it. One
that has never been ready when the server starts is a failed start instead.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from socketd import log
from socketd.children import Child, Family
from socketd.config import ServiceSettings
from socketd.crew import Crew
from socketd.errors import BugError, SocketdError, SystemFailureError, describe_errno
from socketd.faults import describe, trace
from socketd.listeners import Listener
from socketd.pool.backoff import BackOff
from socketd.reaper import DeadChild
from socketd.remains import Remains
from socketd.service import Service, ServiceState
from socketd.spawner import Spawner
from socketd.wheel import OwnTimers, Timer, Wheel

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
        self._barrier = _Barrier(self._put_away)
        self._timers = OwnTimers(ground.wheel, self._run)
        self._own_timers = OwnTimers(ground.wheel, self._run_own)
        self._back_off = BackOff(seed=os.getpid())
        self._restart: Timer | None = None
        self._remains: list[Remains] = []
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
        if self._remains or self._restart is not None:
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
        left = sum(one.workers for one in self._remains)
        idle, busy, connections = self._ask(lambda service: service.counts, otherwise=(0, 0, 0))
        return idle, busy + left, self._former_connections + connections

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
        service, self._service, self._restart = self._service, None, None
        self._own_timers.cancel_all()
        if service is not None:
            self._step(service.crew.close)

    def begin(self, spawner: Spawner | None) -> None:
        """Bring up the first workers."""
        service = self._service
        with self._barrier:
            if service is not None and spawner is not None:
                service.start(spawner)

    def reload(self, settings: ServiceSettings, spawner: Spawner | None) -> None:
        """Have a new generation of workers made; one that is put away begins at once."""
        self.settings = settings
        self._back_off = BackOff(seed=os.getpid())
        service = self._service
        with self._barrier:
            if service is not None and spawner is not None:
                service.reload(settings, spawner)
        if service is None and self._restart is not None:
            self._own_timers.cancel(self._restart)
            self._begin_again()

    def resume(self, state: ServiceState | None, remains: tuple[int, ...]) -> None:
        """Go on where the ward of another process has stopped; only for a new one."""
        self._was_ready = True
        if remains:
            family = self._ground.found_family(self)
            family.restore({pid: place for place, pid in enumerate(remains)}, ())
            self._keep(family, -1)
        if state is not None:
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
            self._hasten()
        elif self._restart is None:
            self._begin_again()

    def state(self) -> tuple[ServiceState | None, tuple[int, ...]]:
        """Return what `resume` wants to know; there is no state of one that is put away."""
        state = self._ask(lambda service: service.state(), otherwise=None)
        return state, tuple(pid for one in self._remains for pid in one.pids)

    def look(self) -> bool:
        """Read the board, since somebody has rung; tell whether there is `work` to do."""
        service = self._service
        if service is not None and not service.is_finished:
            with self._barrier:
                return service.look()
        return False

    def work(self) -> None:
        """Feed the pool with all that has happened."""
        service = self._service
        if service is not None:
            with self._barrier:
                service.work()

    def look_at(self, pid: int) -> None:
        """Find out who has ended or was stopped, before it is collected."""
        service = self._service
        if service is not None and not service.is_finished:
            with self._barrier:
                service.look_at(pid)
        for one in self._remains:
            self._step(functools.partial(one.look_at, pid))

    def note_stranger(self) -> None:
        """Take note that a child has ended that has come of the service and that nobody knew."""
        service = self._service
        if service is not None and not service.is_finished:
            with self._barrier:
                service.note_stranger()

    def bury(self, child: DeadChild, whose: Child) -> bool:
        """Take note of the end of a child, of the service or of one that has crashed.

        Tell whether a worker has ended that may have made room for another.
        """
        service = self._service
        if service is not None and service.crew.family is whose.family:
            with self._barrier:
                if whose.slot is not None:
                    return service.bury(child, whose.slot)
                service.bury_template(child)
            return False
        for remains in self._remains:
            if remains.family is whose.family:
                self._step(functools.partial(remains.bury, child.pid))
                if remains.is_gone:
                    self._remains.remove(remains)
                    self._ground.forget_family(remains.family)
                return whose.slot is not None
        return False

    def find_room(self, ended: int) -> None:
        """Start whom there was no room for: so many workers of any service have ended."""
        service = self._service
        if service is not None:
            with self._barrier:
                service.find_room(ended)

    def distrust(self, pid: int) -> None:
        """Take note that somebody has stopped a child."""
        for one in self._remains:
            self._step(functools.partial(one.distrust, pid))
        service = self._service
        if service is not None:
            with self._barrier:
                service.distrust(pid)

    def stop(self, reason: str) -> None:
        """Begin to stop, or stop with more haste."""
        self._stop_reason = reason
        service = self._service
        if service is not None and not service.is_finished:
            with self._barrier:
                service.stop(reason)
        elif service is None:
            self._give_up()
        self._hasten()

    def give_up(self) -> None:
        """Let everybody go, without a look at what becomes of them: the master is at its end."""
        self._stop_reason = self._stop_reason or "crash"
        service, self._service = self._service, None
        if service is not None:
            self._clear_away(service)
        self._give_up()

    @property
    def _is_bound(self) -> bool:
        return self.listener.socket.fileno() >= 0

    def _ask(self, question: Callable[[Service], _Answer], otherwise: _Answer) -> _Answer:
        service = self._service
        if service is not None:
            with self._barrier:
                return question(service)
        return otherwise

    def _run(self, action: Callable[[], None]) -> None:
        with self._barrier:
            action()

    def _run_own(self, action: Callable[[], None]) -> None:
        """Do what is left to do for a service that has crashed, which must not crash the next."""
        self._step(action)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Say of whatever the system refuses that it was refused to this service."""
        try:
            yield
        except OSError as error:
            why = describe_errno(error.errno or 0)
            raise SystemFailureError(
                f"cannot start service {self.settings.name!r}: {why}"
            ) from error

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Put a service away that crashes, and say so to the caller by BugError."""
        try:
            yield
        except SocketdError:
            raise
        except Exception as error:
            self._put_away(error)
            raise self._bug(error) from error

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
            self._failure = self._bug(error)
        self._step(lambda: self._report(error, delay))
        if service is not None:
            self._clear_away(service)
        if delay is None:
            self._give_up()
        with contextlib.suppress(OSError):  # a full pipe wakes as well
            os.write(self._ground.doorbell_fd, b"\0")  # what has changed wants a turn

    def _bug(self, error: Exception) -> BugError:
        return BugError(
            f"service {self.settings.name!r} has crashed: {describe(error)}; this is a bug in "
            "socketd: please report it with the traceback in the log"
        )

    def _is_to_go_on(self, service: Service | None) -> bool:
        """Tell whether there is to be a next service on this listener."""
        if self._stop_reason or not self._is_bound or (self._is_first and not self._was_ready):
            return False
        limit = self.settings.pool.connection_limit
        return limit is None or service is None or service.connections < limit

    def _report(self, error: Exception, delay: float | None) -> None:
        log.emit(
            "service_crashed",
            service=self.settings.name,
            listener=str(self.listener),
            reason=describe(error),
            delay_s=None if delay is None else round(delay, 3),
            step=self._back_off.step,
            traceback=trace(error),
        )

    def _clear_away(self, service: Service) -> None:
        """End what can be ended of it; each step may fail and keeps no other from being taken."""
        self._timers.cancel_all()
        self._former_connections += service.connections
        crew, board = service.crew, service.crew.board
        is_asked = self._step(crew.leave_word) & self._step(crew.dismiss_spawners)
        self._step(lambda: self._keep(crew.family, board.fd, is_asked=is_asked))
        self._step(board.close)

    def _keep(self, family: Family, board_fd: int, *, is_asked: bool = True) -> None:
        """Keep those in mind of a family who are left, until the last is gone."""
        name, pool = self.settings.name, self.settings.pool
        remains = Remains(name, family, board_fd, pool, self._own_timers)
        if not is_asked:
            remains.kill_templates()
        if remains.is_gone:
            self._ground.forget_family(family)
            return
        self._remains.append(remains)
        if self._stop_reason:
            remains.stop()

    def _hasten(self) -> None:
        for one in self._remains:
            self._step(one.stop)

    def _give_up(self) -> None:
        """Have no next service, and give up the listener."""
        if self._restart is not None:
            self._own_timers.cancel(self._restart)
            self._restart = None
        if not self._step(self.listener.close):
            self._step(self.listener.socket.close)

    def _restart_later(self) -> float:
        now = self._clock()
        delay = self._back_off.fail(now)
        self._restart = self._own_timers.add(now + delay, self._begin_again)
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
            spawner = service.crew.make_spawner(
                self.settings, self.listener, service.next_generation
            )
        except (SocketdError, OSError) as error:
            self._do_without(error)
            return
        service.reload(self.settings, spawner)

    def _do_without(self, error: SocketdError | OSError) -> None:
        """Try again later, since the system refuses what a fresh service needs."""
        service, self._service = self._service, None
        delay = self._restart_later()
        log.emit(
            "restart_failed",
            service=self.settings.name,
            listener=str(self.listener),
            reason=str(error),
            delay_s=round(delay, 3),
            step=self._back_off.step,
        )
        if service is not None:
            self._clear_away(service)

    def _step(self, step: Callable[[], object]) -> bool:
        """Do one thing that is not to keep others from being done; tell whether it was done."""
        try:
            step()
        except Exception as error:  # noqa: BLE001  nothing may go further
            with contextlib.suppress(Exception):
                log.emit(
                    "put_away_failed",
                    service=self.settings.name,
                    reason=describe(error),
                    traceback=trace(error),
                )
            return False
        return True


class _Barrier:
    """A context that an exception which nobody has foreseen does not leave."""

    __slots__ = ("_take",)

    def __init__(self, take: Callable[[Exception], None]) -> None:
        self._take = take

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._take(error)
        return True
