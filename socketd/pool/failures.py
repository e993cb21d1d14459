"""When the end of a worker is a failure, and the text for it.

Owns that rule. Must not know what follows.

Before a connection every end that was not requested is a failure. With a connection it is a failure
only if the worker wrote one on the board: it can do so until the program's first instruction, and
no client can cause it. An exit status is the program's own, which may be 126, 127 or anything else,
and a client may be able to choose it. If that were a failure, one client could make all others
wait.
"""

from socketd.pool.messages import WorkerExited
from socketd.pool.states import WorkerState


def is_failure(state: WorkerState, event: WorkerExited) -> bool:
    """Tell whether a worker that has ended in a state has failed."""
    if state is WorkerState.BUSY:
        return event.status != 0 and bool(event.detail)
    return state is not WorkerState.RETIRING and event.status != 0


def describe_exit(state: WorkerState, event: WorkerExited) -> str:
    """Say how a worker failed, for a log line."""
    status = event.status
    if state is WorkerState.BUSY:
        return f"its program could not be run (exit status {status}): {event.detail}"
    if status < 0:
        how = f"killed by signal {-status} before it accepted a connection"
    else:
        how = f"exited with status {status} before it accepted a connection"
    return f"{how}: {event.detail}" if event.detail else how
