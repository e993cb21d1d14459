"""The board: what every worker says of itself, in memory shared with the master.

Owns the layout and the reading of it. Must not know what a state means for the pool, nor whether
what a worker says is true.

Every process of the service's user may write here, anything and at any moment. So fields have
bounds, and a value beyond them is read as unknown. The memory file is sealed at its size: reading
a file that was cut short would be a SIGBUS.

Signals only say "look"; this is what there is to see. One state byte per worker number stands in
a contiguous array, so that the master finds news with one search at memory speed; a record of
fixed size per number follows; see layout.py.

Every byte has one writer at a time: the master claims a slot (FREE to STARTING), the worker moves
it on (IDLE, then ACCEPTED), and the master takes the news off (ACCEPTED to BUSY); a worker writes
nothing after ACCEPTED.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator

from socketd.programs.peer import NOBODY, Peer
from socketd.workers.gate import GATE_SIZE, Gate
from socketd.workers.layout import (
    ACCEPTED_NS,
    ACCEPTED_NS_OFFSET,
    ACCEPTS_LEFT,
    ACCEPTS_LEFT_OFFSET,
    BIRTH,
    CLIENT_OFFSET,
    ERROR_OFFSET,
    FAULT,
    HEADER,
    HEADER_SIZE,
    IDENTITY_OFFSET,
    MAGIC,
    NAMED_OFFSET,
    PAGE,
    PEER_SIZE,
    PID,
    PID_OF_RECORD,
    RECORD_SIZE,
    REMARK_OFFSET,
    REMARK_SIZE,
    RETIRE_OFFSET,
    RING_WHEN_IDLE_OFFSET,
    WATCHED,
    WATCHED_OFFSET,
    Record,
    Remark,
    SlotState,
    Step,
    padded,
    read_record,
    read_remark,
    write_identity,
    write_peer,
)

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_SERVING = (SlotState.ACCEPTED, SlotState.BUSY)
_STATE_BYTES = tuple(bytes((state,)) for state in SlotState)


def pids_on(fd: int, capacity: int) -> list[int]:
    """Return what stands for a process id in each slot, by nothing but the board's descriptor."""
    states_size = padded(capacity)
    records = os.pread(fd, capacity * RECORD_SIZE, HEADER_SIZE + states_size)
    whole = len(records) // RECORD_SIZE * RECORD_SIZE
    return [pid for (pid,) in PID_OF_RECORD.iter_unpack(records[:whole])]


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
        self._states_end = HEADER_SIZE + capacity
        states_size = padded(capacity)
        self._records_offset = HEADER_SIZE + states_size
        self._remarks_offset = self._records_offset + capacity * RECORD_SIZE
        gate_offset = -(-(self._remarks_offset + capacity * REMARK_SIZE) // PAGE) * PAGE
        size = gate_offset + GATE_SIZE
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
        self.gate = Gate(self._memory, gate_offset)
        self.write_header()

    def write_header(self) -> None:
        """Say what this is, for a template that is about to be started: others write here too."""
        HEADER.pack_into(self._memory, 0, MAGIC, self.capacity)
        self._write_watched()

    def _write_watched(self) -> None:
        WATCHED.pack_into(self._memory, WATCHED_OFFSET, self.watched)

    def watch(self, count: int) -> None:
        """Search only the first `count` slots from now on: no worker will use the others."""
        self.watched = count
        self._states_end = HEADER_SIZE + count
        self._write_watched()

    def close(self) -> None:
        """Unmap the board and close its descriptor."""
        self._memory.close()
        os.close(self.fd)

    def state(self, number: int) -> int:
        """Return the state byte of a slot."""
        return self._memory[HEADER_SIZE + number]

    def set_state(self, number: int, state: SlotState) -> None:
        """Write the state byte of a slot, as its one writer of the moment."""
        self._memory[HEADER_SIZE + number] = state

    def find(self, state: SlotState) -> list[int]:
        """Return the numbers of all slots in a state, in order."""
        states = self._memory[HEADER_SIZE : self._states_end]
        wanted = _STATE_BYTES[state]
        found: list[int] = []
        number = states.find(wanted)
        while number >= 0:
            found.append(number)
            number = states.find(wanted, number + 1)
        return found

    def has_news(self) -> bool:
        """Tell whether a slot waits for the master to take note of it."""
        states = self._memory[HEADER_SIZE : self._states_end]
        return _STATE_BYTES[SlotState.ACCEPTED] in states or (
            _STATE_BYTES[SlotState.STILLBORN] in states
        )

    def count_ready(self) -> int:
        """Return how many workers wait or have been asked for."""
        states = self._memory[HEADER_SIZE : self._states_end]
        return states.count(_STATE_BYTES[SlotState.IDLE]) + states.count(
            _STATE_BYTES[SlotState.STARTING]
        )

    def count(self, state: SlotState) -> int:
        """Return how many slots are in a state."""
        return self._memory[HEADER_SIZE : self._states_end].count(_STATE_BYTES[state])

    def ring_when_idle(self, *, wanted: bool) -> None:
        """Say whether workers are to ring when they become idle."""
        self.is_rung_when_idle = wanted
        self._memory[RING_WHEN_IDLE_OFFSET] = wanted

    def is_ringing_when_idle(self) -> bool:
        """Tell a worker whether it is to ring when it becomes idle."""
        return bool(self._memory[RING_WHEN_IDLE_OFFSET])

    @property
    def accepts_left(self) -> int:
        """Return how many may still accept before it is urgent, as far as workers tell."""
        return int(ACCEPTS_LEFT.unpack_from(self._memory, ACCEPTS_LEFT_OFFSET)[0])

    def wait_for_accepts(self, count: int) -> None:
        """Say that news is not urgent before so many workers have accepted."""
        ACCEPTS_LEFT.pack_into(self._memory, ACCEPTS_LEFT_OFFSET, count)

    def count_accept(self) -> bool:
        """Count a worker's accept; tell it whether to ring at once.

        Two that count at the same moment may count as one: then it is the time that ends the wait.
        """
        left = self.accepts_left - 1
        self.wait_for_accepts(left)
        return left == 0

    def serving(self) -> Iterator[tuple[int, bytes]]:
        """Tell a worker of all that serve: the process id, and the bytes of the client, of each."""
        watched = min(WATCHED.unpack_from(self._memory, WATCHED_OFFSET)[0], self.capacity)
        states = self._memory[HEADER_SIZE : HEADER_SIZE + watched]
        for number in (n for n, state in enumerate(states) if state in _SERVING):
            client = self._records_offset + number * RECORD_SIZE + CLIENT_OFFSET
            yield self.pid(number), self._memory[client : client + PEER_SIZE]

    def join_queue(self, number: int, since_ns: int) -> None:
        """Record since when an idle worker waits with a client for a place; 0 if it does not."""
        offset = self._records_offset + number * RECORD_SIZE
        ACCEPTED_NS.pack_into(self._memory, offset + ACCEPTED_NS_OFFSET, since_ns)

    def queued(self, before_ns: int) -> Iterator[int]:
        """Tell a worker of all that have waited since before a time: the process id of each."""
        for number in self.find(SlotState.IDLE):
            offset = self._records_offset + number * RECORD_SIZE
            (since_ns,) = ACCEPTED_NS.unpack_from(self._memory, offset + ACCEPTED_NS_OFFSET)
            if 0 < since_ns < before_ns:
                yield self.pid(number)

    def claim(self, number: int, generation: int) -> None:
        """Make a slot ready for a worker that is about to be born."""
        offset = self._records_offset + number * RECORD_SIZE
        self._memory[offset : offset + RECORD_SIZE] = bytes(RECORD_SIZE)
        BIRTH.pack_into(self._memory, offset, 0, generation)
        self.set_state(number, SlotState.STARTING)

    def release(self, number: int) -> None:
        """Make a slot free: its worker is gone."""
        PID.pack_into(self._memory, self._records_offset + number * RECORD_SIZE, 0)
        self.set_state(number, SlotState.FREE)

    def pid(self, number: int) -> int:
        """Return the pid in a slot, 0 while its worker is not born."""
        offset = self._records_offset + number * RECORD_SIZE
        return int(PID.unpack_from(self._memory, offset)[0])

    def generation(self, number: int) -> int:
        """Return the generation for which a slot was claimed."""
        offset = self._records_offset + number * RECORD_SIZE
        return int(BIRTH.unpack_from(self._memory, offset)[1])

    def set_pid(self, number: int, pid: int) -> None:
        """Write the pid of a worker that has just been born."""
        PID.pack_into(self._memory, self._records_offset + number * RECORD_SIZE, pid)

    def ask_to_retire(self, number: int) -> None:
        """Leave word for a worker that may not be born yet; a signal reaches the others."""
        self._memory[self._records_offset + number * RECORD_SIZE + RETIRE_OFFSET] = 1

    def is_asked_to_retire(self, number: int) -> bool:
        """Tell a worker whether it was asked to leave before it could be signalled."""
        return bool(self._memory[self._records_offset + number * RECORD_SIZE + RETIRE_OFFSET])

    def write_accepted(
        self, number: int, accepted_ns: int, client: Peer, proxy: Peer = NOBODY
    ) -> None:
        """Record a connection; the state byte goes last."""
        offset = self._records_offset + number * RECORD_SIZE
        ACCEPTED_NS.pack_into(self._memory, offset + ACCEPTED_NS_OFFSET, accepted_ns)
        self.write_peers(number, client, proxy)
        self.set_state(number, SlotState.ACCEPTED)

    def accepted_ns(self, number: int) -> int:
        """Return when a worker says that it got its connection."""
        offset = self._records_offset + number * RECORD_SIZE + ACCEPTED_NS_OFFSET
        return int(ACCEPTED_NS.unpack_from(self._memory, offset)[0])

    def write_peers(self, number: int, client: Peer, proxy: Peer) -> None:
        """Record who has come, and by which proxy."""
        start = self._records_offset + number * RECORD_SIZE + CLIENT_OFFSET
        self._memory[start : start + 2 * PEER_SIZE] = write_peer(client) + write_peer(proxy)

    def write_failure(self, number: int, step: Step, error_number: int) -> None:
        """Record at which step a worker failed, and the errno."""
        offset = self._records_offset + number * RECORD_SIZE
        FAULT.pack_into(self._memory, offset + ERROR_OFFSET, error_number, step)

    def record(self, number: int) -> Record:
        """Return a copy of a slot's record."""
        offset = self._records_offset + number * RECORD_SIZE
        return read_record(self._memory[offset : offset + RECORD_SIZE])

    def write_identity(self, number: int, text: str | None) -> None:
        """Record what others call a connection, or that they do not."""
        start = self._remarks_offset + number * REMARK_SIZE + IDENTITY_OFFSET
        if text:
            content = write_identity(text)
            self._memory[start : start + len(content)] = content
        named = self._records_offset + number * RECORD_SIZE + NAMED_OFFSET
        self._memory[named] = bool(text)

    def has_remark(self, number: int) -> bool:
        """Tell whether a worker has said something of its request."""
        return bool(self._memory[self._records_offset + number * RECORD_SIZE + REMARK_OFFSET])

    def remark(self, number: int) -> Remark:
        """Return what a worker has said of its request, whose record says that it has."""
        offset = self._remarks_offset + number * REMARK_SIZE
        return read_remark(self._memory[offset : offset + REMARK_SIZE])
