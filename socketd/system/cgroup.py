"""Control groups of version 2, which are directories: finding our own, making, filling, emptying.

Owns paths and files of the hierarchy. Must not know what a group is for.

Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst. A group that hands a controller on to
the groups in it can have no process of its own, unless it is the root of all.
"""

import contextlib
import errno
import os
from collections.abc import Iterable

_PROCESSES = "cgroup.procs"
_MOST_BYTES = 1 << 16


class NoGroupError(Exception):
    """There is no group as it is wanted; the text says why."""


def own_group() -> str:
    """Return the directory of this process's group. Raises NoGroupError."""
    place = next((line[3:] for line in _lines("/proc/self/cgroup") if line.startswith("0::")), None)
    mount = _mount()
    if place is None or mount is None:
        raise NoGroupError("cgroups of version 2 are not mounted")
    path = os.path.normpath(mount + place)
    if not is_group(path):
        raise NoGroupError(f"the own group, {place!r}, is not below {mount!r}")
    return path


def is_group(path: str) -> bool:
    """Tell whether a directory is a group of version 2."""
    return os.path.isfile(os.path.join(path, "cgroup.controllers"))


def is_root(path: str) -> bool:
    """Tell whether a group is the root of all, which belongs to nobody."""
    return not os.path.exists(os.path.join(path, "cgroup.type"))


def controllers(path: str) -> list[str]:
    """Return what can be limited in the groups of a group. Raises OSError."""
    return _read(os.path.join(path, "cgroup.controllers")).split()


def hand_on(path: str, names: Iterable[str]) -> None:
    """Have these controllers in the groups of a group. Raises OSError."""
    write(path, "cgroup.subtree_control", " ".join(f"+{name}" for name in names))


def processes(path: str) -> list[int]:
    """Return the processes in a group itself. Raises OSError."""
    return [int(word) for word in _read(os.path.join(path, _PROCESSES)).split()]


def enter(path: str, pid: int = 0) -> None:
    """Have a process in a group, this one without a process id. Raises OSError."""
    write(path, _PROCESSES, str(pid))


def own_file(path: str, uid: int) -> None:
    """Let a user put processes of its own into a group. Raises OSError."""
    os.chown(os.path.join(path, _PROCESSES), uid, -1)


def write(path: str, name: str, text: str) -> None:
    """Write into a file of a group. Raises OSError."""
    fd = os.open(os.path.join(path, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def make(path: str) -> None:
    """Make a group that may be there already. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o755)


def is_populated(path: str) -> bool:
    """Tell whether a process is alive in a group or in those within. Raises OSError."""
    return "populated 1" in _read(os.path.join(path, "cgroup.events"))


def end(path: str) -> None:
    """Kill whatever is in a group and in those within. Raises OSError."""
    write(path, "cgroup.kill", "1")


def remove(path: str) -> bool:
    """Remove a group and those in it, as far as they are empty; tell whether it is gone."""
    with contextlib.suppress(FileNotFoundError):
        with os.scandir(path) as entries:
            inner = [one.path for one in entries if one.is_dir(follow_symlinks=False)]
        for one in inner:
            remove(one)
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.EACCES, errno.EPERM):
            raise
        return False
    return True


def _mount() -> str | None:
    """Return where the hierarchy is mounted."""
    for line in _lines("/proc/self/mountinfo"):
        before, _, behind = line.partition(" - ")
        if behind.startswith("cgroup2 "):
            return before.split()[4].encode().decode("unicode_escape")
    return None


def _lines(path: str) -> list[str]:
    try:
        return _read(path).splitlines()
    except OSError:
        return []


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(_MOST_BYTES).decode(errors="replace")
