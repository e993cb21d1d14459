"""Processes that programs leave behind: they come to us, and are ended.

Owns the ending of every process that has become a child of ours. Must not know who started it.

A program may go to the background, or start others that outlive it. The kernel gives whoever loses
its parent to the next ancestor that has asked for that; it is us, as long as the context lasts.
Source: PR_SET_CHILD_SUBREAPER(2const).
"""

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator

from socketd.workers import kin

_PR_SET_CHILD_SUBREAPER = 36
_LONGEST_END_SECONDS = 2.0
_PAUSE_SECONDS = 0.005
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def adopted() -> Iterator[None]:
    """Be the parent of every descendant that loses its own; end them all at the end."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
    try:
        yield
    finally:
        end_all()
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(0), 0, 0, 0)


def end_all() -> None:
    """Kill every child of this process, those that come to it by that included.

    One that we may not signal, since it is set-user-id, is left to itself.
    """
    deadline = time.monotonic() + _LONGEST_END_SECONDS
    while time.monotonic() < deadline:
        for pid in kin.children():
            kin.end(pid)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(_PAUSE_SECONDS)
