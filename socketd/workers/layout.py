"""The layout of the board: what stands where, and what it may mean.

Owns the bytes of a record. Must not know who writes them, nor whether they are true. The same
layout stands in native/board.h, and a test holds the two against each other.

A record has room for two peers: the client, and a proxy that has told us of it. Numbers are in the
machine's byte order: the board never leaves it.

    offset   size      what
    0        4         magic number and version of the layout
    4        4         capacity, in workers
    8        1         ring_when_idle: workers ring when they become idle, not only when they accept
    12       4         accepts_left: the worker whose accept makes it 0 rings at once
    16       4         watched: slots beyond these are free
    64       capacity  state bytes, padded to a multiple of 64
    ...      64 each   records
    ...      256 each  remarks: what a worker with a front has to say of a request
    ...      9 MiB     the gate, which begins at a page: see gate.py
"""

import enum
import signal
import socket
import struct

from socketd.dataclass import dataclass
from socketd.programs.peer import NOBODY, Peer, Route

MAGIC = 0x736B640A
HEADER_SIZE = 64
HEADER = struct.Struct("=II")
RING_WHEN_IDLE_OFFSET = 8
ACCEPTS_LEFT = struct.Struct("=i")
ACCEPTS_LEFT_OFFSET = 12
WATCHED = struct.Struct("=I")
WATCHED_OFFSET = 16
ALIGNMENT = 64
PAGE = 4096

RECORD_SIZE = 64
PID = struct.Struct("=i")
PID_OF_RECORD = struct.Struct(f"=i{RECORD_SIZE - 4}x")
BIRTH = struct.Struct("=iI")
ACCEPTED_NS = struct.Struct("=Q")
FAULT = struct.Struct("=iB")
_RECORD = struct.Struct("=iIQiBBBB20s20s")
_REMARK = struct.Struct("=HH124s64s32s32s")
_IDENTITY_BYTES = 32
# A peer: its family, its port, and its address or, of a UNIX socket, its credentials.
_PEER = struct.Struct("=HH16s")
_CREDENTIALS = struct.Struct("=iII4x")

PID_OFFSET = 0
GENERATION_OFFSET = 4
ACCEPTED_NS_OFFSET = 8
ERROR_OFFSET = 16
STEP_OFFSET = 20
RETIRE_OFFSET = 21
REMARK_OFFSET = 22
NAMED_OFFSET = 23
CLIENT_OFFSET = 24
PROXY_OFFSET = 44
PEER_SIZE = _PEER.size
PEER_PORT_OFFSET = 2
PEER_BYTES_OFFSET = 4
REMARK_SIZE = _REMARK.size
IDENTITY_OFFSET = REMARK_SIZE - _IDENTITY_BYTES


class SlotState(enum.IntEnum):
    """The state byte of a slot."""

    FREE = 0
    STARTING = 1
    IDLE = 2
    ACCEPTED = 3
    BUSY = 4
    STILLBORN = 5


class Step(enum.IntEnum):
    """What a worker was doing when it failed, beside the errno in its record."""

    NONE = 0
    FORK = 1
    PREPARE = 2
    ACCEPT = 3
    WIRE = 4
    EXEC = 5
    PROGRAM = 6  # it has ended before a connection; the error is its status


class RemarkKind(enum.IntEnum):
    """What a worker has to say of the request that came by its connection."""

    NONE = 0
    LEFT_OUT = 1  # a variable of it, and it was carried out
    REFUSED = 2
    TRACED = 3  # nothing, but the trace that it belongs to


_FAMILIES = frozenset({socket.AF_UNSPEC, socket.AF_UNIX, socket.AF_INET, socket.AF_INET6})
_STEPS = frozenset(Step)
_REMARK_KINDS = frozenset(RemarkKind)
_ERRORS = range(4096)
_STATUSES = range(-signal.SIGRTMAX, 256)


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker has written down.

    `proxy` is NOBODY where the client has come by itself. What no worker writes is read as unknown:
    0, NOBODY, or Step.NONE; then the record is not sound.
    """

    pid: int
    generation: int
    accepted_ns: int
    error: int
    step: Step
    client: Peer
    proxy: Peer = NOBODY
    is_sound: bool = True
    remark_kind: RemarkKind = RemarkKind.NONE
    is_named: bool = False

    @property
    def route(self) -> Route:
        """Return who has come, and how, as the log has it."""
        return Route(self.client, self.proxy)


@dataclass(frozen=True, slots=True)
class Remark:
    """What stands in a remark: the status of an answer, 0 if it was the program's, and texts.

    The texts are of printable characters. `count` is the number of variables that it is about, and
    `name` that of the first. `trace` is the one that the request belongs to, `identity` what others
    call the connection.
    """

    status: int
    count: int
    reason: str
    name: str
    trace: str
    identity: str


def padded(capacity: int) -> int:
    """Return the size of the state bytes."""
    return -(-capacity // ALIGNMENT) * ALIGNMENT


def write_peer(peer: Peer) -> bytes:
    """Return the bytes of a peer; a path is not among them."""
    content = peer.address
    if peer.family == socket.AF_UNIX:
        content = _CREDENTIALS.pack(peer.pid, peer.uid, peer.gid)
    return _PEER.pack(peer.family, peer.port, content)


def read_peer(content: bytes) -> Peer | None:
    """Return what a worker has written of a peer, None if no worker writes that."""
    family, port, rest = _PEER.unpack(content)
    if family not in _FAMILIES:
        return None
    if family == socket.AF_UNSPEC:
        return NOBODY
    if family == socket.AF_UNIX:
        pid, uid, gid = _CREDENTIALS.unpack(rest)
        return Peer(family, pid=max(pid, 0), uid=uid, gid=gid)
    return Peer(family, rest, port)


def read_record(content: bytes) -> Record:
    """Return what stands in a record, as far as it can mean anything."""
    pid, generation, accepted_ns, error, step, _, remark, named, *ends = _RECORD.unpack(content)
    client, proxy = map(read_peer, ends)
    is_sound = client is not None and proxy is not None
    if remark not in _REMARK_KINDS:
        remark, is_sound = RemarkKind.NONE, False
    if step not in _STEPS:
        step, error, is_sound = Step.NONE, 0, False
    elif error not in (_STATUSES if step == Step.PROGRAM else _ERRORS):
        error, is_sound = 0, False
    return Record(
        pid,
        generation,
        accepted_ns,
        error,
        Step(step),
        client or NOBODY,
        proxy or NOBODY,
        is_sound,
        RemarkKind(remark),
        bool(named),
    )


def read_remark(content: bytes) -> Remark:
    """Return what stands in a remark."""
    status, count, *texts = _REMARK.unpack(content)
    return Remark(status, count, *map(_text, texts))


def _text(content: bytes) -> str:
    text = content.partition(b"\0")[0].decode("latin-1")
    return "".join(one if " " <= one <= "~" else "?" for one in text)


def write_identity(text: str) -> bytes:
    """Return the bytes of what others call a connection, as far as there is room."""
    return text.encode(errors="replace")[:_IDENTITY_BYTES].ljust(_IDENTITY_BYTES, b"\0")
