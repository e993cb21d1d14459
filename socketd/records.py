"""What a worker has written on the board, for people.

Owns the reading of a record, and the line about a connection's end. Must not know whose worker it
was.
"""

import time

from socketd import log
from socketd.board import Record, Step
from socketd.environment import Peer
from socketd.errors import describe_errno
from socketd.reaper import DeadChild

_NS_PER_SECOND = 1_000_000_000


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


def log_closed(service: str, child: DeadChild, record: Record) -> None:
    """Print how a connection has ended."""
    duration = (time.monotonic_ns() - record.accepted_ns) / _NS_PER_SECOND
    log.emit(
        "connection_closed",
        service=service,
        pid=child.pid,
        peer=str(peer_of(record)),
        status=child.status,
        duration_s=round(duration, 6),
        cpu_s=round(child.cpu_seconds, 6),
        max_rss_kib=child.max_rss_kib,
    )
