"""Landlock, by which a process gives up files and ports for itself and all its children.

Owns its system calls, and which rights there are at which version. Must not know what is given up,
nor why.

Source: landlock(7), linux/landlock.h. A ruleset names the rights that it is about; what no rule
grants of those is refused. A rule is for a file, or for a folder and all that is below it, as they
are when the ruleset is made: what is put in the place of a file later is another file.
"""

import contextlib
import ctypes
import enum
import errno
import os
import stat
import struct
from collections.abc import Iterable

_SYS_CREATE_RULESET = 444
_SYS_ADD_RULE = 445
_SYS_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1
_PATH_BENEATH = 1
_NET_PORT = 2
_CONNECT_TCP = 2
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_OF_VERSION_1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_SINCE = {1: _OF_VERSION_1, 2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_RULESET = struct.Struct("=QQ")
_PATH_RULE = struct.Struct("=Qi")
_PORT_RULE = struct.Struct("=QQ")
_LIBC = ctypes.CDLL(None, use_errno=True)

# Before it truncate(2) was not among the rights, and a program could empty any file.
FOR_PATHS = 3
FOR_PORTS = 4
LINUX = {FOR_PATHS: "6.2", FOR_PORTS: "6.7"}


class Access(enum.Enum):
    """What may be done below a path."""

    READ = enum.auto()
    WRITE = enum.auto()


def version() -> int:
    """Return the version of what the kernel has, 0 if it has none or has it switched off."""
    with contextlib.suppress(OSError):
        return _call(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    return 0


def make_ruleset(paths: Iterable[tuple[int, Access]] | None, ports: Iterable[int] | None) -> int:
    """Return the descriptor of a ruleset; None for what it is not about. Raises OSError.

    A path is one by its descriptor.
    """
    rights = _rights() if paths is not None else 0
    attributes = _RULESET.pack(rights, 0 if ports is None else _CONNECT_TCP)
    # What is unknown to an older kernel is refused unless it is zero, and it has the first half.
    size = _RULESET.size if ports is not None else _RULESET.size // 2
    fd = _call(_SYS_CREATE_RULESET, attributes, size, 0)
    try:
        for path_fd, access in paths or ():
            granted = rights & _granted(access, os.fstat(path_fd).st_mode)
            _call(_SYS_ADD_RULE, fd, _PATH_BENEATH, _PATH_RULE.pack(granted, path_fd), 0)
        for port in ports or ():
            _call(_SYS_ADD_RULE, fd, _NET_PORT, _PORT_RULE.pack(_CONNECT_TCP, port), 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def obey(ruleset: int) -> None:
    """Have this process obey a ruleset for ever; it must have no_new_privs. Raises OSError."""
    _call(_SYS_RESTRICT_SELF, ruleset, 0)


def _rights() -> int:
    """Return every right about files that the kernel knows."""
    known = version()
    return sum(bits for since, bits in _SINCE.items() if since <= known)


def _granted(access: Access, mode: int) -> int:
    """Return the rights that a rule grants; one for a file may not name those of folders."""
    granted = _EXECUTE | _READ_FILE | _READ_DIR if access is Access.READ else sum(_SINCE.values())
    return granted if stat.S_ISDIR(mode) else granted & _OF_FILES


def _call(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call. Raises OSError."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(_LIBC.syscall(ctypes.c_long(number), *words))
    if result < 0:
        raise OSError(ctypes.get_errno() or errno.EIO, os.strerror(ctypes.get_errno()))
    return result
