"""A control socket with nobody behind it: it says the state that a test has set."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "state.json"

Document = dict[str, Any]


def example() -> Document:
    """Return the state of the documents, for a test to change."""
    document: Document = json.loads(EXAMPLE.read_text())
    return document


class ControlSocket:
    """Answers each line with `document`, or with `raw` if that is set; `heard` is what was asked.

    `orders` is what is wrong with each order, if that is set.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.document = example()
        self.raw: bytes | None = None
        self.heard: list[bytes] = []
        self.orders: bytes | None = None
        self._client: socket.socket | None = None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Take the socket and its client away; whoever asks then is refused."""
        self._listener.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):  # there is none any more
            if self._client is not None:
                self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.path.unlink()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._client = connection
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5.0)
                while heard := connection.recv(65536):
                    self.heard.append(heard)
                    line = json.dumps(self.document).encode() if self.raw is None else self.raw
                    if self.orders is not None and b'"do"' in heard:
                        line = b'{"format": 1, "error": "%b", "code": 64}' % self.orders
                    connection.sendall(line + b"\n")


@contextlib.contextmanager
def controlled(path: Path) -> Iterator[ControlSocket]:
    """Have such a socket for a while."""
    control = ControlSocket(path)
    try:
        yield control
    finally:
        if control.path.exists():
            control.close()
