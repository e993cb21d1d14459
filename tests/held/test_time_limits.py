"""Programs whose first wait for input has a time limit: in an old template it is long over."""

import shlex
import shutil
import sys

import pytest

from harness.clients import exchange

from .conftest import Compile, Start, ready, reason
from .sources import program

pytestmark = pytest.mark.slow

PERL = "vec($in, 0, 1) = 1; print select($in, undef, undef, 9) ? <STDIN> : qq(late\n)"
PYTHON = (
    "import select, sys; "
    "print(sys.stdin.readline() if select.select([0], [], [], 9)[0] else 1, end='')"
)
OPTION = (
    "use Socket; setsockopt(STDIN, SOL_SOCKET, SO_RCVTIMEO, pack('l!l!', 9, 0)); "
    "print scalar <STDIN>"
)
WAIT = "its first wait for input has a time limit"

# Commands that answer with the line that they read, or tell that none has come in time; and why
# they are not held.
LIMITED = {
    "bash": (["bash", "-c", 'read -t 9 line && echo "$line" || echo late'], WAIT),
    "python": ([sys.executable, "-c", PYTHON], WAIT),
    "ruby": (["ruby", "-e", "puts IO.select([STDIN], nil, nil, 9) ? gets : :late"], WAIT),
    "php": (["php", "-r", "echo fgets(STDIN) ?: 'late';"], WAIT),
    "perl": (["perl", "-e", PERL], WAIT),
    "socat": (["socat", "-T", "9", "STDIO", "PIPE"], WAIT),
    "option": (["perl", "-e", OPTION], "its input has a time limit (SO_RCVTIMEO)"),
}


@pytest.mark.parametrize("name", LIMITED)
def test_program_that_waits_for_a_time_only_is_not_held_there(start: Start, name: str) -> None:
    """A copy would wait for what is left of its template's time, which is nothing."""
    command, why = LIMITED[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    server = start("read", shlex.join(command), is_quiet=False)

    answers = [exchange(server.place, word) for word in (b"a\n", b"b\n")]

    assert answers == [b"a\n", b"b\n"]
    assert reason(server) == why
    assert ready(server) == "load"


@pytest.mark.parametrize("call", ["poll", "ppoll", "select", "pselect"])
def test_each_call_that_gives_up_is_known(start: Start, compile_c: Compile, call: str) -> None:
    """Two take the limit by value, two where a pointer shows."""
    entry = "struct pollfd p = {0, POLLIN, 0}; struct timespec t = {9, 0};"
    readable = "fd_set s; FD_ZERO(&s); FD_SET(0, &s); struct timespec t = {9, 0};"
    waits = {
        "poll": f"{entry} poll(&p, 1, 9000);",
        "ppoll": f"{entry} ppoll(&p, 1, &t, 0);",
        "select": f"{readable} struct timeval v = {{9, 0}}; select(1, &s, 0, 0, &v);",
        "pselect": f"{readable} pselect(1, &s, 0, 0, &t, 0);",
    }
    server = start("read", compile_c(program(waits[call])), is_quiet=False)

    assert reason(server) == WAIT


def test_mark_refuses_a_time_limit(start: Start) -> None:
    """With the mark the server does not start, and says why."""
    server = start("read!", "bash -c 'read -t 9 line'", is_quiet=False)

    assert server.wait() == 71
    assert any(f"--ready read!: {WAIT}" in line for line in server.noise)
