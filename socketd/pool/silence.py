"""Connections on which nothing happens: no first byte, or no byte either way for too long.

Owns since when each has been silent, when to look at it, and which limit it has passed. Pure like
the pool, which it does not know. What follows is the time limit's affair: it ends connections.

Nobody but the kernel sees the bytes of a program that has its connection itself. So a connection is
looked at when it may have been silent for too long, and no sooner: its deadline is the last byte
that is known of plus the limit. A busy one is looked at once in that time, an idle one at most
twice. One timer is armed, for the earliest deadline, and none while no worker is busy.

The kernel tells when it last sent and received, to the millisecond, but what it sends again counts
as well. So what decides is whether the numbers of bytes have changed; the time is only asked when
they have.
"""

from socketd.dataclass import dataclass
from socketd.pool.deadlines import Deadlines
from socketd.pool.messages import (
    ArmTimer,
    Command,
    DisarmTimer,
    Event,
    LookAtTraffic,
    PoolTimer,
    TimerExpired,
    WorkerAccepted,
    WorkerExited,
)
from socketd.pool.settings import PoolSettings
from socketd.pool.timelimit import EndReason

MOST_LOOKS = 256  # in one turn of the master, each of some ten microseconds


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a connection has carried, in bytes; `silent_seconds` have passed since the last."""

    received: int
    acknowledged: int
    silent_seconds: float


@dataclass(slots=True)
class _Connection:
    """A connection under watch, with the limits that held when it came. Seconds are monotonic."""

    accepted_seconds: float
    silence_seconds: float | None
    first_byte_seconds: float | None
    silent_since: float
    carried: tuple[int, int] | None = None
    looks_in_vain: int = 0

    @property
    def due_seconds(self) -> float | None:
        """Return when to look next, None for never."""
        due = []
        if self.silence_seconds is not None:
            due.append(self.silent_since + self.silence_seconds)
        if self.first_byte_seconds is not None:
            due.append(self.accepted_seconds + self.first_byte_seconds)
        return min(due, default=None)

    @property
    def shortest_seconds(self) -> float:
        """Return the shorter limit of the two."""
        limits = self.silence_seconds, self.first_byte_seconds
        return min((one for one in limits if one is not None), default=0.0)


class Silence:
    """The silent connections of one service."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._connections: dict[int, _Connection] = {}
        self._deadlines = Deadlines()
        self._armed_seconds: float | None = None

    def reload(self, settings: PoolSettings) -> None:
        """Use other limits for later connections."""
        self._settings = settings

    def handle(self, event: Event, now: float) -> list[Command]:
        """Handle one event; return the commands that follow, in order."""
        match event:
            case WorkerAccepted(worker):
                return self.watch(worker, now)
            case WorkerExited(worker) if worker in self._connections:
                self._forget(worker)
                return self._arm()
            case TimerExpired(PoolTimer.TRAFFIC):
                self._armed_seconds = None
                due = self._deadlines.take(now, MOST_LOOKS)
                look: list[Command] = [LookAtTraffic(tuple(due))] if due else []
                return look + self._arm()
            case _:
                return []

    def watch(self, worker: int, accepted_seconds: float) -> list[Command]:
        """Watch a connection that has come at that time."""
        settings = self._settings
        if not settings.judges_silence:
            return []
        connection = _Connection(
            accepted_seconds,
            settings.silence_seconds,
            settings.first_byte_seconds,
            accepted_seconds,
        )
        self._connections[worker] = connection
        return self._look_again(worker, connection)

    def judge(
        self, worker: int, traffic: Traffic, now: float
    ) -> tuple[EndReason | None, list[Command]]:
        """Return the limit that a connection has passed, None for none."""
        connection = self._connections.get(worker)
        if connection is None:
            return None, []
        reason = self._reason(connection, traffic, now)
        if reason is not None:
            self._forget(worker)
            return reason, self._arm()
        return None, self._look_again(worker, connection)

    def miss(self, worker: int, now: float) -> tuple[bool, list[Command]]:
        """Take note that a process has no connection; return whether it is given up.

        Once is no sign of anything: a process that ends closes its connection a moment before. So
        it is looked at again after the shortest of its limits, and given up when it is still there.
        """
        connection = self._connections.get(worker)
        if connection is None:
            return False, []
        connection.looks_in_vain += 1
        if connection.looks_in_vain > 1:
            self._forget(worker)
            return True, self._arm()
        self._deadlines.set(worker, now + connection.shortest_seconds)
        return False, self._arm()

    def _reason(self, connection: _Connection, traffic: Traffic, now: float) -> EndReason | None:
        """Take in what was seen of a connection, and return the limit that it has passed."""
        carried = traffic.received, traffic.acknowledged
        if carried != connection.carried:
            connection.carried = carried
            since = now - traffic.silent_seconds
            connection.silent_since = max(since, connection.accepted_seconds)
        if connection.first_byte_seconds is not None:
            if traffic.received:
                connection.first_byte_seconds = None
            elif now >= connection.accepted_seconds + connection.first_byte_seconds:
                return EndReason.FIRST_BYTE
        limit = connection.silence_seconds
        is_silent = limit is not None and now >= connection.silent_since + limit
        return EndReason.IDLE if is_silent else None

    def _look_again(self, worker: int, connection: _Connection) -> list[Command]:
        due_seconds = connection.due_seconds
        if due_seconds is None:  # its first byte was all that was waited for
            self._forget(worker)
        else:
            self._deadlines.set(worker, due_seconds)
        return self._arm()

    def _forget(self, worker: int) -> None:
        del self._connections[worker]
        self._deadlines.drop(worker)

    def _arm(self) -> list[Command]:
        due_seconds = self._deadlines.next_seconds
        if due_seconds == self._armed_seconds:
            return []
        self._armed_seconds = due_seconds
        if due_seconds is None:
            return [DisarmTimer(PoolTimer.TRAFFIC)]
        return [ArmTimer(PoolTimer.TRAFFIC, due_seconds)]
