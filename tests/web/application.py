"""An application that nobody here wrote: what it is, and what is asked of it.

Must not know a web server, nor what runs the application.
"""

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.webservers import Answer

# A web server's own: lighttpd says less if an answer has not ended when it begins to pass it on.
_NOT_COMPARED = ("date", "connection", "transfer-encoding", "accept-ranges", "content-length")

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Request:
    """One request: the path behind the application's own, and what its answer has to be."""

    path: str = ""
    status: int = 200
    holds: bytes = b""
    """What is in the body if the application does its work, so that not only errors are equal."""
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name it in a failure."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Installed:
    """An application with its data: a command, and what is in its environment."""

    program: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Application:
    """One row of a table: an application, how it gets its data, what it is asked."""

    name: str
    package: str
    file: str
    """A file of the package, by which one sees whether it is there."""
    install: Callable[[Path], Installed]
    """Make its data in a folder."""
    requests: tuple[Request, ...]
    differs: tuple[str, ...] = ()
    """Patterns of what is another text in each answer: a time, a number of the request."""
    user: str | None = None
    """As whom it runs if we are root and it refuses to be."""
    kinds: tuple[str, ...] = ("nginx", "lighttpd")
    """The web servers; one for what takes a second to start."""

    def __str__(self) -> str:
        """Name it in the list of tests."""
        return self.name

    def differences(self, expected: Answer, found: Answer) -> list[str]:
        """Return the lines of an answer that are not as in another one."""
        return [
            line.rstrip()
            for line in difflib.unified_diff(self._lines(expected), self._lines(found), n=0)
            if not line.startswith(("---", "+++", "@@"))
        ]

    def _lines(self, answer: Answer) -> list[str]:
        headers = [
            f"{name.lower()}: {self._without_differences(value)}"
            for name, value in answer.headers
            if name.lower() not in _NOT_COMPARED
        ]
        try:
            text = self._without_differences(answer.body.decode())
        except UnicodeDecodeError:  # a picture or an archive
            text = f"{len(answer.body)} bytes, {hashlib.sha256(answer.body).hexdigest()}"
        return [f"status {answer.status}", *sorted(headers), *text.splitlines()]

    def _without_differences(self, text: str) -> str:
        for pattern in self.differs:
            text = re.sub(pattern, "...", text)
        return text


def script(file: Path, text: str) -> Path:
    """Write a program."""
    file.write_text(text)
    file.chmod(0o755)
    return file
