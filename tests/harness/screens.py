"""A command on a terminal of its own, and what it shows there as a person would see it."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
import uuid
from typing import Self

import pyte

from harness.processes import kill_marked
from harness.servers import clean_environment
from harness.waiting import CAP_SECONDS

_READ_BYTES = 1 << 16


class ScreenedCommand:
    """A command whose terminal has a size; `lines` are what is on it."""

    def __init__(self, *command: str, width: int = 80, height: int = 24, **more: str) -> None:
        self._mark = uuid.uuid4().hex
        environment = clean_environment(self._mark) | {"TERM": "xterm-256color"} | more
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self._status: int | None = None
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.read(0, 1)  # the size comes first
            os.execve(command[0], command, environment)
        self.resize(width, height)
        self.press("\n")

    def __enter__(self) -> Self:
        """Lend the command."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what is left and give the terminal up."""
        kill_marked(self._mark)
        if self._status is None:
            os.waitpid(self._pid, 0)
        os.close(self._terminal)

    @property
    def pid(self) -> int:
        """Return the process id of the command."""
        return self._pid

    @property
    def lines(self) -> list[str]:
        """Return the lines on the terminal, as far as they were read."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def attributes(self) -> list[object]:
        """Return how the terminal is set, as a shell gets it afterwards."""
        return termios.tcgetattr(self._terminal)

    def resize(self, width: int, height: int) -> None:
        """Give the terminal another size, and tell who is on it."""
        self._screen.resize(height, width)
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._terminal, keys.encode())

    def click(self, x: int, y: int) -> None:
        """Press and release the first button of a mouse at a place, counted from 0."""
        self.press(f"\x1b[<0;{x + 1};{y + 1}M\x1b[<0;{x + 1};{y + 1}m")

    def click_on(self, pattern: str) -> None:
        """Click on the first place where a pattern matches; wait first until all is drawn."""
        for y, line in enumerate(self.lines):
            if found := re.search(pattern, line):
                self.click(found.start(), y)
                return
        raise AssertionError(f"no {pattern!r} on the screen: {self.lines}")

    def wait_for(self, *texts: str, without: str | None = None) -> str:
        """Wait until all of some texts are on the screen, and another is not; return the screen."""
        deadline = time.monotonic() + CAP_SECONDS
        while True:
            shown = "\n".join(self.lines)
            if all(text in shown for text in texts) and (without is None or without not in shown):
                return shown
            if time.monotonic() > deadline or not self._read(deadline - time.monotonic()):
                raise AssertionError(f"no {texts} on the screen:\n{shown}")

    def wait_end(self) -> int:
        """Wait until the command has ended; return its exit code."""
        while self._read(CAP_SECONDS):
            pass
        _, status = os.waitpid(self._pid, 0)
        self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def _read(self, seconds: float) -> bool:
        """Read what comes; tell whether something did."""
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        if not ready:
            return False
        try:
            part = os.read(self._terminal, _READ_BYTES)
        except OSError:  # nobody has it open any more
            return False
        self.raw += part
        self._stream.feed(part)
        return True
