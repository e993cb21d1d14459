"""Every CPython of this machine, held: what a fork by the interpreter itself would put right.

What is tested with this project's own interpreter alone is in test_python.py.
"""

import re
import shlex
import shutil
from collections.abc import Callable

import pytest

from harness.clients import exchange, exchange_at_once
from harness.interpreters import interpreters

from .conftest import Start, ready, reason

pytestmark = pytest.mark.slow

Script = Callable[..., str]

FOUND = interpreters()
# Older ones have no hooks of a fork that a script can set.
WITH_HOOKS = [name for name in FOUND if name not in ("2.7", "3.6")]

# One line of words for each client, of which the second to fourth are the copy's own; then the exit
# handler's. Runs from Python 2.7 on.
ANSWER = """
from __future__ import print_function
import atexit, logging, os, random, signal, subprocess, sys, threading, uuid

def leave():
    print("left", flush=True) if sys.version_info[0] > 2 else print("left")

atexit.register(leave)
random.random()
if sys.argv[1] == "stop":
    os.kill(os.getpid(), signal.SIGSTOP)
line = sys.stdin.readline()
said = []
thread = threading.Thread(target=said.append, args=("thread",))
thread.start()
thread.join()
said.append(subprocess.check_output(["echo", "program"]).decode().strip())
print(line.strip(), random.random(), uuid.uuid4(), os.environ["REMOTE_PORT"], *said)
"""


def fields(answers: list[bytes]) -> list[tuple[bytes, ...]]:
    """Return what is one client's own in each answer, of those that are whole."""
    pattern = re.compile(rb"(\d+) (\S+) (\S+) (\d+) thread program\nleft\n")
    return [line.groups() for line in map(pattern.fullmatch, answers) if line is not None]


@pytest.mark.parametrize("version", FOUND)
@pytest.mark.parametrize("level", ["load", "read", "stop"])
def test_each_copy_has_what_a_fork_would_have_given_it(
    start: Start, script: Script, level: str, version: str
) -> None:
    """Numbers, variables, threads, programs, the exit handler: for one client and for many."""
    path = script(ANSWER)
    server = start(f"{level}!", f"{FOUND[version]} {path} {level}")

    first = exchange(server.place, b"0\n")
    answers = exchange_at_once(server.place, [b"%d\n" % number for number in range(1, 20)])

    found = fields([first, *answers])
    assert [int(words[0]) for words in found] == list(range(20)), server.log_text()
    assert [len({words[column] for words in found}) for column in (1, 2, 3)] == [20, 20, 20]
    assert server.wait_statuses(20) == [0] * 20
    assert ready(server) == level


@pytest.mark.parametrize("version", WITH_HOOKS)
def test_hooks_run_as_in_a_fork_of_the_interpreter(
    start: Start, script: Script, version: str
) -> None:
    """Before it once in the template, after it once in each copy, and none as in a parent."""
    path = script(
        "import logging, os, sys\n"
        "calls = []\n"
        "os.register_at_fork(before=lambda: calls.append('before'),\n"
        "    after_in_parent=lambda: calls.append('parent'),\n"
        "    after_in_child=lambda: calls.append('child'))\n"
        "line = sys.stdin.readline()\n"
        "import json, importlib; importlib.reload(json)\n"
        "logging.getLogger().warning('said')\n"
        "pid = os.fork()\n"
        "if pid == 0: os._exit(5)\n"
        "print(*calls, os.waitpid(pid, 0)[1] >> 8)\n"
    )
    server = start("read!", f"{FOUND[version]} {path}")

    said = [exchange(server.place, b"\n") for _ in range(3)]

    assert said == [b"said\nbefore child before parent 5\n"] * 3


def test_pypy_is_not_held_where_it_has_drawn_numbers(start: Start) -> None:
    """It has no functions for who forks it from outside: copies would draw the same."""
    if shutil.which("pypy3") is None:
        pytest.skip("pypy3 is not installed")
    code = "import random; random.random(); input(); print(random.random())"
    server = start("read", shlex.join(["pypy3", "-c", code]), is_quiet=False)

    assert len({exchange(server.place, b"\n") for _ in range(3)}) == 3
    assert reason(server) == "it is PyPy, whose copies would draw the same random numbers"
    assert ready(server) == "load"
