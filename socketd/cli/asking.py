"""Which server a command of `socketd` is about.

Owns the way from what a user gives (a configuration file, a pid file, a path, or nothing) to a
control socket. Must not know what is asked there.
"""

import contextlib
import os
import re
from pathlib import Path

from socketd.config.file import OFF, control_in
from socketd.control.place import find, find_of_process, find_only
from socketd.dataclass import dataclass
from socketd.errors import ConfigurationError, UsageError, describe_errno
from socketd.operations.pidfile import writer_of
from socketd.system.directory import absolute

_PID = re.compile(r"\s*[0-9]{1,10}\s*")
_MOST_BYTES = 64


@dataclass(frozen=True, slots=True)
class Target:
    """What a user has said of a server."""

    file: str | None = None
    control: str | None = None
    pid_file: str | None = None

    def pid(self) -> int:
        """Return its process id, for who has named a pid file. Raises UsageError."""
        assert self.pid_file is not None
        return _pid_in(self.pid_file)

    def check(self, pid: int) -> None:
        """Raise UsageError if the process of the pid file is no server of ours.

        One of ours has locked the file, or calls itself so.
        """
        assert self.pid_file is not None
        with contextlib.suppress(OSError):
            with open(self.pid_file, "rb") as file:
                if writer_of(file.fileno()) == pid:
                    return
            if b"socketd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return
        raise UsageError(
            f"process {pid} is no server of socketd: the pid file {self.pid_file!r} is left over; "
            "remove it"
        )

    def path(self) -> str:
        """Return the path of its control socket. Raises UsageError if that is not known."""
        if self.control is not None:
            return absolute(self.control)
        if self.pid_file is not None:
            return find_of_process(_pid_in(self.pid_file))
        if self.file is None:
            return find_only(os.geteuid())
        file = absolute(self.file)
        usual = find(file, os.environ, os.geteuid())
        try:
            found = control_in(file)
        except ConfigurationError as error:
            if os.path.exists(usual):
                return usual
            raise UsageError(
                f"{error}; so it does not say where its server is asked: give the path of the "
                "control socket with --control"
            ) from error
        if found == OFF:
            raise UsageError(f"{self.file}: its server has no control socket: control is {OFF!r}")
        return found or usual


def _pid_in(path: str) -> int:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            content = file.read(_MOST_BYTES)
    except OSError as error:
        why = describe_errno(error.errno or 0)
        raise UsageError(f"cannot read the pid file {path!r}: {why}") from error
    if not _PID.fullmatch(content):
        raise UsageError(f"{path!r} is no pid file: it does not hold one process id; give another")
    return int(content)
