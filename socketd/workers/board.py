"""The board: what every worker says of itself, in memory shared with the master.

Owns the layout and the reading of it. Must not know what a state means for the pool, nor whether
what a worker says is true.

Whoever runs as the user of the service may write here, anything and at any moment. So no reader
gets a form that it cannot take: fields have bounds, and what lies beyond them is read as unknown.
The memory file is sealed at its size: in one that somebody has cut short, whoever looked would get
SIGBUS.

Signals only say "look"; this is what there is to see. One state byte per worker number stands in
a contiguous array, so that the master finds news with one search at memory speed; a record of
fixed size per number follows. The same layout stands in native/board.h, and a test holds the two
against each other.

Every byte has one writer at a time: the master claims a slot (FREE to STARTING), the worker moves
it on (IDLE, then ACCEPTED), and the master takes the news off (ACCEPTED to BUSY); a worker writes
nothing after ACCEPTED. Numbers are in the machine's byte order: the board never leaves it.

    offset   size      what
    0        4         magic number and version of the layout
    4        4         capacity, in workers
    8        1         ring_when_idle: workers ring when they become idle, not only when they accept
    64       capacity  state bytes, padded to a multiple of 64
    ...      64 each   records
"""

import enum
import fcntl
import mmap
import os
import signal
import socket
import struct
from dataclasses import dataclass

MAGIC = 0x736B6401
_HEADER_SIZE = 64
_HEADER = struct.Struct("=II")
_RING_WHEN_IDLE = 8
_ALIGNMENT = 64

RECORD_SIZE = 64
_RECORD = struct.Struct("=iIQHHiIi16sBB")
_PID = struct.Struct("=i")
_PID_OF_RECORD = struct.Struct(f"=i{RECORD_SIZE - 4}x")
_FAULT = struct.Struct("=i")
_BIRTH = struct.Struct("=iI")
_ACCEPTED = struct.Struct("=QHHiIi16s")

PID_OFFSET = 0
GENERATION_OFFSET = 4
ACCEPTED_NS_OFFSET = 8
FAMILY_OFFSET = 16
PEER_PORT_OFFSET = 18
PEER_PID_OFFSET = 20
PEER_UID_OFFSET = 24
ERROR_OFFSET = 28
PEER_ADDRESS_OFFSET = 32
STEP_OFFSET = 48
RETIRE_OFFSET = 49


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


FAMILIES = frozenset({socket.AF_UNSPEC, socket.AF_UNIX, socket.AF_INET, socket.AF_INET6})
_STEPS = frozenset(Step)
_ERRORS = range(4096)
_STATUSES = range(-signal.SIGRTMAX, 256)
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_STATE_BYTES = tuple(bytes((state,)) for state in SlotState)


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker has written down; addresses as the kernel gives them, port in host order.

    What no worker writes is read as unknown: 0, or Step.NONE; then it is not sound.
    """

    pid: int
    generation: int
    accepted_ns: int
    family: int
    peer_port: int
    peer_pid: int
    peer_uid: int
    error: int
    peer_address: bytes
    step: Step
    is_sound: bool = True


def pids_on(fd: int, capacity: int) -> list[int]:
    """Return what stands for a process id in each slot, by nothing but the board's descriptor."""
    states_size = -(-capacity // _ALIGNMENT) * _ALIGNMENT
    records = os.pread(fd, capacity * RECORD_SIZE, _HEADER_SIZE + states_size)
    whole = len(records) // RECORD_SIZE * RECORD_SIZE
    return [pid for (pid,) in _PID_OF_RECORD.iter_unpack(records[:whole])]


class Board:
    """A board of `capacity` slots; the master makes it, workers inherit its descriptor.

    With `fd` it is one that this process made before it was replaced. Untouched slots cost no
    memory, so a board may be larger than the pool is today. `is_rung_when_idle` is what the master
    has asked of the workers, whatever stands in the header by now.
    """

    def __init__(self, capacity: int, fd: int | None = None) -> None:
        self.capacity = capacity
        self.watched = capacity
        self.is_rung_when_idle = False
        self._states_end = _HEADER_SIZE + capacity
        states_size = -(-capacity // _ALIGNMENT) * _ALIGNMENT
        self._records_offset = _HEADER_SIZE + states_size
        size = self._records_offset + capacity * RECORD_SIZE
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        self.fd = os.memfd_create("socketd-board", flags) if fd is None else fd
        os.set_inheritable(self.fd, False)
        try:
            if fd is None:
                os.ftruncate(self.fd, size)
                fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
            self._memory = mmap.mmap(self.fd, size)
        except OSError:
            os.close(self.fd)
            raise
        self.write_header()

    def write_header(self) -> None:
        """Say what this is, for a template that is about to be started: others write here too."""
        _HEADER.pack_into(self._memory, 0, MAGIC, self.capacity)

    def watch(self, count: int) -> None:
        """Search only the first `count` slots from now on: nobody will use the others."""
        self.watched = count
        self._states_end = _HEADER_SIZE + count

    def close(self) -> None:
        """Unmap the board and close its descriptor."""
        self._memory.close()
        os.close(self.fd)

    def state(self, number: int) -> int:
        """Return the state byte of a slot."""
        return self._memory[_HEADER_SIZE + number]

    def set_state(self, number: int, state: SlotState) -> None:
        """Write the state byte of a slot, as its one writer of the moment."""
        self._memory[_HEADER_SIZE + number] = state

    def find(self, state: SlotState) -> list[int]:
        """Return the numbers of all slots in a state, in order."""
        states = self._memory[_HEADER_SIZE : self._states_end]
        wanted = _STATE_BYTES[state]
        found: list[int] = []
        number = states.find(wanted)
        while number >= 0:
            found.append(number)
            number = states.find(wanted, number + 1)
        return found

    def has_news(self) -> bool:
        """Tell whether a slot waits for the master to take note of it."""
        states = self._memory[_HEADER_SIZE : self._states_end]
        return _STATE_BYTES[SlotState.ACCEPTED] in states or (
            _STATE_BYTES[SlotState.STILLBORN] in states
        )

    def count(self, state: SlotState) -> int:
        """Return how many slots are in a state."""
        return self._memory[_HEADER_SIZE : self._states_end].count(_STATE_BYTES[state])

    def ring_when_idle(self, *, wanted: bool) -> None:
        """Say whether workers are to ring when they become idle."""
        self.is_rung_when_idle = wanted
        self._memory[_RING_WHEN_IDLE] = wanted

    def is_ringing_when_idle(self) -> bool:
        """Tell a worker whether it is to ring when it becomes idle."""
        return bool(self._memory[_RING_WHEN_IDLE])

    def claim(self, number: int, generation: int) -> None:
        """Make a slot ready for a worker that is about to be born."""
        offset = self._records_offset + number * RECORD_SIZE
        self._memory[offset : offset + RECORD_SIZE] = bytes(RECORD_SIZE)
        _BIRTH.pack_into(self._memory, offset, 0, generation)
        self.set_state(number, SlotState.STARTING)

    def release(self, number: int) -> None:
        """Make a slot free: its worker is gone."""
        _PID.pack_into(self._memory, self._records_offset + number * RECORD_SIZE, 0)
        self.set_state(number, SlotState.FREE)

    def pid(self, number: int) -> int:
        """Return the pid in a slot, 0 while its worker is not born."""
        offset = self._records_offset + number * RECORD_SIZE
        return int(_PID.unpack_from(self._memory, offset)[0])

    def generation(self, number: int) -> int:
        """Return the generation for which a slot was claimed."""
        offset = self._records_offset + number * RECORD_SIZE
        return int(_BIRTH.unpack_from(self._memory, offset)[1])

    def set_pid(self, number: int, pid: int) -> None:
        """Write the pid of a worker that has just been born."""
        _PID.pack_into(self._memory, self._records_offset + number * RECORD_SIZE, pid)

    def ask_to_retire(self, number: int) -> None:
        """Leave word for a worker that may not be born yet; a signal reaches the others."""
        self._memory[self._records_offset + number * RECORD_SIZE + RETIRE_OFFSET] = 1

    def is_asked_to_retire(self, number: int) -> bool:
        """Tell a worker whether it was asked to leave before it could be signalled."""
        return bool(self._memory[self._records_offset + number * RECORD_SIZE + RETIRE_OFFSET])

    def write_accepted(
        self,
        number: int,
        accepted_ns: int,
        family: int,
        peer_address: bytes,
        peer_port: int,
        peer_credentials: tuple[int, int],
    ) -> None:
        """Record a connection; the state byte goes last. Credentials are (pid, uid)."""
        offset = self._records_offset + number * RECORD_SIZE + ACCEPTED_NS_OFFSET
        peer_pid, peer_uid = peer_credentials
        _ACCEPTED.pack_into(
            self._memory,
            offset,
            accepted_ns,
            family,
            peer_port,
            peer_pid,
            peer_uid,
            0,
            peer_address,
        )
        self.set_state(number, SlotState.ACCEPTED)

    def write_failure(self, number: int, step: Step, error_number: int) -> None:
        """Record at which step a worker failed, and the errno."""
        offset = self._records_offset + number * RECORD_SIZE
        _FAULT.pack_into(self._memory, offset + ERROR_OFFSET, error_number)
        self._memory[offset + STEP_OFFSET] = step

    def record(self, number: int) -> Record:
        """Return a copy of a slot's record."""
        offset = self._records_offset + number * RECORD_SIZE
        (
            pid,
            generation,
            accepted_ns,
            family,
            peer_port,
            peer_pid,
            peer_uid,
            error,
            peer_address,
            step,
            _,
        ) = _RECORD.unpack_from(self._memory, offset)
        is_sound = True
        if family not in FAMILIES:
            family, is_sound = socket.AF_UNSPEC, False
        if step not in _STEPS:
            step, error, is_sound = Step.NONE, 0, False
        elif error not in (_STATUSES if step == Step.PROGRAM else _ERRORS):
            error, is_sound = 0, False
        return Record(
            pid,
            generation,
            accepted_ns,
            family,
            peer_port,
            max(peer_pid, 0),
            peer_uid,
            error,
            peer_address,
            Step(step),
            is_sound,
        )
