"""A running fcgi2cgi with a connection to it, as a web server and a super-server see it."""

import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import termios
import uuid
from pathlib import Path

from harness.clients import TIMEOUT_SECONDS
from harness.fastcgi import Answer, Peer, Record, request
from harness.processes import MARK_NAME, ProcessView, kill_marked, marked
from harness.waiting import CAP_SECONDS, wait_for

HEAD = r"printf 'Content-Type: text/plain\r\n\r\n'"


def connected(family: str) -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection."""
    if family == "unix":
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ours.settimeout(TIMEOUT_SECONDS)
    return ours, theirs


class Wrapper:
    """The process, its connection, and what it has started."""

    def __init__(
        self,
        executable: Path,
        *arguments: str,
        family: str = "unix",
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.mark = uuid.uuid4().hex
        ours, theirs = connected(family)
        self.peer = Peer(ours)
        marking = ["--env", f"{MARK_NAME}={self.mark}"]
        with theirs:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                [str(executable), *marking, *arguments],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env={"PATH": os.environ["PATH"], MARK_NAME: self.mark, **(environment or {})},
                cwd=cwd,
            )

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.process.pid

    def ask(
        self,
        params: dict[str, str] | None = None,
        body: bytes = b"",
        request_id: int = 1,
        *,
        keep: bool = True,
    ) -> Answer:
        """Send a whole request and return its answer."""
        self.peer.send(request(params, body, request_id, keep=keep))
        return self.peer.read_answer(request_id)

    def send_and_see_read(self, part: bytes) -> None:
        """Send bytes, and wait until they have been taken off the connection."""
        self.peer.connection.sendall(part)
        wait_for(lambda: self._unread() == 0, "the part has been read")

    def programs(self) -> list[ProcessView]:
        """Return the living processes that requests have started."""
        return [one for one in marked(self.mark) if one.pid != self.pid]

    def wait_programs(self, count: int) -> list[ProcessView]:
        """Wait until requests have so many processes alive."""
        return wait_for(
            lambda: found if len(found := self.programs()) == count else [],
            f"{count} processes of requests",
        )

    def wait_no_programs(self) -> None:
        """Wait until no process of a request is alive."""
        wait_for(lambda: not self.programs(), "no process of a request is left")

    def wait(self) -> int:
        """Return the exit code."""
        return self.process.wait(CAP_SECONDS)

    def memory_kib(self) -> int:
        """Return the most memory that the process has had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    def close(self) -> None:
        """Close the connection, see everything end, and nothing said."""
        self.peer.close()
        try:
            self.process.wait(CAP_SECONDS)
            wait_for(lambda: not marked(self.mark), "everything of the wrapper is gone")
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            kill_marked(self.mark)
            self.process.wait(CAP_SECONDS)
            assert self.process.stderr is not None
            said = self.process.stderr.read()
            self.process.stderr.close()
        assert said == b""

    def _unread(self) -> int:
        answer = fcntl.ioctl(self.peer.connection, termios.TIOCOUTQ, b"\0" * 4)
        return int(struct.unpack("i", answer)[0])


def end_of(record: Record | None) -> tuple[int, int]:
    """Return the exit status and the protocol status of an END_REQUEST record."""
    assert record is not None
    assert record.type == 3, record
    app_status, protocol_status = struct.unpack(">IB3x", record.content)
    return app_status, protocol_status
