"""A service manager as a test plays it: it binds, hands over, and listens to notifications."""

import socket
import sys
from types import TracebackType
from typing import Any, Self

from harness.waiting import CAP_SECONDS


class NotifySocket:
    """A datagram socket that notifications arrive at, with an address for NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.socket.settimeout(CAP_SECONDS)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self.socket.close()

    def receive(self) -> dict[str, str]:
        """Wait for the next message; return its assignments."""
        text = self.socket.recv(65536).decode()
        return dict(line.split("=", 1) for line in text.split("\n"))

    def receive_until(self, variable: str) -> list[dict[str, str]]:
        """Return the messages up to the first that has a variable, that one included."""
        messages = [self.receive()]
        while variable not in messages[-1]:
            messages.append(self.receive())
        return messages


# The standard way: only between fork and exec is the pid known that LISTEN_PID must name.
_LAUNCHER = """
import fcntl, os, sys
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 50) for fd in sys.argv[1].split(",")]
for place, fd in enumerate(high):
    os.dup2(fd, 3 + place)
    os.close(fd)
os.closerange(3 + len(high), 50)
own = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high))}
os.execvpe(sys.argv[2], sys.argv[2:], own | dict(os.environ))
"""


def passing(*sockets: socket.socket) -> dict[str, Any]:
    """Return the options of a Server that has these sockets passed to it.

    Variables of the test's own environment win, so that a test can tell lies.
    """
    fds = tuple(one.fileno() for one in sockets)
    prefix = [sys.executable, "-I", "-S", "-c", _LAUNCHER, ",".join(map(str, fds))]
    return {"prefix": prefix, "pass_fds": fds}
