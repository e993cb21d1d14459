"""Processes that have lost their parent: the master is the next one that they get.

Owns the sweeps: when the children of the master are looked through for such processes, and what is
known of each. Must not know what decides on one; see socketd/pool/leftovers.py.

The kernel does not say that a process has come to us. So there is a sweep after each connection
that ends, at most one in a second, and none while no connection ends: a process that nobody has
left behind costs its reader nothing.

Not every orphan is a program's. A process may have had children before it became the server, as
when a script that has started others is replaced by it; and the first process of a container gets
the orphans of everybody. Of these only those count that are in the session or group of a program.

A worker may be there that is not known yet: the template makes it, and its process id is found out
later. Such a one leads a group in the session of its template; so who does that is given a second.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator

from socketd.loop.wheel import Timer, Timers
from socketd.operations import log
from socketd.pool.leftovers import Household, Known, Leftovers, Orphan
from socketd.system import procfs
from socketd.system.subreaper import adopt_orphans
from socketd.workers import kin
from socketd.workers.children import Children
from socketd.workers.households import asleep_seconds

_FIRST_SECONDS = 0.02
_PAUSE_SECONDS = 1.0
_SUSPENDED_SECONDS = 0.1
_HASTY_STOPS = 3
_INIT_PID = 1


class Orphans:
    """The orphans of all services; `households` are asked for at each sweep that finds some.

    `household_of` returns the number of that of a session.
    """

    def __init__(
        self,
        children: Children,
        timers: Timers,
        households: Callable[[], list[Household]],
        household_of: Callable[[int], int | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._children = children
        self._timers = timers
        self._households = households
        self._household_of = household_of
        self._clock = clock
        self._leftovers = Leftovers()
        self._is_active = False
        self._kill_seconds = 0.0
        self._timer: Timer | None = None
        self._swept_seconds = -_PAUSE_SECONDS
        self._first_seen: dict[int, float] = {}
        self._stops = 0
        self._strangers: set[int] = set()
        self._asleep_seconds = asleep_seconds()

    def adopt(self, *, wanted: bool, kill_seconds: float) -> None:
        """Have orphans become our children, or no more of them."""
        self._kill_seconds = kill_seconds
        if wanted != self._is_active:
            self._is_active = wanted
            adopt_orphans(wanted=wanted)
            if wanted:
                self._strangers = set(kin.children()) - self._children.pids
                self._arm(self._clock() + _PAUSE_SECONDS)

    def note_end(self, pid: int) -> None:
        """Take note of the end of a program with a connection, whose children end with it."""
        self._leftovers.note_end(pid)
        self._arm(max(self._clock() + _FIRST_SECONDS, self._swept_seconds + _PAUSE_SECONDS))

    def on_exit(self, pid: int) -> None:
        """Take note of the end of a child that belongs to no service: its own come to us."""
        self._first_seen.pop(pid, None)
        self._strangers.discard(pid)
        if self._leftovers.forget(pid):
            self._arm(self._clock() + _FIRST_SECONDS)

    def stop(self) -> None:
        """Hasten the ends, if it is time for that."""
        self._stops += 1
        if self._stops >= _HASTY_STOPS and not self._leftovers.is_gone:
            self._arm(self._clock())

    def is_over(self) -> bool:
        """Tell whether nothing is left, now that no service is."""
        if not self._is_active:
            return True
        if self._leftovers.is_gone:
            self._sweep(is_last=True)
        return self._leftovers.is_gone

    def close(self) -> None:
        """Look for no more."""
        if self._timer is not None:
            self._timers.cancel(self._timer)
            self._timer = None

    def _arm(self, due_seconds: float) -> None:
        if not self._is_active:
            return
        self.close()
        kill_seconds = self._leftovers.next_seconds
        if kill_seconds is not None:
            due_seconds = min(due_seconds, kill_seconds)
        self._timer = self._timers.add(due_seconds, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._sweep()

    def _sweep(self, *, is_last: bool = False) -> None:
        now = self._swept_seconds = self._clock()
        pids = [pid for pid in kin.children() if self._children.find(pid) is None]
        households = self._households() if pids else []  # which also finds out who is a worker
        orphans = [self._orphan(pid) for pid in pids if self._children.find(pid) is None]
        found = [one for one in orphans if one is not None]
        if not is_last:
            found = list(self._without_young(found, now))
        known = Known(self._children.pids, self._children.workers)
        kill_seconds = 0.0 if self._stops >= _HASTY_STOPS else self._kill_seconds
        signals = self._leftovers.judge(found, households, known, kill_seconds, now)
        self._leftovers.forget_groups(found)
        self._send(signals.terminate, signal.SIGTERM)
        self._send(signals.kill, signal.SIGKILL)
        if not self._leftovers.is_gone or self._first_seen:
            self._arm(now + _PAUSE_SECONDS)

    def _without_young(self, orphans: list[Orphan], now: float) -> Iterator[Orphan]:
        """Leave out who may be a worker that is not known yet."""
        seen, self._first_seen = self._first_seen, {}
        for one in orphans:
            if one.household is None or one.group != one.pid:
                yield one
                continue
            first = seen.get(one.pid, now)
            if now - first >= _PAUSE_SECONDS:
                yield one
            else:
                self._first_seen[one.pid] = first

    def _orphan(self, pid: int) -> Orphan | None:
        """Return what is known of a child; None for one that we have started ourselves."""
        try:
            group, session = os.getpgid(pid), os.getsid(pid)
        except OSError:  # a zombie is gone from its session only when it is collected
            return None
        if session == os.getsid(0):
            return None
        started = procfs.started_seconds(pid)
        asleep = asleep_seconds()
        if started is not None:
            is_sure = abs(asleep - self._asleep_seconds) < _SUSPENDED_SECONDS
            started = started - asleep if is_sure else None
        household = self._household_of(session)
        is_strange = pid in self._strangers or os.getpid() == _INIT_PID
        uid = None if is_strange else kin.real_uid_of(pid)
        return Orphan(pid, group, session, household, uid, started)

    def _send(self, pids: tuple[int, ...], number: signal.Signals) -> None:
        for pid in pids:
            name = procfs.name(pid)
            try:
                kin.send_to_group(pid, number)
            except PermissionError:  # a set-uid program
                self._leftovers.give_up(pid)
                continue
            log.emit("leftover_ended", pid=pid, name=name, signal=number.name)
