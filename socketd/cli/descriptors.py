"""The descriptors that the command was started with, and their limit.

Owns their state before anything is opened. Must not know what will be opened.
"""

import resource

from socketd.cli.console import open_standard_descriptors
from socketd.system.descriptors import close_on_exec


def settle_descriptors() -> list[int]:
    """Make sure that 0, 1 and 2 are open, and make all other descriptors close-on-exec.

    Returns those others.
    """
    open_standard_descriptors()
    return close_on_exec()


def raise_limit() -> int | None:
    """Raise the limit of descriptors to the hard limit; return the former limit.

    Each listener takes four. Programs get the former limit back: select(2) fails beyond 1024, and
    some programs close every descriptor that there may be. Returns None if nothing has changed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return None
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft
