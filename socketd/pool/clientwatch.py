"""Which connections are looked at to see whether their client has gone.

Owns since when each worker has been busy, and when to look. Pure like the pool, which it does not
know: it takes the same events and returns the same kind of commands. What follows from a look is
the time limit's affair: it ends connections.

One timer is armed while a worker is busy, and none while nobody is.
"""

from socketd.pool.messages import (
    ArmTimer,
    Command,
    DisarmTimer,
    Event,
    LookAtClients,
    PoolTimer,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
)

LOOK_SECONDS = 2.0


class ClientWatch:
    """The busy workers of one service, and the timer for the next look at them."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted
        self._since: dict[int, float] = {}
        self._is_armed = False

    def reload(self, *, is_wanted: bool) -> None:
        """Watch later connections, or no later ones."""
        self._is_wanted = is_wanted

    def handle(self, event: Event, now: float) -> list[Command]:
        """Handle one event; return the commands that follow, in order."""
        match event:
            case WorkerAccepted(worker) if self._is_wanted:
                self._since[worker] = now
                return self._watch(now)
            case WorkerExited(worker):
                self._since.pop(worker, None)
                return self._rest()
            case TimerExpired(PoolTimer.CLIENTS):
                self._is_armed = False
                old = tuple(
                    worker for worker, since in self._since.items() if now - since >= LOOK_SECONDS
                )
                look: list[Command] = [LookAtClients(old)] if old else []
                return look + self._watch(now)
            case _:
                return []

    def _rest(self) -> list[Command]:
        if not self._is_armed or self._since:
            return []
        self._is_armed = False
        return [DisarmTimer(PoolTimer.CLIENTS)]

    def _watch(self, now: float) -> list[Command]:
        if self._is_armed or not self._since:
            return []
        self._is_armed = True
        return [ArmTimer(PoolTimer.CLIENTS, now + LOOK_SECONDS)]
