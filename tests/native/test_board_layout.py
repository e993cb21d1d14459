"""The C header of the board against the Python module."""

import os
import struct
from pathlib import Path

import pytest

from socketd.workers import layout
from socketd.workers.board import Board
from socketd.workers.layout import RemarkKind, SlotState, Step

from .evaluate import evaluate

_FIELDS = {
    "pid": layout.PID_OFFSET,
    "generation": layout.GENERATION_OFFSET,
    "accepted_ns": layout.ACCEPTED_NS_OFFSET,
    "error": layout.ERROR_OFFSET,
    "step": layout.STEP_OFFSET,
    "retire": layout.RETIRE_OFFSET,
    "remark": layout.REMARK_OFFSET,
    "client": layout.CLIENT_OFFSET,
    "proxy": layout.PROXY_OFFSET,
    "client.port": layout.CLIENT_OFFSET + layout.PEER_PORT_OFFSET,
    "client.address": layout.CLIENT_OFFSET + layout.PEER_BYTES_OFFSET,
    "client.credentials": layout.CLIENT_OFFSET + layout.PEER_BYTES_OFFSET,
    "client.credentials.uid": layout.CLIENT_OFFSET + layout.PEER_BYTES_OFFSET + 4,
    "client.credentials.gid": layout.CLIENT_OFFSET + layout.PEER_BYTES_OFFSET + 8,
}
_STATES = {f"SLOT_{state.name}": state.value for state in SlotState}
_STEPS = {f"STEP_{step.name}": step.value for step in Step}
_REMARKS = {f"REMARK_{kind.name}": kind.value for kind in RemarkKind}


@pytest.fixture(scope="module")
def evaluate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory for tiny programs."""
    return tmp_path_factory.mktemp("layout")


def _evaluate(
    compiler: str, folder: Path, expressions: list[str], functions: str = ""
) -> list[int]:
    """Let the compiler evaluate expressions over the header, and over functions of a test."""
    return evaluate(compiler, folder, "board.h", expressions, functions)


def test_record_fields_stand_at_the_same_offsets(compiler: str, evaluate_folder: Path) -> None:
    """Master and workers find each field of a record in the same place."""
    expressions = [f"offsetof(struct board_record, {name})" for name in _FIELDS]

    found = _evaluate(compiler, evaluate_folder, expressions)

    assert dict(zip(_FIELDS, found, strict=True)) == _FIELDS


def test_states_and_steps_have_the_same_values(compiler: str, evaluate_folder: Path) -> None:
    """A state or step means the same on both sides."""
    expected = _STATES | _STEPS | _REMARKS

    found = _evaluate(compiler, evaluate_folder, list(expected))

    assert dict(zip(expected, found, strict=True)) == expected


def test_header_and_record_have_the_same_size(compiler: str, evaluate_folder: Path) -> None:
    """Both sides begin to count at the same place, with the same stride and magic number."""
    found = _evaluate(
        compiler,
        evaluate_folder,
        ["BOARD_MAGIC", "sizeof(struct board_record)", "sizeof(struct board_remark)"],
    )

    assert found == [layout.MAGIC, layout.RECORD_SIZE, layout.REMARK_SIZE]


@pytest.mark.parametrize("capacity", [1, 63, 64, 65, 1000])
def test_boards_of_one_capacity_have_the_same_size(
    compiler: str, evaluate_folder: Path, capacity: int
) -> None:
    """The state bytes are padded alike, so that the records begin at the same offset."""
    made = Board(capacity)
    try:
        size = os.fstat(made.fd).st_size
    finally:
        made.close()

    assert _evaluate(compiler, evaluate_folder, [f"board_size({capacity})"]) == [size]


def test_header_fields_stand_where_python_writes_them(compiler: str, evaluate_folder: Path) -> None:
    """The magic number, the capacity and the wish to be rung are found where they were written."""
    made = Board(65)
    try:
        quiet = os.pread(made.fd, 64, 0)
        made.ring_when_idle(wanted=True)
        ringing = os.pread(made.fd, 64, 0)
        made.wait_for_accepts(-1)
        waiting = os.pread(made.fd, 64, 0)
    finally:
        made.close()
    changed = [offset for offset in range(64) if quiet[offset] != ringing[offset]]
    counted = [offset for offset in range(64) if ringing[offset] != waiting[offset]]
    written = struct.pack("=II", layout.MAGIC, 65)
    fields = ("magic", "capacity", "ring_when_idle", "accepts_left")

    found = _evaluate(
        compiler,
        evaluate_folder,
        [f"offsetof(struct board_header, {field})" for field in fields],
    )

    assert quiet.startswith(written)
    assert found == [0, 4, *changed, counted[0]]
    assert counted == list(range(counted[0], counted[0] + 4))


_ATTACH = """
static int attaches(uint32_t capacity, size_t size)
{
    static struct { uint32_t words[16]; } memory;
    struct board board;

    memory.words[0] = BOARD_MAGIC;
    memory.words[1] = capacity;
    return board_attach(&board, &memory, size);
}
static uint32_t remembered(void)
{
    static uint32_t memory[(4096 + sizeof(struct gate)) / 4];
    struct board board;

    memory[0] = BOARD_MAGIC;
    memory[1] = 1;
    if (!board_attach(&board, memory, sizeof memory))
        return 0;
    memory[1] = 1000;
    return board.capacity;
}
"""


def test_capacity_is_what_fits_and_is_read_once(compiler: str, evaluate_folder: Path) -> None:
    """A header that promises more than the file holds is refused; one that changes is not heard."""
    found = _evaluate(
        compiler,
        evaluate_folder,
        [
            "attaches(1, 4096 + sizeof(struct gate))",
            "attaches(1, 4095 + sizeof(struct gate))",
            "attaches(1000, 4096 + sizeof(struct gate))",
            "attaches(UINT32_MAX, 4096 + sizeof(struct gate))",
            "attaches(1U << 26, 4096 + sizeof(struct gate))",
            "remembered()",
        ],
        _ATTACH,
    )

    assert found == [1, 0, 0, 0, 0, 1]
