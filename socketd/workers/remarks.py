"""What workers with a front have to say of requests, for the log.

Owns which of it is worth a line, and how often. Must not know whose worker it was, nor what becomes
of a connection.

A web server that sends a variable which is left out does so with each request, so each name is told
once in a generation. Some names are a client's choice: there are so many lines at most.
"""

from socketd.workers.connection_log import ConnectionLog
from socketd.workers.layout import Remark, RemarkKind

_MOST_NAMES = 16


class Remarks:
    """Logs the remarks of one service's workers."""

    def __init__(self, service: str, connection_log: ConnectionLog) -> None:
        self._service = service
        self._log = connection_log
        self._generation = -1
        self._told: set[str] = set()

    def tell(
        self, kind: RemarkKind, remark: Remark, who: tuple[int, object, str], generation: int
    ) -> None:
        """Print what is new; `who` are process, client, and what the connection is called."""
        pid, peer, called = who
        if kind is RemarkKind.REFUSED:
            self._log.emit(
                "request_refused",
                service=self._service,
                pid=pid,
                peer=peer,
                id=called,
                status=remark.status,
                reason=remark.reason,
                variable=remark.name or None,
                trace=remark.trace or None,
            )
        elif self._is_new(remark.name, generation):
            self._log.emit(
                "variable_left_out",
                service=self._service,
                variable=remark.name,
                others=max(remark.count - 1, 0),
            )

    def _is_new(self, name: str, generation: int) -> bool:
        if generation != self._generation:
            self._generation = generation
            self._told = set()
        if name in self._told or len(self._told) == _MOST_NAMES:
            return False
        self._told.add(name)
        return True
