"""How this command was called: the words to execute to get the installed version.

Owns the words before our arguments. Must not know what they are executed for.

A script that begins with "#!" is found by its path, and names its interpreter. When a link on the
path leads to another installation, the same path is another script with another interpreter. So we
execute the path by which we were called, and the interpreter only if it was named explicitly. The
kernel keeps the path that it was told to execute; see getauxval(3), AT_EXECFN.
"""

import ctypes
import os
import sys

_AT_EXECFN = 31
_SHELL_LINE = b"#!/bin/sh"


def command() -> tuple[str, ...]:
    """Return the words by which we were called, without our arguments.

    A relative path is resolved from the directory in which we were called, by $PWD if possible,
    which keeps symbolic links.
    """
    words = sys.orig_argv[: len(sys.orig_argv) - (len(sys.argv) - 1)]
    executed = _executed() or sys.executable
    if executed == words[-1] or _runs_python_itself(words[-1]):
        return (_as_seen(words[-1]),)
    return (_as_seen(executed), *words[1:])


def _executed() -> str:
    """Return the path that the kernel was told to execute; empty where it does not say."""
    library = ctypes.CDLL(None)
    library.getauxval.restype = ctypes.c_ulong
    library.getauxval.argtypes = [ctypes.c_ulong]
    address = library.getauxval(_AT_EXECFN)
    return os.fsdecode(ctypes.string_at(address)) if address else ""


def _runs_python_itself(path: str) -> bool:
    """Tell whether a file is a shell script that execs Python, as pip writes it for long paths."""
    try:
        with open(path, "rb") as file:
            return os.access(path, os.X_OK) and file.readline().rstrip() == _SHELL_LINE
    except OSError:
        return False


def _as_seen(path: str) -> str:
    if os.path.isabs(path):
        return path
    try:
        seen = os.environ.get("PWD", "")
        is_here = os.path.isabs(seen) and os.path.samefile(seen, ".")
        return os.path.join(seen if is_here else os.getcwd(), path)
    except OSError:  # the directory is gone: executing the path will fail with an error
        return path
