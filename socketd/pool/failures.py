"""When the end of a worker is a failure, and how to say so.

Owns the exit codes that mean "the program could not be run". Must not know what follows.
"""

from socketd.messages import WorkerExited
from socketd.pool.states import WorkerState

CANNOT_RUN = frozenset({126, 127})


def describe_exit(state: WorkerState, event: WorkerExited) -> str:
    """Say how a worker failed, for a log line."""
    status = event.status
    if state is WorkerState.BUSY:
        how = f"its program could not be run (exit status {status})"
    elif status < 0:
        how = f"killed by signal {-status} before it accepted a connection"
    else:
        how = f"exited with status {status} before it accepted a connection"
    return f"{how}: {event.detail}" if event.detail else how
