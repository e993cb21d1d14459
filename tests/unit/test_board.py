"""The board: its layout in memory, and what its readers and writers promise each other."""

import fcntl
import mmap
import os
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socketd.programs.peer import Peer
from socketd.workers import layout
from socketd.workers.board import Board, pids_on
from socketd.workers.gate import GATE_SIZE
from socketd.workers.layout import MAGIC, RECORD_SIZE, REMARK_SIZE, Record, SlotState, Step
from socketd.workers.records import describe_fault

CAPACITY = 70
STATES = 64
RECORDS = 64 + 128
ADDRESS = bytes(range(0xA0, 0xB0))
FULL_RECORD = Record(
    pid=0x01020304,
    generation=0x11121314,
    accepted_ns=0x2122232425262728,
    error=13,
    step=Step.EXEC,
    client=Peer(socket.AF_INET6, ADDRESS, 0x4142),
    proxy=Peer(socket.AF_UNIX, pid=0x51525354, uid=0x61626364, gid=0x71727374),
)


@pytest.fixture
def board() -> Iterator[Board]:
    """Lend a board whose states do not end on a multiple of 64."""
    board = Board(CAPACITY)
    yield board
    board.close()


@pytest.fixture
def memory(board: Board) -> Iterator[mmap.mmap]:
    """Lend a second mapping of the same board, as a worker has it."""
    with mmap.mmap(board.fd, 0) as memory:
        yield memory


def fill(board: Board, number: int) -> None:
    """Write FULL_RECORD by way of every writer there is."""
    board.claim(number, FULL_RECORD.generation)
    board.set_pid(number, FULL_RECORD.pid)
    board.write_accepted(number, FULL_RECORD.accepted_ns, FULL_RECORD.client, FULL_RECORD.proxy)
    board.write_failure(number, FULL_RECORD.step, FULL_RECORD.error)


def test_header_names_layout_and_capacity(board: Board, memory: mmap.mmap) -> None:
    """The board begins with its magic number and the number of its slots."""
    assert struct.unpack_from("=II", memory) == (MAGIC, CAPACITY)
    assert board.capacity == CAPACITY


@pytest.mark.parametrize(
    ("capacity", "states_size"), [(1, 64), (63, 64), (64, 64), (65, 128), (256, 256)]
)
def test_states_are_padded_to_a_multiple_of_64(capacity: int, states_size: int) -> None:
    """Records begin on a multiple of 64, whatever the number of state bytes before them."""
    board = Board(capacity)
    try:
        end = 64 + states_size + capacity * (RECORD_SIZE + REMARK_SIZE)
        assert os.fstat(board.fd).st_size == -(-end // 4096) * 4096 + GATE_SIZE
    finally:
        board.close()


@pytest.mark.parametrize("number", [0, 1, CAPACITY - 1])
def test_state_byte_stands_at_the_number_of_its_slot(
    board: Board, memory: mmap.mmap, number: int
) -> None:
    """The state of slot n is byte n of the state array."""
    board.set_state(number, SlotState.BUSY)

    assert memory[STATES : STATES + 128].index(SlotState.BUSY) == number
    assert board.state(number) == SlotState.BUSY


@pytest.mark.parametrize(
    ("offset", "form", "expected"),
    [
        (layout.PID_OFFSET, "=i", FULL_RECORD.pid),
        (layout.GENERATION_OFFSET, "=I", FULL_RECORD.generation),
        (layout.ACCEPTED_NS_OFFSET, "=Q", FULL_RECORD.accepted_ns),
        (layout.ERROR_OFFSET, "=i", FULL_RECORD.error),
        (layout.CLIENT_OFFSET, "=H", socket.AF_INET6),
        (layout.CLIENT_OFFSET + layout.PEER_PORT_OFFSET, "=H", 0x4142),
        (layout.CLIENT_OFFSET + layout.PEER_BYTES_OFFSET, "=16s", ADDRESS),
        (layout.PROXY_OFFSET, "=H", socket.AF_UNIX),
        (layout.PROXY_OFFSET + layout.PEER_BYTES_OFFSET, "=i", 0x51525354),
        (layout.PROXY_OFFSET + layout.PEER_BYTES_OFFSET + 4, "=I", 0x61626364),
        (layout.PROXY_OFFSET + layout.PEER_BYTES_OFFSET + 8, "=I", 0x71727374),
        (layout.STEP_OFFSET, "=B", Step.EXEC),
        (layout.RETIRE_OFFSET, "=B", 1),
    ],
)
@pytest.mark.parametrize("number", [0, CAPACITY - 1])
def test_field_stands_at_its_documented_offset(
    board: Board, memory: mmap.mmap, number: int, offset: int, form: str, expected: int | bytes
) -> None:
    """Another program finds each field of a record where the constant says."""
    fill(board, number)
    board.ask_to_retire(number)

    found = struct.unpack_from(form, memory, RECORDS + number * RECORD_SIZE + offset)

    assert found == (expected,)


def test_fields_fit_into_a_record() -> None:
    """The last field ends within the fixed size of a record, a cache line."""
    assert layout.PROXY_OFFSET + layout.PEER_SIZE == RECORD_SIZE == 64


def test_record_reads_what_was_written(board: Board) -> None:
    """All that the writers have written of a slot comes back in its record."""
    fill(board, 3)

    assert board.record(3) == FULL_RECORD


def test_record_of_one_slot_leaves_its_neighbours_alone(board: Board) -> None:
    """Writing all there is to write of a slot changes no other slot."""
    before = board.record(4), board.record(6)
    fill(board, 5)
    board.ask_to_retire(5)

    assert before == (board.record(4), board.record(6))
    assert board.find(SlotState.FREE) == [n for n in range(CAPACITY) if n != 5]
    assert not board.is_asked_to_retire(4)
    assert not board.is_asked_to_retire(6)


def test_new_board_is_free() -> None:
    """Before anything is claimed, every slot is free, and no slot lies beyond the capacity."""
    board = Board(3)
    try:
        assert board.find(SlotState.FREE) == [0, 1, 2]
    finally:
        board.close()


def test_find_returns_all_slots_of_a_state_in_order(board: Board) -> None:
    """One search gives the numbers of all slots in a state, lowest first, the last included."""
    for number in (69, 0, 7, 8):
        board.set_state(number, SlotState.ACCEPTED)
    board.set_state(7, SlotState.BUSY)

    assert board.find(SlotState.ACCEPTED) == [0, 8, 69]


def test_slots_of_a_state_are_counted(board: Board) -> None:
    """The padding behind the last slot counts for nothing."""
    board.claim(3, 1)

    board.set_state(1, SlotState.IDLE)
    board.set_state(2, SlotState.BUSY)

    assert board.count_ready() == 2
    assert board.count(SlotState.IDLE) == board.count(SlotState.BUSY) == 1


def test_time_of_an_accept_is_read_alone(board: Board) -> None:
    """It is what the worker has written, without the rest of its record."""
    board.claim(3, 1)
    board.write_accepted(3, FULL_RECORD.accepted_ns, FULL_RECORD.client)

    assert board.accepted_ns(3) == board.record(3).accepted_ns == FULL_RECORD.accepted_ns


def test_find_of_a_state_that_nobody_has_is_empty(board: Board) -> None:
    """A state that no slot is in is found nowhere."""
    assert board.find(SlotState.IDLE) == []


def test_claim_clears_what_the_last_worker_left(board: Board) -> None:
    """A claimed slot knows its generation and nothing else."""
    fill(board, 2)
    board.ask_to_retire(2)
    board.claim(2, 9)

    assert board.record(2) == Record(0, 9, 0, 0, Step.NONE, Peer())
    assert board.state(2) == SlotState.STARTING
    assert not board.is_asked_to_retire(2)


def test_released_slot_is_free_and_nobodys(board: Board) -> None:
    """When its worker is gone, a slot is free again and has no pid."""
    fill(board, 2)
    board.release(2)

    assert board.state(2) == SlotState.FREE
    assert board.pid(2) == 0


def test_pid_is_zero_until_the_worker_is_born(board: Board) -> None:
    """A claimed slot has no pid before one is written."""
    board.claim(2, 0)
    before = board.pid(2)
    board.set_pid(2, 4711)

    assert (before, board.pid(2)) == (0, 4711)


def test_accepted_slot_has_a_readable_record(board: Board) -> None:
    """Recording a connection leaves the slot accepted, with the peer in its record."""
    board.claim(1, 4)
    board.set_pid(1, 99)
    board.write_accepted(1, 123, Peer(socket.AF_INET, bytes((127, 0, 0, 1)), 8080))

    client = Peer(socket.AF_INET, bytes((127, 0, 0, 1)) + bytes(12), 8080)
    assert board.state(1) == SlotState.ACCEPTED
    assert board.record(1) == Record(99, 4, 123, 0, Step.NONE, client)


def test_workers_see_who_else_serves(board: Board) -> None:
    """Those that have a connection, whether the master has taken note of it or not."""
    client = Peer(socket.AF_INET, bytes((127, 0, 0, 1)), 8080)
    for number, state in enumerate((SlotState.IDLE, SlotState.ACCEPTED, SlotState.BUSY)):
        board.claim(number, 4)
        board.set_pid(number, 90 + number)
        board.write_accepted(number, 123, client)
        board.set_state(number, state)

    assert list(board.serving()) == [(one, layout.write_peer(client)) for one in (91, 92)]


def test_workers_see_who_has_waited_with_a_client_before_them(board: Board) -> None:
    """Who does not wait for a place, or began later, or serves by now, is none of them."""
    for number, since_ns in enumerate((0, 50, 99, 100, 50)):
        board.claim(number, 4)
        board.set_pid(number, 90 + number)
        board.set_state(number, SlotState.IDLE)
        board.join_queue(number, since_ns)
    board.set_state(4, SlotState.ACCEPTED)

    assert list(board.queued(100)) == [91, 92]
    board.join_queue(1, 0)
    assert list(board.queued(100)) == [92]


def test_name_that_others_have_given_is_read_as_far_as_there_is_room(board: Board) -> None:
    """And none is left of the worker before."""
    board.write_identity(3, "a name " + "x" * 40)

    assert board.record(3).is_named
    assert board.remark(3).identity == "a name " + "x" * 25
    board.write_identity(3, None)
    assert not board.record(3).is_named


def test_route_is_the_client_and_its_proxy(board: Board) -> None:
    """As the log has it."""
    client, proxy = (Peer(socket.AF_INET, bytes((10, 0, 0, end)), 80) for end in (1, 2))
    board.claim(1, 4)
    board.write_accepted(1, 123, client, proxy)

    assert str(board.record(1).route) == "10.0.0.1:80 via 10.0.0.2:80"


def test_failure_is_recorded_beside_the_connection(board: Board) -> None:
    """A worker that fails writes step and errno, and leaves its state to the master."""
    board.claim(1, 0)
    board.write_failure(1, Step.PREPARE, 1)

    record = board.record(1)
    assert (record.step, record.error) == (Step.PREPARE, 1)
    assert board.state(1) == SlotState.STARTING


def test_request_to_retire_waits_for_the_worker(board: Board) -> None:
    """A worker that was not born yet finds the word that was left for it."""
    board.claim(1, 0)
    before = board.is_asked_to_retire(1)
    board.ask_to_retire(1)

    assert (before, board.is_asked_to_retire(1)) == (False, True)


@pytest.mark.parametrize("wanted", [True, False])
def test_workers_can_be_told_whether_to_ring_when_idle(
    board: Board, memory: mmap.mmap, wanted: bool
) -> None:
    """The byte behind the header's numbers says whether an idle worker rings."""
    board.ring_when_idle(wanted=not wanted)
    board.ring_when_idle(wanted=wanted)

    assert board.is_ringing_when_idle() is wanted
    assert board.is_rung_when_idle is wanted
    assert memory[8] == wanted


def test_what_was_asked_of_workers_is_known_without_the_board(
    board: Board, memory: mmap.mmap
) -> None:
    """Somebody else may write into the header; the master knows what it has asked for."""
    board.ring_when_idle(wanted=True)
    memory[8] = 0

    assert board.is_rung_when_idle


def test_the_last_accept_that_may_wait_is_urgent(board: Board) -> None:
    """The one whose accept uses up what the master has said, and no other before or after it."""
    board.wait_for_accepts(2)
    urgent = [(board.count_accept(), board.accepts_left) for _ in range(3)]

    assert urgent == [(False, 1), (True, 0), (False, -1)]


def test_no_accept_is_urgent_where_the_master_waits_for_none(board: Board) -> None:
    """Then each rings in the usual way, which is held back by nobody."""
    assert not board.count_accept()


def test_writing_of_another_mapping_is_seen(board: Board, memory: mmap.mmap) -> None:
    """What a worker writes through its own mapping is there for the master at once."""
    memory[STATES + 11] = SlotState.IDLE

    assert board.find(SlotState.IDLE) == [11]


def test_program_does_not_inherit_the_board(board: Board) -> None:
    """The board's descriptor closes when a worker becomes the user's program."""
    assert not os.get_inheritable(board.fd)


def test_closed_board_leaves_no_descriptor() -> None:
    """Closing a board gives its descriptor back."""
    board = Board(1)
    board.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(board.fd)


def test_board_that_cannot_be_mapped_leaves_no_descriptor() -> None:
    """A board too large for the machine is an error, and costs no descriptor."""
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match=r"Cannot allocate memory|File too large|Invalid argument"):
        Board(2**52)

    assert os.listdir("/proc/self/fd") == before


def test_only_watched_slots_are_searched(board: Board) -> None:
    """A board may be larger than its pool: what lies beyond the watched part is not looked at."""
    board.set_state(5, SlotState.ACCEPTED)
    board.set_state(6, SlotState.ACCEPTED)
    board.watch(6)

    assert board.find(SlotState.ACCEPTED) == [5]


@pytest.mark.parametrize("state", SlotState)
def test_news_is_what_the_master_has_not_noted(board: Board, state: SlotState) -> None:
    """A connection and a worker that could not be born are news, everything else is not."""
    board.set_state(7, state)

    assert board.has_news() == (state in (SlotState.ACCEPTED, SlotState.STILLBORN))


def test_board_is_found_again_by_its_descriptor(board: Board) -> None:
    """A second board on the same descriptor sees and keeps what stands there."""
    fill(board, 3)
    again = Board(CAPACITY, os.dup(board.fd))
    try:
        assert again.record(3) == FULL_RECORD
        assert again.generation(3) == FULL_RECORD.generation
    finally:
        again.close()


@pytest.mark.parametrize("size", [0, 4096, 1 << 24])
def test_nobody_can_change_the_size_of_the_memory_file(board: Board, size: int) -> None:
    """Cut short, it would be a SIGBUS for all who have it mapped; the seals stay as well."""
    before = os.fstat(board.fd).st_size

    with pytest.raises(PermissionError):
        os.ftruncate(board.fd, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(board.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)

    assert os.fstat(board.fd).st_size == before


def record_with(memory: mmap.mmap, offset: int, form: str, value: int) -> None:
    """Write one field of slot 3, as nobody does by way of the board."""
    struct.pack_into(form, memory, RECORDS + 3 * RECORD_SIZE + offset, value)


@pytest.mark.parametrize("step", [7, 255])
def test_unknown_step_is_read_as_no_step(board: Board, memory: mmap.mmap, step: int) -> None:
    """And its error means nothing; the record says that it was not sound."""
    fill(board, 3)
    record_with(memory, layout.STEP_OFFSET, "=B", step)

    record = board.record(3)

    assert (record.step, record.error, record.is_sound) == (Step.NONE, 0, False)


@pytest.mark.parametrize("end", [layout.CLIENT_OFFSET, layout.PROXY_OFFSET])
@pytest.mark.parametrize("family", [3, 99, 65535])
def test_unknown_family_is_read_as_nobody(
    board: Board, memory: mmap.mmap, family: int, end: int
) -> None:
    """Nobody is asked to print an address of it."""
    fill(board, 3)
    record_with(memory, end, "=H", family)

    record = board.record(3)

    assert not record.is_sound
    assert str(record.client if end == layout.CLIENT_OFFSET else record.proxy) == "unknown"


@pytest.mark.parametrize(
    ("step", "error", "is_sound"),
    [
        (Step.EXEC, 4095, True),
        (Step.EXEC, 4096, False),
        (Step.EXEC, -1, False),
        (Step.PROGRAM, 255, True),
        (Step.PROGRAM, -64, True),
        (Step.PROGRAM, 256, False),
        (Step.PROGRAM, -65, False),
        (Step.NONE, 2**31 - 1, False),
    ],
)
def test_error_has_the_bounds_of_its_step(
    board: Board, step: Step, error: int, is_sound: bool
) -> None:
    """An errno is none below 0 or above 4095; a program's status is an exit code or a signal."""
    board.claim(3, 0)
    board.write_failure(3, step, error)

    record = board.record(3)

    assert (record.error, record.is_sound) == (error if is_sound else 0, is_sound)


def test_peer_has_no_negative_pid(board: Board, memory: mmap.mmap) -> None:
    """No kernel says so."""
    fill(board, 3)
    record_with(memory, layout.PROXY_OFFSET + layout.PEER_BYTES_OFFSET, "=i", -1)

    assert board.record(3).proxy.pid == 0


@given(st.binary(min_size=RECORD_SIZE, max_size=RECORD_SIZE))
def test_any_bytes_make_a_record_that_can_be_printed(garbage: bytes) -> None:
    """Whoever reads it need not be afraid of it."""
    board = Board(1)
    try:
        with mmap.mmap(board.fd, 0) as memory:
            memory[128 : 128 + RECORD_SIZE] = garbage
        record = board.record(0)
    finally:
        board.close()

    assert str(record.client).isprintable()
    assert str(record.proxy).isprintable()
    assert describe_fault(record).isprintable()


def test_process_ids_are_read_by_the_descriptor_alone() -> None:
    """What stands for a process id in each slot is found without a mapping, slot by slot."""
    board = Board(100)
    board.set_pid(0, 4711)
    board.set_pid(99, -1)
    found = pids_on(board.fd, 100)
    board.close()

    assert (len(found), found[0], found[1], found[99]) == (100, 4711, 0, -1)


def test_header_is_written_anew_for_each_template(board: Board, memory: mmap.mmap) -> None:
    """Whoever has scribbled on it does not keep the next template from starting."""
    memory[:8] = bytes(8)
    board.write_header()

    assert struct.unpack_from("=II", memory) == (MAGIC, CAPACITY)


def remarks_at(number: int) -> int:
    """Return where a slot's remark is: behind all records."""
    return RECORDS + CAPACITY * RECORD_SIZE + number * REMARK_SIZE


def test_remark_of_a_worker_is_read_as_it_stands(board: Board, memory: mmap.mmap) -> None:
    """A byte of the record says that there is one; the texts end with a NUL."""
    assert not board.has_remark(3)
    memory[RECORDS + 3 * RECORD_SIZE + layout.REMARK_OFFSET] = layout.RemarkKind.REFUSED
    content = struct.pack("=HH124s64s32s32s", 400, 2, b"reason\0left", b"A_NAME", b"trace", b"id")
    memory[remarks_at(3) : remarks_at(4)] = content

    assert board.has_remark(3)
    assert board.record(3).remark_kind is layout.RemarkKind.REFUSED
    assert board.remark(3) == layout.Remark(400, 2, "reason", "A_NAME", "trace", "id")
    assert not board.has_remark(4)


def test_remark_that_no_worker_writes_is_printable(board: Board, memory: mmap.mmap) -> None:
    """Whatever stands there, with no NUL at its end, no line of a log is broken by it."""
    memory[RECORDS + layout.REMARK_OFFSET] = 77
    memory[remarks_at(0) : remarks_at(1)] = bytes([0xFF, 0x0A, 0x1B, 0x7F]) * (REMARK_SIZE // 4)

    record, remark = board.record(0), board.remark(0)

    assert (record.remark_kind, record.is_sound) == (layout.RemarkKind.NONE, False)
    assert remark.reason == "?" * 124
    assert remark.name == "?" * 64
    assert remark.trace == "?" * 32
