"""Clients that have connected to a sensor, and are kept out of all services for a time.

Owns the list, how long it gets, and that each gate has it. Must not know who is a sensor, nor what
becomes of a client. Workers compare times themselves, so nothing has to be done when one is up.
"""

import time
from collections.abc import Callable

from socketd.programs.peer import Peer
from socketd.workers.gate import Gate
from socketd.workers.sensed import MOST_SENSED, can_be_sensed
from socketd.workers.sources import ONE_HOST, name_of

_NS_PER_SECOND = 1_000_000_000


class Sensing:
    """Who is kept out, on the gates of all services; `passed` is what a predecessor has left.

    `clock_ns` gives monotonic nanoseconds.
    """

    def __init__(
        self, passed: dict[str, int] | None = None, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._clock_ns = clock_ns
        self._until_ns = {bytes.fromhex(name): until for name, until in (passed or {}).items()}
        self._gates: list[Gate] = []

    @property
    def passed_on(self) -> dict[str, int]:
        """Return what a successor has to know: until when each source is kept out."""
        self._forget()
        return {name.hex(): until_ns for name, until_ns in self._until_ns.items()}

    def join(self, gate: Gate) -> None:
        """Have the list on one more gate, until that is gone."""
        self._forget()
        self._gates = [one for one in self._gates if not one.is_gone]
        self._gates.append(gate)
        for name, until_ns in self._until_ns.items():
            gate.keep_out(name, until_ns)

    def sense(self, client: Peer, seconds: float) -> bool:
        """Keep a client out from now on for a time; tell whether it was not kept out before."""
        if not can_be_sensed(client.family):
            return False
        now_ns, name = self._clock_ns(), name_of(client, ONE_HOST)
        is_new = self._until_ns.get(name, 0) <= now_ns
        if is_new and len(self._until_ns) >= MOST_SENSED:
            self._make_room()
        until_ns = max(self._until_ns.get(name, 0), now_ns + round(seconds * _NS_PER_SECOND))
        self._until_ns[name] = until_ns
        self._gates = [one for one in self._gates if not one.is_gone]
        for gate in self._gates:
            gate.keep_out(name, until_ns)
        return is_new

    def _make_room(self) -> None:
        """Forget who is not kept out any more, or who would soonest be let in again."""
        self._forget()
        if len(self._until_ns) >= MOST_SENSED:
            del self._until_ns[min(self._until_ns, key=self._until_ns.__getitem__)]

    def _forget(self) -> None:
        now_ns = self._clock_ns()
        self._until_ns = {one: until for one, until in self._until_ns.items() if until > now_ns}
