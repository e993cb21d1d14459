"""The master: one loop that waits for signals and timers, and serves services.

Owns the loop, the doorbell, the wheel and the order of a turn. Must not know any number or rule
of the pool, nor what a service runs, nor where its settings come from. It never accepts, never
touches a connection's bytes, and while nothing happens and no timer is pending it sleeps in one
system call without a time-out.

The order of a turn matters: the board is read before children are collected, so that a worker
which accepted and ended in between is known to have accepted first.
"""

import functools
import os
import signal
import time
from collections.abc import Callable

from socketd import __version__
from socketd.config.services import ServiceSettings
from socketd.control.authority import ControlSocket
from socketd.errors import BugError, SocketdError
from socketd.loop.doorbell import Doorbell
from socketd.loop.filewatch import FileWatch
from socketd.loop.listeners import Listener
from socketd.loop.reaper import DeadChild, reap
from socketd.loop.sources import Sources
from socketd.loop.wheel import OwnTimers, Wheel
from socketd.master import garbage
from socketd.master.controlling import Controlling
from socketd.master.endpoints import Endpoints, EndpointSnapshot, OpenListener
from socketd.master.faults import describe, trace
from socketd.master.guarded import GuardedEndpoint
from socketd.master.reexec import Snapshot, Successor
from socketd.master.reloading import ReadSettings, is_as_wanted, reload
from socketd.master.signals import (
    RELOAD_SIGNAL,
    REPLACE_SIGNAL,
    STOP_SIGNALS,
    WORKER_SIGNALS,
)
from socketd.master.statistics import describe as describe_statistics
from socketd.master.statistics import describe_progress
from socketd.master.turns import ENDS, Turns
from socketd.operations import log
from socketd.operations.progress import Progress
from socketd.operations.systemd import Notifier, ServiceManager
from socketd.operations.title import Title
from socketd.settings.duration import LONGEST_WAIT_SECONDS
from socketd.system.products import keep_open
from socketd.system.scheduling import yield_to_children
from socketd.workers.contract import RING_SIGNAL

# What the master does for itself, as the log names it when that fails.
_NOTIFY = "notify the service manager"
_SUCCEED = "become the new version"


class Master:
    """Serves services until each of them has finished.

    `on_ready` is called once, when every service has its first workers waiting. `manager` hears
    of each step. With `read` a reload does what that returns; without it, SIGHUP stops.
    With `successor` this process can be replaced by the next version of the program.
    """

    def __init__(
        self,
        on_ready: Callable[[], None],
        manager: ServiceManager | None = None,
        read: ReadSettings | None = None,
        open_listener: OpenListener | None = None,
        successor: Successor | None = None,
        set_title: Callable[[str], None] | None = None,
        control: ControlSocket | None = None,
    ) -> None:
        self.stop_signal: signal.Signals | None = None
        self._on_ready = on_ready
        self._read = read
        self._open_listener = open_listener
        self._successor = successor
        run = functools.partial(self._tolerate, "answer on the control socket")
        abilities = read is not None, successor is not None
        self._control = Controlling(control, self._describe_server, run, abilities)
        self._stop_signals = STOP_SIGNALS - {RELOAD_SIGNAL} if read else STOP_SIGNALS
        self._is_ready = False
        self._failure: SocketdError | None = None
        self._faults: set[str] = set()
        self._is_reload_wanted = False
        self._is_replacement_wanted = False
        self._wheel = Wheel(time.monotonic())
        self._endpoints: Endpoints
        self._notifier = Notifier(
            manager or ServiceManager(),
            OwnTimers(self._wheel, functools.partial(self._tolerate, _NOTIFY)),
            self._describe,
            lambda reason: log.emit("notification_failed", reason=reason),
        )
        titling = OwnTimers(self._wheel, functools.partial(self._tolerate, "set the title"))
        self._title = Title(set_title, titling, self._describe)
        showing = OwnTimers(self._wheel, functools.partial(self._tolerate, "show progress"))
        self._progress = Progress(log.show_progress, showing, self._describe_progress)

    def run(
        self, services: list[tuple[ServiceSettings, Listener]], snapshot: Snapshot | None = None
    ) -> None:
        """Serve; return when the last worker of the last service is gone.

        With `snapshot` go on where a predecessor has stopped. Raises SocketdError if a service
        could not come up, after everything is undone, and BugError at the end if one has crashed.
        """
        signals = {*WORKER_SIGNALS, *self._stop_signals}
        if self._read is not None:
            signals.add(RELOAD_SIGNAL)
        if self._successor is not None:
            signals.add(REPLACE_SIGNAL)
        with (
            # A worker without the right to signal us rings by a byte.
            Doorbell(signals, snapshot.doorbell if snapshot else None, RING_SIGNAL) as doorbell,
            Sources() as sources,
            FileWatch(sources) as files,
        ):
            doorbell.watch(sources)
            keep_open()
            garbage.begin()
            self._endpoints = Endpoints(
                self._wheel,
                files,
                sources,
                doorbell.write_fd,
                snapshot.crashes if snapshot is not None else 0,
                snapshot.sensed if snapshot is not None else None,
            )
            try:
                self._control.open(self._endpoints, sources, self._wheel, doorbell.ring, snapshot)
                if self._successor is not None:
                    self._successor.on_failed = self._control.note_reexec
                self._serve(services, snapshot, doorbell, sources)
            except SocketdError:
                raise
            except Exception as error:
                self._report_fault("serve", error)
                self._endpoints.give_up()
                raise BugError(
                    f"the master has crashed: {describe(error)}; this is a bug in socketd: please "
                    "report it with the traceback in the log"
                ) from error
            finally:
                self._progress.clear()
                self._tolerate(_NOTIFY, self._notifier.close)
                self._control.close()
                if self._successor is not None:
                    self._tolerate(_SUCCEED, self._successor.close)
        if self._failure is not None:
            raise self._failure
        if self._endpoints.crashes or self._faults:
            count = self._endpoints.crashes + len(self._faults)
            raise BugError(
                f"stopped after {count} faults that are bugs in socketd: please report them with "
                "the tracebacks in the log"
            )

    def _serve(
        self,
        services: list[tuple[ServiceSettings, Listener]],
        snapshot: Snapshot | None,
        doorbell: Doorbell,
        sources: Sources,
    ) -> None:
        if snapshot is None:
            self._endpoints.start(services)
            self._stop_if_one_failed()
        else:
            self._take_over(snapshot.endpoints, snapshot.version)
        # A worker rings on its way to exec, and the client waits for it, not for us. Not before:
        # each template that is started would wait in the queue.
        yield_to_children()
        take = functools.partial(self._take, doorbell)
        turns = Turns(doorbell, self._endpoints, self._wheel, take)
        while not self._is_over():
            sources.wait(self._rest_seconds())
            if doorbell.has_rung:
                turns.answer()
            self._wheel.advance(time.monotonic())

    def _describe_server(self) -> tuple[str, int]:
        """Return how far the server has got, and how many faults of socketd it has survived."""
        state = "running" if self._is_ready else "starting"
        if self.stop_signal is not None or self._endpoints.are_stopping:
            state = "stopping"
        return state, self._endpoints.crashes + len(self._faults)

    def _rest_seconds(self) -> float | None:
        """Return for how long there is nothing to do, None for ever."""
        due = self._wheel.next_due()
        if due is None:
            return None
        return min(max(0.0, due - time.monotonic()), LONGEST_WAIT_SECONDS)

    def _is_over(self) -> bool:
        return self._endpoints.are_over

    def _tolerate(self, attempt: str, action: Callable[[], None]) -> None:
        """Do something that no service depends on."""
        try:
            action()
        except Exception as error:  # noqa: BLE001  services go on without it
            self._report_fault(attempt, error)

    def _report_fault(self, attempt: str, error: Exception) -> None:
        """Log an unforeseen failure in the master, once for each attempt."""
        if attempt not in self._faults:
            self._faults.add(attempt)
            log.emit(
                "master_fault", attempt=attempt, reason=describe(error), traceback=trace(error)
            )

    def _take_over(self, endpoints: list[EndpointSnapshot], former: str) -> None:
        """Go on where the predecessor has stopped: any signal may have been missed."""
        self._is_ready = True
        self._endpoints.resume(endpoints)
        self._turn(set(WORKER_SIGNALS))
        assert self._read is not None
        if not is_as_wanted(self._endpoints, self._read):
            self._reload()
        garbage.leave_alone()
        self._control.note_reexec()
        log.emit("reexec_done", services=len(endpoints), former=former, version=__version__)

    def _take(self, doorbell: Doorbell, rung: set[int]) -> None:
        self._turn(rung)
        self._follow_orders(rung, doorbell)

    def _turn(self, rung: set[int]) -> None:
        at_work: dict[GuardedEndpoint, None] = {}
        if not rung <= ENDS:  # a worker that only ends is looked at in _reap()
            at_work = dict.fromkeys(
                endpoint for endpoint in self._endpoints.members if endpoint.look()
            )
        if signal.SIGCHLD in rung:
            self._reap(at_work)
        for endpoint in at_work:
            endpoint.work()
        self._tolerate(_NOTIFY, self._notifier.note_change)
        self._title.note_change()
        self._progress.note_change(is_under_way=self._is_under_way)

    def _follow_orders(self, rung: set[int], doorbell: Doorbell) -> None:
        for number in self._stop_signals & rung:
            self.stop_signal = self.stop_signal or signal.Signals(number)
            self._stop(signal.Signals(number).name, may_wait=self._is_ready)
        if not self._is_ready:
            self._stop_if_one_failed()
            if all(endpoint.is_ready for endpoint in self._endpoints.services):
                self._is_ready = True
                self._tolerate(_NOTIFY, self._notifier.tell_ready)
                self._progress.clear()
                garbage.leave_alone()
                self._on_ready()
        self._is_reload_wanted |= self._read is not None and RELOAD_SIGNAL in rung
        if self._is_reload_wanted and self._is_ready:
            self._is_reload_wanted = False
            self._reload()
        self._is_replacement_wanted |= REPLACE_SIGNAL in rung
        if self._successor is not None and self._is_ready and self.stop_signal is None:
            if self._is_replacement_wanted:
                self._is_replacement_wanted = False
                self._tolerate(_SUCCEED, functools.partial(self._successor.prove, self._wheel))
            if self._successor.is_proven:
                settle = functools.partial(self._settle, doorbell)
                self._tolerate(_SUCCEED, functools.partial(self._successor.replace, settle))

    def _settle(self, doorbell: Doorbell) -> Snapshot:
        for number in doorbell.answer() - WORKER_SIGNALS:
            os.kill(os.getpid(), number)  # all are blocked: it is pending for the successor
        endpoints = self._endpoints.snapshot()
        crashes = self._endpoints.crashes + len(self._faults)
        history, control = self._control.history, self._control.state()
        fds = doorbell.read_fd, doorbell.write_fd
        sensed = self._endpoints.sensing.passed_on
        return Snapshot(endpoints, fds, crashes, history=history, control=control, sensed=sensed)

    def _reload(self) -> None:
        """Make the services those that are wanted now; whatever is wrong, go on as before."""
        if self.stop_signal is not None or self._read is None:
            return
        self._tolerate(_NOTIFY, self._notifier.tell_reloading)
        assert self._open_listener is not None
        open_listener, report = self._open_listener, self._report_fault
        errors = reload(self._endpoints, self._read, open_listener, report)
        self._control.note_reload(errors)
        self._tolerate(_NOTIFY, self._notifier.tell_ready)

    def _reap(self, at_work: dict[GuardedEndpoint, None]) -> None:
        """Collect all children that have ended; add the endpoints that have to act on it."""
        room = 0
        for child in reap(self._endpoints.look_at, lambda: signal.raise_signal(signal.SIGCHLD)):
            if isinstance(child, DeadChild):
                room += self._collect(child, at_work)
            elif (known := self._endpoints.attribute(child.pid)) is not None:
                endpoint, _ = known
                endpoint.on_stopped(child.pid)
        for endpoint in self._endpoints.in_shortage if room else ():
            endpoint.retry_after_shortage(room)
            at_work[endpoint] = None

    def _collect(self, child: DeadChild, at_work: dict[GuardedEndpoint, None]) -> bool:
        """Tell its endpoint; from now on its process id may be another process's."""
        if self._successor is not None and self._successor.is_candidate(child.pid):
            self._tolerate(_SUCCEED, functools.partial(self._successor.on_exit, child))
            return False
        known = self._endpoints.attribute(child.pid)
        self._endpoints.forget_child(child.pid)
        if known is None:
            return False
        endpoint, whose = known
        at_work[endpoint] = None
        return endpoint.on_exit(child, whose)

    def _stop_if_one_failed(self) -> None:
        failures = [one.failure for one in self._endpoints.services if one.failure is not None]
        if failures:
            self._failure = failures[0]
            self._is_ready = True  # it never will be: do not come here again
            self._stop("start failed", may_wait=False)
            self._stop("start failed", may_wait=False)

    def _describe(self) -> str:
        return describe_statistics(endpoint.statistics for endpoint in self._endpoints.members)

    @property
    def _is_under_way(self) -> bool:
        """Tell whether it starts or stops as a whole."""
        return not self._is_ready or self.stop_signal is not None

    def _describe_progress(self) -> str:
        numbers = [endpoint.statistics for endpoint in self._endpoints.members]
        return describe_progress(numbers, is_stopping=self.stop_signal is not None)

    def _stop(self, reason: str, *, may_wait: bool) -> None:
        """Stop, or hasten it; who was never ready need not say so for a while first."""
        self._tolerate(_NOTIFY, self._notifier.tell_stopping)
        if may_wait:
            self._endpoints.depart(reason)
        else:
            self._endpoints.stop(reason)
        self._progress.note_change(is_under_way=True)
