"""A `socket` command, or a foreign peer, as a user runs it: with its three streams on pipes."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO

from harness.processes import kill_marked, marked
from harness.servers import SOCKET, Outcome, clean_environment
from harness.waiting import CAP_SECONDS, wait_for

Stream = int | IO[bytes] | None


class Command:
    """A running command; stderr is read all the time, stdin and stdout when the test asks."""

    def __init__(
        self,
        *arguments: str,
        executable: str = SOCKET,
        stdin: Stream = subprocess.PIPE,
        stdout: Stream = subprocess.PIPE,
        cwd: Path | None = None,
        **environment: str,
    ) -> None:
        self.mark = uuid.uuid4().hex
        self.arguments = [executable, *arguments]
        self.process = subprocess.Popen(
            self.arguments,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=clean_environment(self.mark) | environment,
            start_new_session=True,
            cwd=cwd,
        )
        self._stderr: list[str] = []
        self._reader = threading.Thread(target=self._read_stderr)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.process.pid

    @property
    def stderr(self) -> str:
        """Return what has been printed on stderr so far."""
        return "".join(self._stderr)

    def wait_stderr(self, pattern: str) -> re.Match[str]:
        """Wait until stderr matches a pattern."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(re.finditer(pattern, self.stderr, re.MULTILINE))
            return bool(found)

        wait_for(look, f"{pattern!r} on stderr of {self.arguments}")
        return found[0]

    @property
    def port(self) -> int:
        """Wait for a server and return its port."""
        return int(self.wait_stderr(r"^inet: listening on port (\d+)")[1])

    def write(self, payload: bytes) -> None:
        """Write to stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(payload)
        self.process.stdin.flush()

    def end_input(self) -> None:
        """Close stdin."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes from stdout, fewer only at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read(size)

    def finish(self, payload: bytes = b"") -> tuple[bytes, int]:
        """Send the payload and the end of input; return all of stdout and the exit code."""
        assert self.process.stdin is not None
        sender = threading.Thread(target=self.finish_input, args=(payload,))
        sender.start()
        try:
            return self.drain()
        finally:
            sender.join()

    def drain(self) -> tuple[bytes, int]:
        """Return all of stdout and the exit code."""
        assert self.process.stdout is not None
        output = self.process.stdout.read()
        return output, self.wait()

    def wait(self) -> int:
        """Return the exit code of a command that is about to end, its stderr read."""
        status = self.process.wait(CAP_SECONDS)
        self._reader.join(CAP_SECONDS)
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def close(self) -> None:
        """Kill what is left, and fail if that is anything but the command itself."""
        with contextlib.suppress(ProcessLookupError):
            if self.process.poll() is None:
                self.process.kill()
        self.process.wait(CAP_SECONDS)
        try:
            wait_for(lambda: not marked(self.mark), f"all of {self.arguments} is gone", 5.0)
        finally:
            kill_marked(self.mark)
            self._reader.join(CAP_SECONDS)
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def finish_input(self, payload: bytes) -> None:
        """Write a payload to stdin and close it."""
        with contextlib.suppress(BrokenPipeError):
            if payload:
                self.write(payload)
        self.end_input()

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            self._stderr.append(raw.decode(errors="replace"))


StartCommand = Callable[..., Command]


def run_command(*arguments: str, payload: bytes = b"", cwd: Path | None = None) -> Outcome:
    """Run `socket` to its end with a payload on stdin."""
    command = Command(*arguments, cwd=cwd)
    try:
        output, status = command.finish(payload)
        return Outcome(status, output.decode(errors="replace"), command.stderr)
    finally:
        command.close()


def listening_port(pid: int) -> int | None:
    """Return the TCP port that a process listens on, None as long as there is none."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                return int(fields[1].rpartition(":")[2], 16)
    return None
