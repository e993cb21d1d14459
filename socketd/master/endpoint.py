"""One listener of a service at work: facts become events, commands become calls.

Owns the listener, the processes and the pool, and holds them together. Must not know any number or
rule of the pool, nor other services, nor where facts come from: the master tells it when to look.

A service with several listeners is several of these under one name, each with a pool of its own,
because a worker waits in the accept() of one socket. That wait is what makes a worker cheap and
its retirement safe: the kernel wakes one worker for a connection, and closing one descriptor is
all it takes to let a worker go.
"""

import os
import time
from collections import deque
from collections.abc import Callable

from socketd.config.services import ServiceSettings
from socketd.dataclass import replace
from socketd.loop.filewatch import OwnWatches
from socketd.loop.listeners import Listener
from socketd.loop.reaper import DeadChild
from socketd.loop.wheel import Timers
from socketd.master.books import Books
from socketd.master.connection_limits import ConnectionLimits
from socketd.master.doorkeeper import Doorkeeper
from socketd.master.pooltimers import PoolTimers
from socketd.master.reports import reports_of
from socketd.master.sensing import Sensing
from socketd.master.state import EndpointState
from socketd.master.statistics import Statistics
from socketd.operations import log
from socketd.pool.allotment import PoolSize, Share
from socketd.pool.messages import (
    ArmTimer,
    CloseListener,
    Command,
    DisarmTimer,
    Event,
    Finish,
    OfSeveral,
    PoolTimer,
    QueueDrained,
    RefuseConnections,
    ReportBackOff,
    ReportFailure,
    ReportRecovery,
    ReportResize,
    ShortageEased,
    SpawnWorkers,
    StopRequested,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
)
from socketd.pool.phase import Phase
from socketd.pool.policy import Pool
from socketd.pool.tally import Tally
from socketd.workers.claims import Claims
from socketd.workers.layout import SlotState
from socketd.workers.orders import Order, carry_out
from socketd.workers.processes import Processes
from socketd.workers.records import Endings, describe_fault, is_of_shortage
from socketd.workers.spawner import Spawner


class Endpoint:
    """A service from its first worker to its last.

    `clock` gives monotonic seconds. `failure` is set when the service cannot come up: a worker
    failed before every first worker was ready. `may_hold_back_ends` tells whether ends of workers
    may wait; all services are asked in each turn of the master, so it is no search.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        listener: Listener,
        processes: Processes,
        wheel: Timers,
        watches: OwnWatches | None = None,
        clock: Callable[[], float] = time.monotonic,
        share: Share | None = None,
        tally: Tally | None = None,
        sensing: Sensing | None = None,
    ) -> None:
        self.settings = settings
        self.listener = listener
        self.processes = processes
        self.connections = 0
        self.has_begun = False
        self.is_ready = False
        self.is_finished = False
        self.may_hold_back_ends = False
        self.failure: str | None = None
        self._board = processes.board
        processes.on_serving = self._on_serving
        processes.ends_children = settings.ends_children
        self._clock = clock
        self.pool = Pool(settings.pool, seed=os.getpid(), share=share)
        processes.tally = tally or processes.tally
        self.books = Books(processes.tally, processes.ledger, clock())
        self._limits = ConnectionLimits(settings, processes.ledger, listener.port, clock)
        self.doorkeeper = Doorkeeper(
            processes.board.gate, wheel, watches, clock, sensing, self.work
        )
        self.doorkeeper.admit(settings)
        self._events: deque[Event] = deque()
        self.timers = PoolTimers(wheel, self._expire)
        self._claims = Claims(
            settings.name, str(listener), processes, self._events, wheel, clock, self.work
        )
        self._reports = reports_of(settings, listener, processes.handing)
        self._is_listening = True
        self._is_draining = False
        self._has_pool_finished = False
        self._stop_reason = ""
        self._endings = Endings(settings.name, processes, self._claims.connection_log)

    @property
    def is_listening(self) -> bool:
        """Tell whether the listener has not been given up."""
        return self._is_listening

    @property
    def is_stopping(self) -> bool:
        """Tell whether the service is on its way to its end."""
        return bool(self._stop_reason) or not self._is_listening

    @property
    def next_generation(self) -> int:
        """Return the generation that a reload would begin."""
        return self.pool.generation + 1

    def hold_back(self) -> float:
        """Return for how long news of workers may be held back; 0 means not at all."""
        if self.is_finished or not self.may_hold_back_ends:
            return 0.0
        seconds, accepts = self.pool.patience(self._board.count_ready())
        self._board.wait_for_accepts(accepts)
        return seconds

    @property
    def is_urgent(self) -> bool:
        """Tell whether news is not to be held back any longer, by how many have accepted."""
        return self._board.accepts_left <= 0

    @property
    def size(self) -> PoolSize:
        """Return what its workers do."""
        idle, busy = self.pool.size
        return PoolSize(idle, busy, len(self.pool.share.workers) - idle - busy)

    @property
    def statistics(self) -> Statistics:
        """Return its numbers as they are now."""
        size, nobody = self.pool.size, Statistics.of_nobody(self.settings, str(self.listener))
        return replace(
            nobody,
            idle=size.idle,
            busy=size.busy,
            connections=self.connections,
            generation=self.pool.generation,
            level=self.processes.level,
        )

    def start(self, spawner: Spawner) -> None:
        """Bring up the first workers."""
        self.has_begun = True
        self.processes.employ(spawner, self.pool.generation)
        self._board.ring_when_idle(wanted=True)
        self._carry_out(self.pool.start(self._clock()))
        self.work()

    def reload(self, settings: ServiceSettings, spawner: Spawner) -> None:
        """Have a new generation of workers made; see the pool for when the old one leaves.

        It begins when the spawner can make workers: a program that has to be held may take long.
        The present one makes them until then, for the pool as it is to be now.
        """
        self.work()
        self.settings = settings
        self._limits.reload(settings)
        self.doorkeeper.admit(settings)
        self.processes.ends_children = settings.ends_children
        self.processes.line_up(spawner)
        if self.processes.due is None:
            self._carry_out(self.pool.adjust(settings.pool, self._clock()))
        self._change_spawner()
        self.work()

    def resize(self, settings: ServiceSettings) -> None:
        """Have as many workers as these settings say, which differ in nothing else."""
        self.settings = settings
        self._board.watch(max(self._board.watched, settings.pool.room))
        self.doorkeeper.limit(settings)
        self._carry_out(self.pool.adjust(settings.pool, self._clock()))
        self.work()

    def end_connection(self, number: int) -> bool:
        """End the connection of a worker, as a limit would; tell whether it has one."""
        if not self.processes.ledger.is_busy(number):
            return False
        self._carry_out(self._limits.end(number))
        self.work()
        return True

    def settle_books(self) -> None:
        """Count what has gone on since the last event."""
        self.doorkeeper.count_refused(self.books.tally)
        self.books.meter.note(*self.pool.size, self.settings.pool.maximum, self._clock())

    def state(self) -> EndpointState:
        """Return all that `resume` wants to know, with nothing left to be done."""
        self.work()
        self.settle_books()
        return EndpointState(
            self.pool.state(),
            self._limits.state(),
            self.processes.state(),
            self.timers.due,
            self.connections,
            self.is_ready,
            self._is_listening,
            self._is_draining,
            self._stop_reason,
            self.doorkeeper.taken,
        )

    def resume(self, state: EndpointState) -> None:
        """Go on where another has stopped; only for a new one."""
        self.has_begun = True
        self._claims.connection_log.open()
        self.pool.restore(state.pool)
        if self.processes.is_distrusted:
            self._claims.suspect()
        self.doorkeeper.resume(state.refused)
        self.connections = state.connections
        self.is_ready = state.is_ready
        self._is_listening = state.is_listening
        self._is_draining = state.is_draining
        self._stop_reason = state.stop_reason
        self._has_pool_finished = state.pool.phase is Phase.FINISHED
        for timer, due_seconds in state.timers.items():
            self.timers.arm(timer, due_seconds)
        self._carry_out(self._limits.restore(state.deadlines))

    def look(self) -> bool:
        """Read the board after a ring; tell whether there are events for the pool."""
        if taken := self._claims.look():
            self.connections += taken
            self.books.note_taken()
        self.doorkeeper.look()
        self._note_drained()
        if self._board.is_rung_when_idle:
            self._board.ring_when_idle(wanted=True)  # another process may have cleared it
            self._take_started()
        return bool(self._events)

    def look_at(self, pid: int) -> None:
        """Find out who has ended as long as that can be seen: before it is collected."""
        self.processes.look_at(pid)

    def note_unknown_child(self) -> None:
        """Take note of the end of an unknown child of this service."""
        if self.processes.ledger.nameless:
            self._claims.suspect()

    def on_template_exit(self, child: DeadChild) -> bool:
        """Take note of the end of a template; tell whether it was one of this service."""
        if not self.processes.on_template_exit(child):
            return False
        self._fail(self.processes.trouble)
        self._claims.take_failed_forks()
        self._end_if_over()
        return True

    def on_exit(self, child: DeadChild, number: int) -> bool:
        """Take note of a worker's end; tell whether that may have made room for another."""
        if self._board.state(number) == SlotState.ACCEPTED:
            self.connections += self._claims.take_accepted(number, child.pid)
        is_wanted = child.status or self._endings.is_wanted(number)
        record = self._claims.last_record(number, child.pid) if is_wanted else None
        if self.processes.ledger.is_busy(number):
            limit = self._limits.reason_of(number)
            self.books.close(child, number, limit, record)
            if record:
                is_stopping = bool(self._stop_reason)
                self._endings.tell(
                    child, number, record, limit, self.pool.generation, is_stopping=is_stopping
                )
            if child.has_crashed:
                self.processes.on_crash(number)
        self.processes.ledger.release(number)
        detail = describe_fault(record) if record else ""
        is_short = record is not None and is_of_shortage(record)
        self._events.append(WorkerExited(number, child.status, detail, is_short))
        return not is_short

    def retry_after_shortage(self, ended: int) -> None:
        """Start whom there was no room for: so many workers of any service have ended."""
        self.processes.family.clear_shortage()
        self.processes.retry_after_shortage()
        if self.pool.is_short:
            self.processes.family.note_shortage()
            self._events.extend([ShortageEased()] * ended)

    def on_stopped(self, pid: int) -> None:
        """Take note that a child was stopped."""
        self.processes.on_stopped(pid)

    def stop(self, reason: str) -> None:
        """Begin to stop, or stop with more haste; it may never have been ready."""
        self._stop_reason = reason
        self._claims.connection_log.open()
        self.processes.drop_next()
        self._events.append(StopRequested())
        self.work()

    def note(self, event: OfSeveral) -> None:
        """Have the pool act on what those decide that it shares its maximum with."""
        self._events.append(event)
        self.work()

    def count(self, connections: int) -> None:
        """Count connections that others have served in the name of this one."""
        self.connections += connections

    def work(self) -> None:
        """Feed the pool with all that has happened, including what its commands cause."""
        self._note_drained()
        while self._events:
            event, now = self._events.popleft(), self._clock()
            if isinstance(event, WorkerAccepted):
                self._accept(event, now)
            else:
                self._carry_out(self.pool.handle(event, now))
                self._carry_out(self._limits.handle(event, now))
            self._note_drained()
        self.books.meter.note(*self.pool.size, self.settings.pool.maximum, self._clock())
        self.processes.ask_for_unborn()
        if self.is_ready and self._board.is_rung_when_idle and not self.pool.is_renewing:
            self._board.ring_when_idle(wanted=log.is_enabled("worker_started"))
        self._end_if_over()
        if self.pool.is_short:
            self.processes.family.note_shortage()
        # What tells how long a connection has lasted cannot be late.
        is_at_rest = self.is_ready and not log.is_enabled("connection_closed")
        self.may_hold_back_ends = self.is_finished or (is_at_rest and self.pool.may_hold_back_ends)

    def _accept(self, first: WorkerAccepted, now: float) -> None:
        """Tell the pool together of all who have accepted and are next."""
        accepted = [first]
        while self._events and isinstance(following := self._events[0], WorkerAccepted):
            accepted.append(following)
            self._events.popleft()
        self.books.note_accepted(len(accepted))
        self._carry_out(self.pool.accept(tuple(one.worker for one in accepted), now))
        for one in accepted:
            self._carry_out(self._limits.handle(one, now))

    def _fail(self, reason: str | None) -> None:
        if not self.is_ready and self._is_listening and self.failure is None:
            self.failure = reason

    def _change_spawner(self) -> None:
        """Begin the generation of a reload, if its spawner's turn has come."""
        spawner = self.processes.due
        if spawner is None:
            return
        self.processes.employ(spawner, self.next_generation)
        self._claims.take_failed_forks()
        self._carry_out(self.pool.reload(self.settings.pool, self._clock()))
        self._board.ring_when_idle(wanted=True)

    def _on_serving(self) -> None:
        self._change_spawner()
        self.work()

    def _take_started(self) -> None:
        self._claims.take_started()
        if not self.is_ready and self._are_first_workers_up():
            self._become_ready()

    def _are_first_workers_up(self) -> bool:
        return self.processes.ledger.seen_idle + self.connections >= self.settings.pool.minimum

    def _note_drained(self) -> None:
        """Have the pool know once nobody waits in the kernel's queue whom it has to serve.

        The last one there may have been sent away, of whom the pool hears nothing.
        """
        if not self._events and self._is_draining and self.listener.is_queue_empty():
            self._is_draining = False
            self._events.append(QueueDrained())

    def _become_ready(self) -> None:
        self.is_ready = True
        self._board.ring_when_idle(wanted=log.is_enabled("worker_started"))
        level = self.processes.level
        assert level is not None  # a spawner has made the workers
        self._reports.ready(self.settings.pool.minimum, level)
        self._claims.connection_log.open()

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            self.books.note_command(command, self._clock())
            match command:
                case SpawnWorkers(workers, generation):
                    self.processes.claim(workers, generation)
                case ArmTimer(timer, due_seconds):
                    self.timers.arm(timer, due_seconds)
                case DisarmTimer(timer):
                    self.timers.disarm(timer)
                case RefuseConnections():
                    self.listener.refuse_new()
                    self._is_draining = True
                    self._reports.stopping(self._stop_reason, self.pool.size)
                case CloseListener():
                    self._close_listener()
                case Finish():
                    self._has_pool_finished = True
                case ReportFailure(_, reason):
                    self._fail(reason)
                    self._reports.pool(command)
                case ReportResize() | ReportBackOff() | ReportRecovery():
                    self._reports.pool(command)
                case _:
                    self._order(command)

    def _order(self, command: Command) -> None:
        if not isinstance(command, Order):  # ConnectionLimits carries out what is left
            raise AssertionError(command)
        carry_out(self.processes, command)

    def _close_listener(self) -> None:
        self._is_listening = self._is_draining = False
        self.processes.dismiss_spawners()
        self.listener.close()
        self._claims.take_failed_forks()

    def _expire(self, timer: PoolTimer) -> None:
        self._events.append(TimerExpired(timer))
        self.work()

    def _end_if_over(self) -> None:
        """Forget the service once its pool has finished and its template is gone."""
        if self._has_pool_finished and self.processes.is_gone and not self.is_finished:
            self.is_finished = self.may_hold_back_ends = True
            self.timers.disarm_all()
            self.doorkeeper.close()
            self._claims.close()
            self.processes.family.clear_shortage()
            self.processes.close()
            self._reports.stopped(self.connections)
