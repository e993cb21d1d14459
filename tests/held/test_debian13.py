"""Programs of Debian 13: Python 3.13, and a libc (2.41) whose random numbers the kernel maps."""

import shlex
from pathlib import Path

import pytest

from harness.clients import exchange, exchange_at_once
from harness.sanitized import IS_WANTED
from harness.trees import TREE_SECONDS, debian

from .conftest import Start, ready
from .test_interpreters import ANSWER, fields

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(TREE_SECONDS),
    pytest.mark.skipif(IS_WANTED, reason="the library that checks is not in the tree"),
]

# Each has drawn from the same state before.
DRAWS = {
    "python": ["python3", "-c", "import os; os.getrandom(8); input(); print(os.getrandom(8))"],
    "bash": ["bash", "-c", "first=$SRANDOM; read line; echo $SRANDOM"],
    "mktemp": ["sh", "-c", "read line; mktemp -u"],
}


@pytest.fixture(scope="module")
def tree() -> Path:
    """Return the tree."""
    return debian("trixie", "python3")


@pytest.mark.parametrize("level", ["load", "read", "stop"])
def test_its_python_is_held(start: Start, tree: Path, level: str) -> None:
    """A copy of Python 3.13 has all that a fork would have given it."""
    command = shlex.join(["chroot", str(tree), "python3", "-c", ANSWER, level])
    server = start(f"{level}!", command)

    answers = exchange_at_once(server.place, [b"%d\n" % number for number in range(10)])

    found = fields(answers)
    assert [int(words[0]) for words in found] == list(range(10)), server.log_text()
    assert [len({words[column] for words in found}) for column in (1, 2, 3)] == [10, 10, 10]
    assert ready(server) == level


@pytest.mark.parametrize("name", DRAWS)
def test_copies_draw_different_numbers(start: Start, tree: Path, name: str) -> None:
    """The state that libc has in memory is nothing of the kind in a copy: the kernel wipes it."""
    server = start("read!", shlex.join(["chroot", str(tree), *DRAWS[name]]))

    assert len({exchange(server.place, b"\n") for _ in range(5)}) == 5
