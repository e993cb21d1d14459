"""Activation by the real systemd-socket-activate, and restarts behind a socket that stays."""

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness.clients import Place, connect, exchange
from harness.extent import by_extent
from harness.managers import passing
from harness.servers import SOCKET, Server

pytestmark = pytest.mark.slow

ACTIVATE = shutil.which("systemd-socket-activate")
needs_activate = pytest.mark.skipif(
    ACTIVATE is None, reason="systemd-socket-activate is not installed"
)
_CLIENTS = 4
_RESTARTS = by_extent(3, 6)
_SERVED = by_extent(30, 100)


@needs_activate
@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_socket_activate_starts_us_at_the_first_connection(family: str, tmp_path: Path) -> None:
    """It binds, waits for a client and execs us with the socket, by name; that client is served."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    place: Place = str(tmp_path / "s") if family == "unix" else ("127.0.0.1", port)
    address = place if isinstance(place, str) else f"127.0.0.1:{port}"
    process = subprocess.Popen(
        [str(ACTIVATE), "-l", address, "--fdname=web", SOCKET, "-p", "cat", "-W", "2", "-s"],
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("Listening on"):
            assert process.poll() is None

        assert exchange(place, b"hello") == b"hello"
        assert exchange(place, b"again") == b"again"

        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


class Clients:
    """Threads that connect and talk without a pause until they are told to end."""

    def __init__(self, place: Place) -> None:
        self.served = 0
        self.errors: list[str] = []
        self._place = place
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._enough = threading.Condition(self._lock)
        self._threads = [threading.Thread(target=self._talk, args=(i,)) for i in range(_CLIENTS)]
        for thread in self._threads:
            thread.start()

    def wait_served(self, count: int) -> None:
        """Wait until so many more were served."""
        with self._enough:
            goal = self.served + count
            assert self._enough.wait_for(lambda: self.served >= goal or self.errors, 20)

    def end(self) -> None:
        """Let each finish what it has begun."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)

    def _talk(self, number: int) -> None:
        turn = 0
        while not self._is_over.is_set():
            turn += 1
            payload = b"%d %d" % (number, turn)
            try:
                with connect(self._place) as connection:
                    connection.sendall(payload)
                    connection.shutdown(socket.SHUT_WR)
                    reply = b"".join(iter(lambda c=connection: c.recv(100), b""))  # type: ignore[misc]  # bound at once
                error = None if reply == payload else f"{payload!r} answered by {reply!r}"
            except OSError as failure:
                error = repr(failure)
            with self._enough:
                self.served += 1
                if error is not None:
                    self.errors.append(error)
                self._enough.notify_all()


# Who accepts makes no difference to what becomes of a socket of either kind at the end of a server.
@needs_activate
@pytest.mark.parametrize(
    ("family", "worker"), [("tcp", "native"), ("unix", "native"), ("tcp", "python")]
)
def test_restarts_behind_a_socket_that_stays_lose_no_connection(
    family: str, worker: str, tmp_path: Path
) -> None:
    """Stopped and started over and over under systemd-socket-activate: no client notices."""
    if family == "tcp":
        listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        place: Place = listening.getsockname()
    else:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(tmp_path / "s"))
        listening.listen(512)
        place = str(tmp_path / "s")
    with listening:
        clients = Clients(place)
        try:
            for _ in range(_RESTARTS):
                server = _start_activated(listening, worker)
                clients.wait_served(_SERVED)
                assert server.stop() == 0
                server.close()
            last = _start_activated(listening, worker)
            clients.wait_served(_SERVED)
            clients.end()
            last.close()
        finally:
            clients.end()

    assert clients.errors == []
    assert clients.served >= (_RESTARTS + 1) * _SERVED


def _start_activated(listening: socket.socket, worker: str) -> Server:
    """Start a server by systemd-socket-activate, which is passed the socket itself."""
    options = passing(listening)
    keep = [f"-E{name}" for name in ("SOCKETD_TEST_MARK",)]
    options["prefix"] += [str(ACTIVATE), *keep]
    server = Server(["--worker", worker, "-p", "cat", "-W", "4", "-s"], **options)
    server.is_quiet = False  # it says what it does, on the same stderr
    return server
