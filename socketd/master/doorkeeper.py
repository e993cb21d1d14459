"""Who may come in to one listener: rules come into force, and who was sent away is told.

Owns the files of rules, when they are read again, and the log of refusals. Must not know how rules
are weighed, nor who looks at them.

Workers send clients away without a word to the master but one ring, until it has looked. So a flood
costs it a look a second, and the log a few lines.
"""

import time
from collections.abc import Callable

from socketd.admission.refusal import DENIED
from socketd.admission.table import decide
from socketd.config.services import ServiceSettings
from socketd.errors import SocketdError
from socketd.loop.filewatch import OwnWatches, Watch
from socketd.loop.wheel import Timer, Timers
from socketd.master.sensing import Sensing
from socketd.operations import log
from socketd.pool.tally import Tally
from socketd.programs.peer import Peer, Route
from socketd.workers.gate import Gate, Limits, SourceLimit

_REST_SECONDS = 1.0
_SETTLE_SECONDS = 0.1  # an editor writes a file in several steps
_MOST_LINES = 10
_NS_PER_SECOND = 1_000_000_000


class Doorkeeper:
    """The rules of one listener, in force on its gate.

    `note_refusals` is called where workers have sent somebody away, perhaps, without ringing.
    """

    def __init__(
        self,
        gate: Gate,
        wheel: Timers,
        watches: OwnWatches | None,
        clock: Callable[[], float] = time.monotonic,
        sensing: Sensing | None = None,
        note_refusals: Callable[[], None] = lambda: None,
    ) -> None:
        self._gate = gate
        self._note_refusals = note_refusals
        self._sensing = sensing or Sensing()
        self._table = b""
        self._wheel = wheel
        self._watches = watches
        self._clock = clock
        self._settings: ServiceSettings | None = None
        self._watch: Watch | None = None
        self._rest: Timer | None = None
        self._settling: Timer | None = None
        self._counts = dict.fromkeys(gate.take().by_reason, 0)
        self._taken: dict[str, int] = {}
        self._raw = b""
        self._has_joined = False

    def admit(self, settings: ServiceSettings) -> None:
        """Have these rules in force from now on."""
        self._settings = settings
        self._forget_files()
        if self._watches is not None and settings.admission.files:
            self._watch = self._watches.add(settings.admission.files, self._on_change)
        self.limit(settings)
        if not self._has_joined:  # behind the key of the gate
            self._has_joined = True
            self._sensing.join(self._gate)
        if self._gate.is_there or not settings.admission.is_open:
            self._put_in_force()

    def limit(self, settings: ServiceSettings) -> None:
        """Have as many and as frequent clients as these settings say from now on."""
        self._gate.limit(_limits_of(settings))

    def look(self) -> None:
        """Say who was sent away, if a worker has rung for that and it is not too soon.

        The same goes for what is in force, if somebody else has written there.
        """
        if self._rest is None and (self._gate.has_news or self._gate.is_altered):
            self._put_right()
            self._tell()
            self._rest = self._wheel.add(self._clock() + _REST_SECONDS, self._end_rest)

    @property
    def taken(self) -> dict[str, int]:
        """Return what `resume` wants to know."""
        return self._taken

    def resume(self, taken: dict[str, int]) -> None:
        """Go on where another has stopped with the same gate."""
        self._taken = taken

    def count_refused(self, tally: Tally) -> bool:
        """Count those who were sent away since the last time; tell whether there may be some."""
        raw = self._gate.raw_counts
        if raw == self._raw:
            return False
        self._raw = raw
        former, now = self._taken, self._gate.by_reason
        self._taken = now
        for reason, count in now.items():
            tally.refuse(reason, count - former.get(reason, 0))
        return True

    def close(self) -> None:
        """Do nothing any more."""
        self._forget_files()
        if self._rest is not None:
            self._wheel.cancel(self._rest)
            self._rest = None

    def _end_rest(self) -> None:
        self._rest = None
        self._gate.listen()  # first: who comes after the look rings
        was_altered = self._put_right()
        if self._tell() or was_altered:
            self._rest = self._wheel.add(self._clock() + _REST_SECONDS, self._end_rest)
        self._note_refusals()

    def _put_right(self) -> bool:
        """Have in force again what ought to be; tell whether that was needed."""
        if not self._gate.is_altered:
            return False
        self._gate.take_back()
        if self._gate.is_there:
            self._put_in_force()
        return True

    def _tell(self) -> bool:
        """Say who was sent away since the last time; tell whether there was somebody."""
        assert self._settings is not None
        service = self._settings.name
        taken = self._gate.take()
        new = {
            reason: count - self._counts[reason]
            for reason, count in taken.by_reason.items()
            if count > self._counts[reason]
        }
        self._counts = taken.by_reason
        self._sense([peer for peer, _, reason in taken.last if reason == DENIED])
        named = taken.last[-_MOST_LINES:]
        for peer, proxy, reason in named:
            log.emit("connection_refused", service=service, peer=Route(peer, proxy), reason=reason)
            new[reason] = new.get(reason, 0) - 1
        for reason, count in new.items():
            if count > 0:
                log.emit("connections_refused", service=service, count=count, reason=reason)
        return bool(named)

    def _sense(self, denied: list[Peer]) -> None:
        """Have all services keep out who was denied here, if this one is a sensor.

        Others may have written what the gate says, so what the rules say is asked again: whom they
        let in here is never kept out.
        """
        settings = self._settings
        assert settings is not None
        seconds = settings.admission.sensor_seconds
        if seconds is None:
            return
        strangers = [peer for peer in denied if not decide(self._table, peer).is_granted]
        new = [peer for peer in strangers if self._sensing.sense(peer, seconds)]
        for peer in new[-_MOST_LINES:]:
            log.emit("client_sensed", service=settings.name, peer=peer, duration_s=seconds)

    def _put_in_force(self) -> None:
        from socketd.config.access import access_to  # which most servers never need

        settings = self._settings
        assert settings is not None
        try:
            access = access_to(settings)
        except SocketdError as error:
            log.emit("rules_unusable", service=settings.name, reason=str(error))
            return
        self._table = b"" if settings.admission.sensor_seconds is None else access.table
        self._gate.put_in_force(access.table)
        allow, deny = len(access.rules.allow), len(access.rules.deny)
        log.emit("rules_in_force", service=settings.name, allow=allow, deny=deny)

    def _on_change(self) -> None:
        """Read the files again in a moment, and watch what is there then: it may be a new one."""
        if self._settling is None:
            self._settling = self._wheel.add(self._clock() + _SETTLE_SECONDS, self._read_again)

    def _read_again(self) -> None:
        self._settling = None
        if self._settings is not None:
            self.admit(self._settings)

    def _forget_files(self) -> None:
        if self._settling is not None:
            self._wheel.cancel(self._settling)
            self._settling = None
        if self._watch is not None and self._watches is not None:
            self._watches.remove(self._watch)
        self._watch = None


def _limits_of(settings: ServiceSettings) -> Limits:
    admission = settings.admission
    queue_seconds = admission.queue_seconds
    return Limits(
        SourceLimit(admission.source_limit, admission.ipv4_bits, admission.ipv6_bits),
        admission.rate,
        admission.source_rate,
        round(admission.longest_seconds * _NS_PER_SECOND),
        0 if queue_seconds is None else settings.pool.maximum,
        round((queue_seconds or 0.0) * _NS_PER_SECOND),
    )
