"""What a program may reach: from named paths and ports to a ruleset of the kernel.

Owns which paths are in reach beside those that were named, and whether the kernel can do what is
asked. Must not know when a process gives the rest up, nor for which service.

Beside the named ones there are: what the service runs, /dev/null, our own package, where the keeper
of a copy is and what prepares a script, and the folder of the object that holds a program. Of
these, what is not there is left out. Everything that a program needs beside its own file has to be
named: its interpreter, libraries and modules.
"""

import errno
import os
from collections.abc import Iterator

from socketd.errors import SystemFailureError
from socketd.settings.confinement import Boundary
from socketd.system import landlock
from socketd.system.landlock import Access
from socketd.system.products import NATIVE, PACKAGE

_NULL = "/dev/null"
_OWN_PROCESS = "/proc/self"


class OutOfReachError(OSError):
    """A named path cannot be found."""


def check_kernel(boundary: Boundary, known: int) -> None:
    """Raise SystemFailureError if a kernel with this version of Landlock cannot confine so."""
    if boundary.has_paths:
        _check_version(known, landlock.FOR_PATHS, "paths")
    if boundary.tcp_connect is not None:
        _check_version(known, landlock.FOR_PORTS, "TCP ports")


def _check_version(known: int, needed: int, what: str) -> None:
    if known >= needed:
        return
    has = f"only version {known} of" if known else "no"
    raise SystemFailureError(
        f"cannot confine a program to {what}: this kernel has {has} Landlock; that needs Linux "
        f"{landlock.LINUX[needed]} with 'landlock' among its security modules (lsm=), or no such "
        "setting"
    )


def make_ruleset(boundary: Boundary, root: str | None = None, *, is_template: bool = False) -> int:
    """Return the descriptor of a ruleset. Raises OSError, which names a path that is not there.

    Paths are below `root`, if that is given. A process that is to be held as a template looks at
    itself in /proc; `is_template` makes that possible for the process that calls this.
    """
    if not boundary.has_paths:
        return landlock.make_ruleset(None, boundary.tcp_connect)
    opened: list[tuple[int, Access]] = []
    try:
        for path, access, is_needed in _paths(boundary, is_template=is_template):
            try:
                opened.append((_open(path, root), access))
            except OSError as error:
                if is_needed:
                    raise OutOfReachError(error.errno, error.strerror, path) from error
        return landlock.make_ruleset(opened, boundary.tcp_connect)
    finally:
        for fd, _ in opened:
            os.close(fd)


def _paths(boundary: Boundary, *, is_template: bool) -> Iterator[tuple[str, Access, bool]]:
    """Yield each path, what may be done below it, and whether it has to be there."""
    for path in boundary.read_paths or ():
        yield path, Access.READ, True
    for path in boundary.write_paths or ():
        yield path, Access.WRITE, True
    for path in boundary.programs:
        yield path, Access.READ, True
    yield _NULL, Access.WRITE, False
    yield PACKAGE, Access.READ, False
    yield NATIVE, Access.READ, False
    if is_template:
        yield _OWN_PROCESS, Access.READ, False


def _open(path: str, root: str | None) -> int:
    if root is None:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    from socketd.system.rooted import open_below

    return open_below(root, path)


def is_refused(path: str) -> bool:
    """Tell whether a file cannot be opened for reading, though its permissions would allow it."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        return error.errno == errno.EACCES
    return False
