"""All that may end a connection of one service before its program ends it.

Owns the rooms that judge connections, and the looks at processes that they ask for. Must not know
the pool, nor any limit: each room has its own, and the time limit's ends whom the others name.
"""

from collections.abc import Callable

from socketd.config.services import ServiceSettings
from socketd.operations import log
from socketd.pool.clientwatch import ClientWatch
from socketd.pool.messages import Command, Event, LookAtClients, LookAtTraffic, WorkerAccepted
from socketd.pool.silence import Silence, Traffic
from socketd.pool.timelimit import Deadline, EndReason, TimeLimit
from socketd.workers.ledger import Ledger
from socketd.workers.looks import busy_since, carried, find_deserted


class ConnectionLimits:
    """The limits on the connections of one service; `port` is that of its TCP listener."""

    def __init__(
        self,
        settings: ServiceSettings,
        ledger: Ledger,
        port: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._service = settings.name
        self._ledger = ledger
        self._port = port
        self._clock = clock
        self._time = TimeLimit(settings.pool)
        self._watch = ClientWatch(is_wanted=settings.is_watching_clients)
        self._silence = Silence(settings.pool)
        self._is_unseen_told = False

    def reload(self, settings: ServiceSettings) -> None:
        """Use other limits for later connections."""
        self._time.reload(settings.pool)
        self._watch.reload(is_wanted=settings.is_watching_clients)
        self._silence.reload(settings.pool)
        self._is_unseen_told = False

    def state(self) -> tuple[Deadline, ...]:
        """Return all that `restore` wants to know."""
        return self._time.state()

    def restore(self, deadlines: tuple[Deadline, ...]) -> list[Command]:
        """Continue where another one stopped; only for a new one."""
        self._time.restore(deadlines)
        commands: list[Command] = []
        for worker, accepted_seconds in busy_since(self._ledger).items():
            commands += self._watch.handle(WorkerAccepted(worker), self._clock())
            if self._port is not None:
                commands += self._silence.watch(worker, accepted_seconds)
        return commands

    def reason_of(self, worker: int) -> str | None:
        """Return which limit has ended a connection, None if none has."""
        reason = self._time.reason_of(worker)
        return None if reason is None else reason.value

    def end(self, worker: int) -> list[Command]:
        """End a connection because somebody has asked for it."""
        return self._time.end((worker,), EndReason.ASKED, self._clock())

    def handle(self, event: Event, now: float) -> list[Command]:
        """Handle one event; return the commands that follow, in order."""
        commands = self._time.handle(event, now)
        asked = self._watch.handle(event, now)
        if self._port is not None:
            asked += self._silence.handle(event, now)
        for command in asked:
            match command:
                case LookAtClients(workers):
                    commands += self._look_at_clients(workers)
                case LookAtTraffic(workers):
                    commands += self._look_at_traffic(workers, self._port or 0)
                case _:
                    commands.append(command)
        return commands

    def _look_at_clients(self, workers: tuple[int, ...]) -> list[Command]:
        gone = find_deserted(self._ledger, workers)
        for pid in gone.values():
            log.emit("client_gone", service=self._service, pid=pid)
        return self._time.end(tuple(gone), EndReason.CLIENT_GONE, self._clock())

    def _look_at_traffic(self, workers: tuple[int, ...], port: int) -> list[Command]:
        commands: list[Command] = []
        for worker, seen in carried(self._ledger, workers, port).items():
            now = self._clock()
            if seen is None:
                is_given_up, more = self._silence.miss(worker, now)
                commands += more
                if is_given_up:
                    self._tell_unseen(worker)
                continue
            traffic = Traffic(seen.received, seen.acknowledged, seen.silent_seconds)
            reason, more = self._silence.judge(worker, traffic, now)
            commands += more
            if reason is not None:
                commands += self._time.end((worker,), reason, now)
        return commands

    def _tell_unseen(self, worker: int) -> None:
        """Say once that there are connections to which the limits do not apply."""
        if not self._is_unseen_told:
            self._is_unseen_told = True
            pid = self._ledger.pid(worker)
            log.emit("connection_unseen", service=self._service, pid=pid or None)
