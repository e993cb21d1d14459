"""One listener for good: the endpoint on it, and the next one should that crash.

Owns what is done about a crash: all that the master does for one endpoint happens in here, and an
unforeseen exception goes no further. Must not know other endpoints, the loop, nor what an endpoint
does.

An endpoint that has crashed is put away: its timers are cancelled, its template is killed, workers
that wait are asked to leave, and the busy finish; see wreckage.py. The listener stays bound,
clients wait in its queue, and a fresh endpoint begins on it after a delay that grows. One that has
never been ready when the server starts is a failed start instead.
"""

import contextlib
import os
import time
from collections.abc import Callable

from socketd.config.services import ServiceSettings
from socketd.dataclass import replace
from socketd.errors import SocketdError, SystemFailureError
from socketd.loop.filewatch import OwnWatches
from socketd.loop.listeners import Listener
from socketd.loop.reaper import DeadChild
from socketd.loop.wheel import OwnTimers
from socketd.master.barrier import bug_of, report_crash, report_refusal
from socketd.master.behind import Behind
from socketd.master.endpoint import Endpoint
from socketd.master.override import NO_OVERRIDE, Override
from socketd.master.restart import Restart
from socketd.master.shared import Shared
from socketd.master.state import EndpointState
from socketd.master.statistics import Statistics
from socketd.master.wreckage import Wreckage
from socketd.pool.allotment import Share
from socketd.pool.leftovers import Household
from socketd.pool.tally import Tally
from socketd.workers.children import Child
from socketd.workers.households import household_of
from socketd.workers.processes import Processes
from socketd.workers.spawner import Handing, Spawner


class GuardedEndpoint(Behind):
    """The endpoints on one listener, one at a time.

    Nothing in here raises anything but SocketdError, and that only where it says so. One that
    `is_first` has failed if it crashes before it was ever ready, and `failure` says so; any other
    is tried again.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        listener: Listener,
        shared: Shared,
        *,
        is_first: bool = False,
        clock: Callable[[], float] = time.monotonic,
        tally: Tally | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.tally = tally or Tally()
        self.override = NO_OVERRIDE
        self.listener = listener
        self.crashes = 0
        self._shared = shared
        self._is_first = is_first
        self._clock = clock
        self._timers = OwnTimers(shared.wheel, self._run)
        self._watches = OwnWatches(shared.files, self._run)
        self._restart = Restart(shared.wheel, clock, self._begin_again)
        self._wreckage = Wreckage(settings.name, shared.wheel, shared.forget_family)
        self._was_ready = False
        self._failure: SocketdError | None = None
        self._stop_reason = ""
        self._former_connections = 0

    @property
    def is_ready(self) -> bool:
        """Tell whether the first workers have come up once, whatever was after that."""
        return self._was_ready or (self._endpoint is not None and self._endpoint.is_ready)

    @property
    def is_finished(self) -> bool:
        """Tell whether it is over: no worker is left, and none will be made."""
        if self._restart.is_pending or not self._wreckage.is_gone:
            return False
        return self._endpoint is None or self._endpoint.is_finished

    @property
    def restart_due_seconds(self) -> float | None:
        """Return when it begins again after a crash, None if it is not put away."""
        return self._restart.due_seconds

    @property
    def is_stopping(self) -> bool:
        """Tell whether it is on its way to its end."""
        if self._endpoint is None:
            return bool(self._stop_reason) or not self._restart.is_pending
        return self.ask(lambda endpoint: endpoint.is_stopping, otherwise=False)

    @property
    def failure(self) -> SocketdError | None:
        """Tell why it cannot come up for the first time, None as long as it may."""
        if self._failure is None and self._endpoint is not None and self._endpoint.failure:
            return SystemFailureError(f"cannot start workers: {self._endpoint.failure}")
        return self._failure

    def hold_back(self) -> float:
        """Return for how long news of workers may be held back; see Endpoint."""
        return self.ask(lambda endpoint: endpoint.hold_back(), otherwise=0.0)

    @property
    def is_urgent(self) -> bool:
        """Tell whether that is over before its time; see Endpoint."""
        return self.ask(lambda it: not it.is_finished and it.is_urgent, otherwise=False)

    @property
    def may_hold_back_ends(self) -> bool:
        """Tell whether the ends of workers may wait; see Endpoint, which keeps it as a value."""
        return self._endpoint is None or self._endpoint.may_hold_back_ends

    @property
    def statistics(self) -> Statistics:
        """Return the numbers of all endpoints on this listener together, as they are now."""
        nothing = Statistics.of_nobody(self.settings, str(self.listener))
        now = self.ask(lambda endpoint: endpoint.statistics, otherwise=nothing)
        return replace(
            now,
            busy=now.busy + self._wreckage.workers,
            connections=now.connections + self._former_connections,
            is_ready=self.is_ready,
            is_stopping=self.is_stopping,
            crashes=self.crashes,
        )

    def household(self, number: int) -> Household:
        """Return what may have started a process; the workers of a crash may at any time."""
        nobody = Household(number, frozenset(), self.settings.ends_children, ())
        now = self.ask(lambda one: household_of(one.processes, one.settings, number), nobody)
        return replace(now, since=now.since + (0.0,) * self._wreckage.workers)

    @property
    def in_force(self) -> ServiceSettings:
        """Return the settings, with what somebody has set for now in place of the file's."""
        if self.override == NO_OVERRIDE:
            return self.settings
        return replace(self.settings, pool=self.override.apply(self.settings.pool))

    def set_for_now(self, override: Override) -> None:
        """Have other sizes until the next reload."""
        self.override = override
        self.do(lambda endpoint: endpoint.resize(self.in_force))

    def create(self) -> None:
        """Make the service, which is not started yet. Raises SocketdError, BugError for a crash."""
        with self._telling(self.settings.name):
            self._endpoint = self._make_endpoint()

    def prepare(self, settings: ServiceSettings) -> Spawner | None:
        """Make a spawner for `begin` or `reload`; there is none while the service is put away.

        Raises SocketdError, BugError for a crash.
        """
        endpoint = self._endpoint
        if endpoint is None:
            return None
        with self._telling(self.settings.name):
            generation = endpoint.next_generation if endpoint.has_begun else 0
            return endpoint.processes.make_spawner(settings, self.listener, generation)

    def discard(self, spawner: Spawner | None) -> None:
        """Take back what `prepare` has made."""
        if spawner is None:
            return
        with self._barrier:
            if self._endpoint is None:
                spawner.close()
            else:
                self._endpoint.processes.discard(spawner)

    def abandon(self) -> None:
        """Take back `create`: nothing was started."""
        self._restart.cancel()
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            self._wreckage.step(endpoint.processes.close)

    def begin(self, spawner: Spawner | None) -> None:
        """Bring up the first workers."""
        if spawner is not None:
            self.do(lambda endpoint: endpoint.start(spawner))

    def reload(self, settings: ServiceSettings, spawner: Spawner | None) -> None:
        """Have a new generation of workers made; one that is put away begins at once."""
        self.note_change()
        self.settings = settings
        self.override = NO_OVERRIDE
        self._restart.forget_failures()
        endpoint = self._endpoint
        with self._barrier:
            if endpoint is not None and spawner is not None:
                endpoint.reload(settings, spawner)
        if endpoint is None and self._restart.is_pending:
            self._restart.cancel()
            self._begin_again()

    def resume(self, state: EndpointState | None, remains: tuple[int, ...]) -> None:
        """Go on where that of another process has stopped; only for a new one."""
        self._was_ready = True
        if remains:
            family = self._shared.add_family(self)
            self._wreckage.take_over(family, remains, self.settings.pool)
        if state is not None:
            self._stop_reason = state.stop_reason
            with self._barrier:
                endpoint = self._endpoint = self._make_endpoint(state)
                endpoint.resume(state)

    def renew(self) -> None:
        """Have new workers made after `resume`: those of the other process serve until then."""
        endpoint = self._endpoint
        if endpoint is not None:
            with self._barrier:
                if endpoint.is_listening:
                    self._renew(endpoint)
        elif not self._is_bound:
            self._wreckage.stop()
        elif not self._restart.is_pending:
            self._begin_again()

    def state(self) -> tuple[EndpointState | None, tuple[int, ...]]:
        """Return what `resume` wants to know; there is no state of one that is put away."""
        state = self.act(lambda endpoint: endpoint.state(), otherwise=None)
        return state, self._wreckage.pids

    def look(self) -> bool:
        """Read the board after a ring; tell whether there is `work` to do."""
        has_news = self.ask(lambda it: not it.is_finished and it.look(), otherwise=False)
        if has_news:
            self.note_change()
        return has_news

    def work(self) -> None:
        """Feed the pool with all that has happened."""
        self.do(lambda endpoint: endpoint.work())

    def look_at(self, pid: int) -> None:
        """Find out who has ended or was stopped, before it is collected."""
        self.do(lambda endpoint: endpoint.look_at(pid))
        self._wreckage.look_at(pid)

    def note_unknown_child(self) -> None:
        """Take note of the end of an unknown child of the service."""
        self.do(lambda endpoint: endpoint.note_unknown_child())

    def on_exit(self, child: DeadChild, whose: Child) -> bool:
        """Take note of the end of a child, of the service or of one that has crashed.

        Tell whether a worker has ended that may have made room for another.
        """
        self.note_change()
        endpoint = self._endpoint
        if endpoint is not None and endpoint.processes.family is whose.family:
            with self._asking:
                if whose.slot is not None:
                    return endpoint.on_exit(child, whose.slot)
                endpoint.on_template_exit(child)
            return False
        return self._wreckage.on_exit(child.pid, whose)

    def retry_after_shortage(self, ended: int) -> None:
        """Start whom there was no room for: so many workers of any service have ended."""
        self.do(lambda endpoint: endpoint.retry_after_shortage(ended))

    def on_stopped(self, pid: int) -> None:
        """Take note that a child was stopped."""
        self.do(lambda endpoint: endpoint.on_stopped(pid))

    def stop(self, reason: str) -> None:
        """Begin to stop, or stop with more haste."""
        self._stop_reason = reason
        if self._endpoint is None:
            self._give_up()
        self.do(lambda endpoint: endpoint.stop(reason))
        self._wreckage.stop()

    def give_up(self) -> None:
        """Release all processes without waiting for their ends: the master is about to exit."""
        self.note_change()
        self._stop_reason = self._stop_reason or "crash"
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            self._clear_away(endpoint)
        self._give_up()

    @property
    def _is_bound(self) -> bool:
        return self.listener.socket.fileno() >= 0  # nothing of ours, which might crash

    def _make_endpoint(
        self,
        state: EndpointState | None = None,
        handing: Handing | None = None,
        share: Share | None = None,
    ) -> Endpoint:
        shared = self._shared
        processes = Processes(
            self.settings.name,
            max(self.settings.pool.room, self.in_force.pool.room),
            shared.doorbell_fd,
            self._timers,
            shared.add_family(self),
            None if state is None else state.processes,
            self._watches,
            handing,
        )
        return Endpoint(
            self.in_force,
            self.listener,
            processes,
            self._timers,
            self._watches,
            self._clock,
            share,
            self.tally,
            shared.sensing,
        )

    def _put_away(self, error: Exception) -> None:
        """Take a crashed service out of action."""
        self.note_change()
        self.crashes += 1
        self.tally.crashes += 1
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            self._was_ready |= endpoint.is_ready
        delay = None
        if self._is_to_go_on(endpoint):
            delay = self._restart.arm()
        elif self._is_first and not self._was_ready:
            self._failure = bug_of(self.settings.name, error)
        place, step = (self.settings.name, self.listener), self._restart.step
        self._wreckage.step(lambda: report_crash(place, error, delay, step))
        if endpoint is not None:
            self._clear_away(endpoint)
        if delay is None:
            self._give_up()
        with contextlib.suppress(OSError):  # a full pipe wakes as well
            os.write(self._shared.doorbell_fd, b"\0")  # what has changed wants a turn

    def _is_to_go_on(self, endpoint: Endpoint | None) -> bool:
        """Tell whether there is to be a next service on this listener."""
        if self._stop_reason or not self._is_bound or (self._is_first and not self._was_ready):
            return False
        limit = self.settings.pool.connection_limit
        return limit is None or endpoint is None or endpoint.connections < limit

    def _clear_away(self, endpoint: Endpoint) -> None:
        self._timers.cancel_all()
        self._watches.remove_all()
        self._former_connections += endpoint.connections
        self._wreckage.step(lambda: self.tally.lose(len(endpoint.processes.ledger.busy())))
        is_stopping = bool(self._stop_reason)
        self._wreckage.clear_away(endpoint.processes, self.settings.pool, is_stopping=is_stopping)

    def _give_up(self) -> None:
        """Have no next service, and give up the listener."""
        self._restart.cancel()
        if not self._wreckage.step(self.listener.close):
            self._wreckage.step(self.listener.socket.close)

    def _begin_again(self) -> None:
        """Begin with a fresh service on the listener."""
        with self._barrier:
            try:
                endpoint = self._endpoint = self._make_endpoint()
                endpoint.start(endpoint.processes.make_spawner(self.settings, self.listener, 0))
            except (SocketdError, OSError) as error:
                self._do_without(error)

    def _renew(self, endpoint: Endpoint) -> None:
        try:
            generation = endpoint.next_generation
            spawner = endpoint.processes.make_spawner(self.settings, self.listener, generation)
        except (SocketdError, OSError) as error:
            self._do_without(error)
            return
        endpoint.reload(self.in_force, spawner)

    def _do_without(self, error: SocketdError | OSError) -> None:
        """Try again later, since the system refuses what a fresh service needs."""
        endpoint, self._endpoint = self._endpoint, None
        delay = None if self._stop_reason else self._restart.arm()
        report_refusal((self.settings.name, self.listener), error, delay, self._restart.step)
        if endpoint is not None:
            self._clear_away(endpoint)
        if delay is None:
            self._give_up()
