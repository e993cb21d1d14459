"""What the log says of a service's connections, after it has said that the service is ready.

Owns the order. Must not know when a service is ready, nor what is said of a connection.

A client that waits in the kernel's queue is served by the first worker that is born, maybe before
the others of the first are. What is said of it is kept until then: that is less than a first worker
each, as a service counts as ready once so many have waited or accepted.
"""

from socketd.operations import log


class ConnectionLog:
    """The log, as far as it is about connections."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, dict[str, object]]] | None = []

    def emit(self, event: str, **keys: object) -> None:
        """Print an event, or keep it until `open`."""
        if self._kept is None:
            log.emit(event, **keys)
        elif log.is_enabled(event):
            self._kept.append((event, keys))

    def open(self) -> None:
        """Print what was kept, and all that follows."""
        kept, self._kept = self._kept, None
        for event, keys in kept or ():
            log.emit(event, **keys)
