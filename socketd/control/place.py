"""Where control sockets are: the usual place of a server's, and which there are on this machine.

Owns the names. Must not know what is said on a socket, nor how a configuration is read.

A server may be started by a service manager, with a directory of its own that nobody at a terminal
knows. So the usual name is made from the path of the configuration file, and the kernel's list of
UNIX sockets tells in which directory a socket of that name is.
"""

import contextlib
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping

from socketd.dataclass import dataclass
from socketd.errors import UsageError

_OF_SYSTEM = "/run"
_NAME = re.compile(r"socketd-[0-9a-f]{8}\.control")
_LISTENS = 0x10000  # linux/net.h: __SO_ACCEPTCON
_PATH_FIELD = 7
_MOST_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Place:
    """Where a socket ought to be, None for nowhere; whether somebody has asked for that."""

    path: str | None
    is_asked_for: bool


def usual_path(file: str, environment: Mapping[str, str], uid: int) -> str | None:
    """Return where the server of a file listens if the file does not say; None for nowhere."""
    given = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    of_user = _OF_SYSTEM if uid == 0 else environment.get("XDG_RUNTIME_DIR", "")
    folder = given or of_user
    return os.path.join(folder, _name_of(file)) if os.path.isabs(folder) else None


def find(file: str, environment: Mapping[str, str], uid: int) -> str:
    """Return the path of the control socket of the server of a file, as far as that is known."""
    usual = usual_path(file, environment, uid)
    name = _name_of(file)
    for path in _listening():
        if os.path.basename(path) == name:
            return path
    return usual or os.path.join(_OF_SYSTEM, name)


def find_only(user: int) -> str:
    """Return the path of the one server that there is. Raises UsageError for none or several."""
    found = [path for path in _listening() if _NAME.fullmatch(os.path.basename(path))]
    ours = [path for path in found if user == 0 or _owner_of(path) == user]
    if len(ours) == 1:
        return ours[0]
    if not ours:
        raise UsageError(
            "no running server was found that has a control socket in its usual place; give its "
            "configuration file, or the path of the socket with --control"
        )
    raise UsageError(
        f"there are several servers; give the configuration file of one, or --control with one of "
        f"{', '.join(sorted(ours))}"
    )


def find_of_process(pid: int) -> str:
    """Return the path of the control socket that a process listens on. Raises UsageError."""
    held = set()
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found = os.stat(f"/proc/{pid}/fd/{fd}")
                if stat.S_ISSOCK(found.st_mode):
                    held.add(found.st_ino)
    for inode, path in _listening_by_inode():
        if inode in held and path.endswith(".control"):
            return path
    raise UsageError(
        f"process {pid} has no control socket whose name ends with .control, or is another user's; "
        "give the path of the socket with --control"
    )


def _name_of(file: str) -> str:
    return f"socketd-{zlib.crc32(os.fsencode(file)):08x}.control"


def _owner_of(path: str) -> int | None:
    with contextlib.suppress(OSError):
        return os.stat(path).st_uid
    return None


def _listening() -> Iterator[str]:
    return (path for _, path in _listening_by_inode())


def _listening_by_inode() -> Iterator[tuple[int, str]]:
    """Yield number and path of each UNIX socket that somebody listens on, as proc(5) has it."""
    with contextlib.suppress(OSError), open("/proc/net/unix", "rb") as file:
        for line in file.read(_MOST_BYTES).splitlines()[1:]:
            fields = line.split(None, _PATH_FIELD)
            if len(fields) > _PATH_FIELD and int(fields[3], 16) & _LISTENS:
                yield int(fields[_PATH_FIELD - 1]), os.fsdecode(fields[_PATH_FIELD])
