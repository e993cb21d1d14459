"""One start of one server: an address, a directory, a process that answers, and its certain end.

Must not know how a server is called (that is its entry in the table) nor what is measured.
"""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from bench.processes import end_all, wait_until
from bench.servers import HOST, Launch, Program, Server

_START_SECONDS = 30
_STOP_SECONDS = 3
# below the ports that the kernel hands out to clients, and a new one for each start: a port that
# has just been used may be held by connections in TIME_WAIT
_ports = count(10000 + os.getpid() % 15000)


class BenchError(Exception):
    """A server or the load program could not do what was asked."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that has answered its first connection."""

    pid: int
    address: str


@contextlib.contextmanager
def launching(command: str, program: Program, workers: int) -> Iterator[Launch]:
    """Choose an address and a directory; leave no process below this one and no file."""
    with tempfile.TemporaryDirectory(prefix="socketd-bench-") as directory:
        try:
            yield Launch(command, program, directory, unused_port(), workers)
        finally:
            end_all()


@contextlib.contextmanager
def serving(server: Server, command: str, program: Program, workers: int) -> Iterator[Running]:
    """Run a server in a session of its own, and go on once it has answered a first connection."""
    with launching(command, program, workers) as launch:
        address = launch.path if server.is_unix else f"{HOST}:{launch.port}"
        log = os.path.join(launch.directory, "stderr")
        with open(log, "wb") as stderr:
            process = subprocess.Popen(
                [command, *server.arguments(launch)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )

        def is_settled() -> bool:
            return process.poll() is not None or _answers(address)

        if not wait_until(is_settled, _START_SECONDS) or process.poll() is not None:
            with open(log, encoding="utf-8", errors="replace") as file:
                reason = file.read().strip()[-500:]
            raise BenchError(f"{server.key} does not answer with {program.key!r}: {reason}")
        try:
            yield Running(process.pid, address)
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)


def unused_port() -> int:
    """Return a port that nobody listens on, and that has not been used before."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise AssertionError("the ports never end")


def _answers(address: str) -> bool:
    """Exchange one line, so that what follows finds every page and every file in the cache."""
    is_unix = "/" in address
    with socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET) as client:
        client.settimeout(5)
        try:
            client.connect(address if is_unix else (HOST, int(address.rpartition(":")[2])))
            client.sendall(b"ready?\n")
            return client.recv(64) == b"ready?\n"
        except OSError:
            return False
