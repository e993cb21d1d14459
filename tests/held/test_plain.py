"""SOCKETD_PLAIN=1: with none of the shortcuts of page tables and loader all is as before.

They may never be why a program cannot be held or a copy answers wrongly, so they can be left out.
`SOCKETD_PLAIN=1 pytest tests/held` runs everything without them.
"""

import re
import shutil
from pathlib import Path

import pytest

from harness.clients import exchange

from .conftest import Start, ready
from .test_programs import PROGRAMS, PYTHON

pytestmark = pytest.mark.slow

LINES = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)\n"
PAGE, RANGE = 4096, 4096 // 8 * 4096


def board_start(pid: int) -> int:
    """Return the address of the board in a process."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    found = re.search(r"^([0-9a-f]+)-.*memfd:socketd-board", maps, re.MULTILINE)
    assert found is not None, maps
    return int(found[1], 16)


def own_code_kib(pid: int) -> int:
    """Return how much of its code a process has for itself."""
    smaps = Path(f"/proc/{pid}/smaps").read_text()
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", smaps, flags=re.MULTILINE)
    own = [re.search(r"^Anonymous: +(\d+)", one, re.MULTILINE) for one in parts if " r-xp " in one]
    return sum(int(found[1]) for found in own if found)


@pytest.mark.parametrize("name", ["cat", "dash", "bash", "perl", "python -c"])
@pytest.mark.parametrize("level", ["fork", "load!", "read!"])
def test_program_is_held_without_shortcuts(start: Start, level: str, name: str) -> None:
    """Each copy answers its client, at the level that was asked for."""
    command = PROGRAMS[name]
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"{name} is not installed")
    server = start(level, command, SOCKETD_PLAIN="1")

    assert [exchange(server.place, b"%d\n" % n) for n in range(3)] == [b"0\n", b"1\n", b"2\n"]
    assert ready(server) == level.removesuffix("!")


def test_script_that_stops_itself_is_held_without_shortcuts(start: Start, script: Start) -> None:
    """The same at `stop`, with what prepares a script of Python."""
    path = script(LINES)
    server = start("stop!", f"{PYTHON} -m socketd.hold {path}", SOCKETD_PLAIN="1")

    assert exchange(server.place, b"one\n") == b"one\n"


@pytest.mark.parametrize("plain", ["", "1"])
def test_switch_tells_whether_shortcuts_are_taken(start: Start, plain: str) -> None:
    """The board of a copy lies where it is quick to unmap, code is there ahead; or neither.

    By chance it lies there once in five hundred times, so two are looked at.
    """
    held = [start("read!", "cat", SOCKETD_PLAIN=plain) for _ in range(2)]
    forked = start("fork", "cat", SOCKETD_PLAIN=plain)
    for server in (*held, forked):
        server.wait_settled(idle=2)

    is_taken = plain != "1"
    starts = [board_start(server.workers()[0]) % RANGE for server in held]
    assert (starts == [PAGE, PAGE]) == is_taken
    assert (own_code_kib(forked.workers()[0]) > 0) == is_taken
