"""A shell's job in the background of a terminal of its own, whose `tostop` is set."""

import contextlib
import os
import pty
import select
import signal
import termios
from typing import Self

from harness.processes import MARK_NAME, kill_marked, view
from harness.servers import clean_environment
from harness.waiting import CAP_SECONDS, wait_for


class BackgroundJob:
    """A command that a terminal stops when it writes there, or reads."""

    def __init__(self, mark: str, *command: str) -> None:
        self._mark = mark
        environment = clean_environment(mark)
        self._text = b""
        self._shell, self._terminal = pty.fork()
        if self._shell == 0:
            # What only keeps the job from being orphaned must not be taken for a part of it.
            os.environ.pop(MARK_NAME, None)
            attributes = termios.tcgetattr(0)
            attributes[3] |= termios.TOSTOP
            termios.tcsetattr(0, termios.TCSANOW, attributes)
            job = os.fork()
            if job == 0:
                os.setpgid(0, 0)
                os.execve(command[0], command, environment)
            os.write(1, f"job {job}\n".encode())
            os._exit(abs(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])))
        self.pid = int(self.wait_text(b"\n").split()[1])

    def __enter__(self) -> Self:
        """Lend the job."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what is left and give the terminal up."""
        kill_marked(self._mark)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._shell, signal.SIGKILL)
        os.waitpid(self._shell, 0)
        os.close(self._terminal)

    @property
    def is_stopped(self) -> bool:
        """Tell whether the terminal, or somebody else, has stopped it."""
        found = view(self.pid)
        return found is not None and found.state == "T"

    def wait_text(self, text: bytes) -> bytes:
        """Wait until the terminal shows a text, and return all that it has shown."""
        while text not in self._text:
            ready, _, _ = select.select([self._terminal], [], [], CAP_SECONDS)
            assert ready, f"no {text!r} on the terminal: {self._text!r}"
            self._text += os.read(self._terminal, 4096)
        return self._text

    def wait_end(self) -> None:
        """Wait until the job has ended."""
        wait_for(lambda: view(self.pid) is None, "the job has ended")
