"""What a worker has written on the board, for people.

Owns the reading of a record. Must not know whose worker it was.
"""

from socketd.board import Record, Step
from socketd.environment import Peer
from socketd.errors import describe_errno


def peer_of(record: Record) -> Peer:
    """Return who was at the other end."""
    return Peer(
        record.family, record.peer_address, record.peer_port, record.peer_pid, record.peer_uid
    )


def describe_fault(record: Record) -> str:
    """Say at which step a worker failed, and why; nothing if it did not."""
    if record.step is Step.NONE:
        return ""
    if record.step is Step.PROGRAM:
        return f"its program has ended with status {record.error}"
    return f"{record.step.name.lower()}: {describe_errno(record.error)}"
