"""How the kernel schedules us beside our children.

Owns the policy of the master. Must not know what any child is for.

Source: sched(7). A child inherits the policy, so it is given the usual one by name. Not by
SCHED_RESET_ON_FORK: that leaves this policy as it is, and takes a negative nice value from all.
Versions before this one had that flag, which only a privileged process can take off again.
"""

import contextlib
import os

_BEFORE = os.SCHED_BATCH | os.SCHED_RESET_ON_FORK
_NO_PRIORITY = os.sched_param(0)


class _Own:
    """What this process has set; an exec forgets it, so it is undone before."""

    is_yielding = False


def yield_to_children() -> None:
    """From now on never preempt another process; no effect if another policy than usual is set."""
    with contextlib.suppress(OSError):  # a sandbox may forbid it; then we are a little slower
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, _NO_PRIORITY)
            _Own.is_yielding = True


def stop_yielding() -> None:
    """Take the usual policy again, before the next version is executed in our place."""
    take(policy_of_children())
    _Own.is_yielding = False


def policy_of_children() -> tuple[int, os.sched_param] | None:
    """Return policy and priority that a child must be given, None if it inherits the right ones."""
    with contextlib.suppress(OSError):
        if _Own.is_yielding or os.sched_getscheduler(0) == _BEFORE:
            return os.SCHED_OTHER, _NO_PRIORITY
    return None


def take(policy: tuple[int, os.sched_param] | None) -> None:
    """Take the policy that this process, a child, has to be given."""
    if policy is not None:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, *policy)
