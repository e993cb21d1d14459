"""Processes that programs leave behind: they come to us, and are ended.

Owns the ending of every process that has become a child of ours. Must not know who started it.

A program may go to the background, or start others that outlive it. The kernel gives whoever loses
its parent to the next ancestor that has asked for that; it is us, as long as the context lasts.
See socketd/system/subreaper.py.
"""

import contextlib
import os
import time
from collections.abc import Iterator

from socketd.system.subreaper import adopt_orphans
from socketd.workers import kin

_LONGEST_END_SECONDS = 2.0
_PAUSE_SECONDS = 0.005


@contextlib.contextmanager
def adopted() -> Iterator[None]:
    """Be the parent of every descendant that loses its own; end them all at the end."""
    adopt_orphans(wanted=True)
    try:
        yield
    finally:
        end_all()
        adopt_orphans(wanted=False)


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
