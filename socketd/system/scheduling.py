"""How the kernel schedules us beside our children.

Owns the policy of the master. Must not know what any child is for.

Source: sched(7), SCHED_BATCH and SCHED_RESET_ON_FORK. The flag takes real-time policies from
children, but not this one, so it is taken from each by name; the flag tells, also after an exec,
that we have set it and not who started us.
"""

import contextlib
import os

_YIELDING = os.SCHED_BATCH | os.SCHED_RESET_ON_FORK
_NO_PRIORITY = os.sched_param(0)


def yield_to_children() -> None:
    """From now on never preempt another process; no effect if another policy than usual is set."""
    with contextlib.suppress(OSError):  # a sandbox may forbid it; then we are a little slower
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, _YIELDING, _NO_PRIORITY)


def policy_of_children() -> tuple[int, os.sched_param] | None:
    """Return policy and priority that a child must be given, None if it inherits the right ones."""
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) == _YIELDING:
            return os.SCHED_OTHER, _NO_PRIORITY
    return None


def take(policy: tuple[int, os.sched_param] | None) -> None:
    """In a child, take the policy that it has to be given."""
    if policy is not None:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, *policy)
