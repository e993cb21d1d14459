"""What a connection is called, in the environment of its program (UNIQUE_ID) and in the log.

Owns the form: when it was accepted and by which process, which is nobody else's on this machine
until it is started again; or what a proxy or a web server calls it. Must not know who asks.
native/identity.c does the same (a test holds the two against each other).
"""

from socketd.workers.board import Board
from socketd.workers.layout import Record

_PID_MASK = 0xFFFFFFFF


def identity_of(accepted_ns: int, pid: int) -> str:
    """Return what a connection is called that nobody else has a name for."""
    return f"{accepted_ns:016x}{pid & _PID_MASK:08x}"


def identity(board: Board, number: int, record: Record) -> str:
    """Return what the connection of a worker is called, whose record this is."""
    if record.is_named:
        return board.remark(number).identity
    return identity_of(record.accepted_ns, record.pid)
