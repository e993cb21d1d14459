"""What is left where services have crashed, and how one is cleared away.

Owns the steps of putting a service away, and the remains of each crash on one listener until the
last is gone. Must not know why a service has crashed, nor whether another one follows.

It is unknown what of a crashed service still works. So it is asked for little, and each step may
fail: that is logged, and keeps no other from being taken.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable

from socketd.loop.wheel import OwnTimers, Wheel
from socketd.master.faults import describe, trace
from socketd.master.remains import Remains
from socketd.operations import log
from socketd.pool.settings import PoolSettings
from socketd.workers.children import Child, Family
from socketd.workers.processes import Processes


class Wreckage:
    """The remains of all crashes of the services on one listener.

    `forget` is called with each family that has no process left.
    """

    def __init__(self, service: str, wheel: Wheel, forget: Callable[[Family], None]) -> None:
        self._service = service
        self._forget = forget
        self._timers = OwnTimers(wheel, self.step)
        self._remains: list[Remains] = []

    @property
    def is_gone(self) -> bool:
        """Tell whether no process is left."""
        return not self._remains

    @property
    def workers(self) -> int:
        """Return how many workers are left: after an instant only the busy."""
        return sum(one.workers for one in self._remains)

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the process ids that are left."""
        return tuple(pid for one in self._remains for pid in one.pids)

    def step(self, step: Callable[[], object]) -> bool:
        """Do one thing that is not to keep others from being done; tell whether it was done."""
        try:
            step()
        except Exception as error:  # noqa: BLE001  nothing may go further
            with contextlib.suppress(Exception):
                log.emit(
                    "put_away_failed",
                    service=self._service,
                    reason=describe(error),
                    traceback=trace(error),
                )
            return False
        return True

    def clear_away(self, processes: Processes, pool: PoolSettings, *, is_stopping: bool) -> None:
        """End what can be ended of the processes of a service, and keep the rest in mind."""
        self.step(processes.ask_unborn_to_retire)
        self.step(processes.dismiss_spawners)
        self.step(
            lambda: self._keep(processes.family, processes.board.fd, pool, is_stopping=is_stopping)
        )
        self.step(processes.board.close)

    def take_over(self, family: Family, pids: Iterable[int], pool: PoolSettings) -> None:
        """Keep those in mind who were left when another process was in our place."""
        family.restore({pid: place for place, pid in enumerate(pids)}, ())
        self.step(lambda: self._keep(family, -1, pool, is_stopping=False))

    def look_at(self, pid: int) -> None:
        """Find out who has ended, before it is collected."""
        for one in self._remains:
            self.step(functools.partial(one.look_at, pid))

    def on_exit(self, pid: int, whose: Child) -> bool:
        """Forget a child that has been collected; tell whether it was a worker of these."""
        for one in self._remains:
            if one.family is whose.family:
                self.step(functools.partial(one.on_exit, pid))
                if one.is_gone:
                    self._remains.remove(one)
                    self._forget(one.family)
                return whose.slot is not None
        return False

    def stop(self) -> None:
        """Begin to stop, or stop with more haste."""
        for one in self._remains:
            self.step(one.stop)

    def _keep(
        self, family: Family, board_fd: int, pool: PoolSettings, *, is_stopping: bool
    ) -> None:
        remains = Remains(self._service, family, board_fd, pool, self._timers)
        if remains.is_gone:
            self._forget(family)
            return
        self._remains.append(remains)
        if is_stopping:
            remains.stop()
