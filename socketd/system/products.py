"""Where the native products lie, and whether they were built when the package was installed.

What only socketd starts is in the folder `native` of the package, which may be a link to where a
distribution has such programs. The wrappers are commands, and where an installer puts those.

Owns their paths, and the files themselves while a server runs. Must not know what they do.

An upgrade replaces files under a running server, which goes on as the version it is until it is
replaced. What it starts then has to be of that version too: they share a board and a plan. So each
file is kept open from its first use.
"""

import contextlib
import functools
import os
import sys

from socketd.system.descriptors import copy_above

PACKAGE = os.path.dirname(os.path.dirname(__file__))


def _folder() -> str:
    """Return the folder itself, never the link: maps and rules of the kernel know only that."""
    folder = os.path.join(PACKAGE, "native")
    return os.path.realpath(folder) if os.path.islink(folder) else folder


NATIVE = _folder()
HOLD_SCRIPT = os.path.join(PACKAGE, "hold.py")
ZYGOTE = os.path.join(NATIVE, "socketd-zygote")
HOLD_OBJECT = os.path.join(NATIVE, "socketd-hold.so")
# A program that is started gets descriptors at fixed numbers, below this.
_ABOVE_FIXED_FDS = 16
NOT_BUILT = (
    "the native worker was not built when socketd was installed; install a C compiler and install "
    "socketd again"
)


def _command(name: str) -> str:
    """Return where a command of ours lies: in a checkout, or where an installer has put it."""
    site = os.path.dirname(PACKAGE)
    places = (
        NATIVE,
        os.path.join(sys.prefix, "bin"),
        # Of a user or of /usr/local: PREFIX/lib/python3.N/site-packages.
        os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(site))), "bin"),
        os.path.join(site, "bin"),  # pip install --target
    )
    for place in places:
        if os.access(path := os.path.join(place, name), os.X_OK):
            return path
    return os.path.join(NATIVE, name)


SCGI_WRAPPER = _command("scgi2cgi")
FCGI_WRAPPER = _command("fcgi2cgi")


@functools.cache
def is_built() -> bool:
    """Tell whether there are native workers; what was true once stays so."""
    return os.access(ZYGOTE, os.X_OK)


@functools.cache
def _open(path: str) -> int:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return copy_above(fd, _ABOVE_FIXED_FDS)
    finally:
        os.close(fd)


def keep_open() -> None:
    """Keep the files open that workers are made with, as far as they were built."""
    for path in (ZYGOTE, HOLD_OBJECT):
        with contextlib.suppress(OSError):
            _open(path)


def as_first_used(path: str) -> str:
    """Return a path of the file that stood at a path when it was first used. Raises OSError.

    That is the path itself as long as the file stands there, since a process is named for it.
    Without /proc it is so in any case.
    """
    own = f"/proc/self/fd/{_open(path)}"
    return path if is_as_first_used(path) or not os.path.exists(own) else own


def is_as_first_used(path: str) -> bool:
    """Tell whether the file at a path is the one that stood there when it was first used."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(_open(path)))
    except OSError:
        return False
