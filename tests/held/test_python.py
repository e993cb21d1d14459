"""Held Python: what a copy of an interpreter has to have of its own."""

import os
import re
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.servers import Server

from .conftest import ON_A_SHORTCUT, Start, ready, reason

pytestmark = pytest.mark.slow

PYTHON = sys.executable
Script = Callable[..., str]

# Modules, and what is drawn or looked up when the client has spoken.
DRAW = """
import os, random, secrets, sys, uuid
random.random()
{loop}
    print(random.random(), uuid.uuid4(), secrets.token_hex(4), os.environ["REMOTE_PORT"],
          os.environ.get("LD_PRELOAD"), os.environ.get("SOCKETD_HOLD"), flush=True)
"""
LOOPS = {
    "stdin": "for line in sys.stdin:",
    "buffer": "for line in sys.stdin.buffer:",
    "readline": "while sys.stdin.readline():",
    "os.read": "while os.read(0, 100):",
    "select": "import select\nwhile select.select([0], [], []) and os.read(0, 100):",
    "input": "while True:\n    try: input()\n    except EOFError: break",
}


def draw(server: Server) -> tuple[int, list[str]]:
    """Connect and return the client's port and the words of the answer."""
    with connect(server.place) as connection:
        port = connection.getsockname()[1]
        connection.sendall(b"line\n")
        connection.shutdown(1)
        return port, read_all(connection).decode().split()


@ON_A_SHORTCUT
def test_what_was_there_before_the_hold_is_not_looked_at_by_a_collection(
    start: Start, script: Script
) -> None:
    """A copy's garbage collection would write to all of it, and so copy it."""
    path = script("import gc, sys\nsys.stdin.readline()\nprint(gc.get_freeze_count() > 1000)\n")
    server = start("read!", f"{PYTHON} {path}")

    assert exchange(server.place, b"a\n") == b"True\n"


@pytest.mark.parametrize("loop", LOOPS)
def test_connections_differ_in_what_is_random_and_have_their_own_variables(
    start: Start, script: Script, loop: str
) -> None:
    """No two draw the same numbers, from the first on, and os.environ is the connection's."""
    path = script(DRAW.format(loop=LOOPS[loop]))
    server = start("read!", f"{PYTHON} {path}")

    drawn = [draw(server) for _ in range(4)]

    for column in range(3):
        assert len({words[column] for _, words in drawn}) == 4
    assert [int(words[3]) for _, words in drawn] == [port for port, _ in drawn]
    assert {tuple(words[4:]) for _, words in drawn} == {("None", "None")}


def test_what_is_done_ahead_leaves_no_trace_in_the_script(start: Start, script: Script) -> None:
    """Names, modules, streams and errors are after the hold what they were before."""
    path = script(
        "import gc, os, sys\n"
        "def look():\n"
        "    return (sorted(globals()), sorted(sys.modules), sys.stdin, sys.stdout,\n"
        "            sys.exc_info(), hasattr(sys, 'last_value'), gc.garbage, gc.isenabled(),\n"
        "            [name for name in os.environ if 'SOCKETD' in name.upper()])\n"
        "before = after = None\n"
        "before = look()\n"
        "sys.stdin.readline()\n"
        "after = look()\n"
        "print(before == after or [pair for pair in zip(before, after) if pair[0] != pair[1]])\n"
    )
    server = start("read!", f"{PYTHON} {path}")

    assert [exchange(server.place, b"\n") for _ in range(2)] == [b"True\n"] * 2


def test_what_is_done_ahead_leaves_no_descriptor_open(start: Start, script: Script) -> None:
    """A copy has the connection, and what the script opens is the next one."""
    path = script("import os, sys\nsys.stdin.readline()\nprint(os.listdir('/proc/self/fd'))\n")
    server = start("read!", f"{PYTHON} {path}")

    assert exchange(server.place, b"\n") == b"['0', '1', '2', '3']\n"


def test_what_is_done_ahead_calls_nothing_of_the_script(start: Start, script: Script) -> None:
    """A stream or a table of the script's own class would notice, and may do anything."""
    path = script(
        "import io, os, sys\n"
        "asked = []\n"
        "class Stream(io.TextIOWrapper):\n"
        "    def __getattribute__(self, name):\n"
        "        asked.append(name)\n"
        "        return super().__getattribute__(name)\n"
        "class Table(dict):\n"
        "    def __setitem__(self, name, value):\n"
        "        asked.append(name)\n"
        "        super().__setitem__(name, value)\n"
        "sys.stdout = Stream(sys.stdout.detach())\n"
        "os.environ._data = Table(os.environ._data)\n"
        "os.read(0, 100)\n"
        "answer = str(asked)\n"
        "print(answer)\n"
    )
    server = start("read!", f"{PYTHON} {path}")

    assert exchange(server.place, b"\n") == b"[]\n"


def test_hooks_of_a_fork_run_in_each_copy(start: Start, script: Script) -> None:
    """What os.register_at_fork() was given for the child runs once in a copy, in no template."""
    path = script(
        "import os, sys\ncalls = []\n"
        "os.register_at_fork(after_in_child=lambda: calls.append(os.getpid()))\n"
        "sys.stdin.readline()\nprint(calls == [os.getpid()])\n"
    )
    server = start("read!", f"{PYTHON} {path}")

    assert [exchange(server.place, b"\n") for _ in range(3)] == [b"True\n"] * 3


def test_threads_subprocesses_and_event_loops_work_after_the_hold(
    start: Start, script: Script
) -> None:
    """A copy may start what a template may not have."""
    path = script(
        "import asyncio, subprocess, sys, threading, multiprocessing\n"
        "sys.stdin.readline()\n"
        "said = []\n"
        "thread = threading.Thread(target=said.append, args=('thread',))\n"
        "thread.start(); thread.join()\n"
        "said.append(subprocess.run(['echo', 'program'], capture_output=True, text=True,"
        " check=True).stdout.strip())\n"
        "async def loop():\n"
        "    process = await asyncio.create_subprocess_exec('echo', 'loop',"
        " stdout=asyncio.subprocess.PIPE)\n"
        "    return (await process.communicate())[0].decode().strip()\n"
        "said.append(asyncio.run(loop()))\n"
        "print(*said)\n"
    )
    server = start("read!", f"{PYTHON} {path}")

    assert [exchange(server.place, b"\n") for _ in range(2)] == [b"thread program loop\n"] * 2


def test_script_that_has_started_a_thread_is_not_held(start: Start, script: Script) -> None:
    """A copy would be without the thread; the script is loaded ahead instead."""
    path = script(
        "import sys, threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "print(sys.stdin.readline(), end='')\n"
    )
    server = start("read", f"{PYTHON} {path}", is_quiet=False)

    assert exchange(server.place, b"line\n") == b"line\n"
    assert ready(server) == "load"


@pytest.mark.parametrize(("threads", "level"), [("1", "read"), ("2", "load")])
def test_numpy_is_held_if_it_starts_no_threads(
    start: Start, script: Script, threads: str, level: str
) -> None:
    """Its library of linear algebra starts a thread per core when imported, unless told not to."""
    if int(threads) > len(os.sched_getaffinity(0)):
        pytest.skip("this machine has one core")
    path = script(
        "import sys, numpy\n"
        "for line in sys.stdin:\n"
        "    matrix = numpy.array([float(word) for word in line.split()]).reshape(2, 2)\n"
        "    print(int((matrix @ matrix).sum()), flush=True)\n"
    )
    server = start("read", f"{PYTHON} {path}", is_quiet=False, OPENBLAS_NUM_THREADS=threads)

    assert [exchange(server.place, b"1 2 3 %d\n" % last) for last in (4, 5)] == [b"54\n", b"68\n"]

    assert ready(server) == level
    if threads != "1":
        assert f"it has {threads} threads" in reason(server)


def test_interpreter_of_a_virtual_environment_is_held_with_its_modules(
    start: Start, tmp_path: Path
) -> None:
    """It is the same program by another name, which is how it finds what is installed for it."""
    folder = tmp_path / "environment"
    venv.create(folder)
    [packages] = folder.glob("lib/python3*/site-packages")
    (packages / "installed_here.py").write_text("import sys\nprefix = sys.prefix\n")
    code = "import sys, installed_here; sys.stdin.readline(); print(installed_here.prefix)"
    server = start("read!", f"{folder}/bin/python -c '{code}'")

    assert [exchange(server.place, b"\n") for _ in range(2)] == [f"{folder}\n".encode()] * 2


def test_signals_of_the_interpreter_are_its_own_again(start: Start, script: Script) -> None:
    """A write to a client that has gone is BrokenPipeError, since Python ignores SIGPIPE."""
    path = script(
        "import os, signal, sys\n"
        "sys.stdin.readline()\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
        "ignored = next(l for l in open('/proc/self/status') if l.startswith('SigIgn'))\n"
        "print(bool(int(ignored.split()[1], 16) >> (signal.SIGPIPE - 1) & 1))\n"
    )
    server = start("read!", f"{PYTHON} {path}")

    assert exchange(server.place, b"\n") == b"True\nTrue\n"


HELD_SCRIPT = """
import json
from os import environ, getpid
try:
    import no_such_module
except ImportError:
    pass
import sys, random
print(__name__, __file__, sys.argv, environ["REMOTE_PORT"], random.random(), flush=True)
"""


@pytest.mark.parametrize("level", ["stop!", "load!", "fork"])
def test_hold_module_runs_a_script_as_if_it_were_the_program(
    start: Start, script: Script, level: str
) -> None:
    """`python -m socketd.hold` gives a script its name, arguments and variables at every level."""
    path = script(HELD_SCRIPT)
    server = start(level, f"{PYTHON} -m socketd.hold {path} one 'two three'")

    drawn = []
    for _ in range(3):
        with connect(server.place) as connection:
            port = connection.getsockname()[1]
            answer = read_all(connection).decode()
        found = re.fullmatch(r"(.*) (\d+) ([\d.e-]+)\n", answer)
        assert found is not None, answer
        assert found[1] == f"__main__ {path} {[path, 'one', 'two three']}"
        assert int(found[2]) == port
        drawn.append(found[3])
    assert len(set(drawn)) == 3


def test_hold_module_imports_ahead_what_the_script_imports(start: Start, script: Script) -> None:
    """An import at the top level is paid once per template, not by each copy."""
    script("import os\nprint('imported by', 'template', flush=True)\n", "costly.py")
    path = script("import costly\nprint('ran')\n", "script.py")
    server = start("stop!", f"{PYTHON} -m socketd.hold {path}")
    server.wait_settled(idle=2)

    # What was printed at the import is part of the start, so each client gets it once.
    assert [exchange(server.place) for _ in range(2)] == [b"imported by template\nran\n"] * 2


def test_hold_module_says_how_it_is_used(start: Start) -> None:
    """Without a script it prints its usage and ends with Python's own status."""
    server = start("fork", f"{PYTHON} -m socketd.hold")

    assert exchange(server.place).startswith(b"usage: python -m socketd.hold [--cgi] SCRIPT")
    assert server.wait_event("connection_closed")["status"] == 2
