"""A script that was prepared by socketd.hold ends as under the interpreter itself."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from socketd.system.products import HOLD_SCRIPT

from .conftest import Start

pytestmark = pytest.mark.slow

Script = Callable[..., str]
# Each ends in its own way; a copy and the interpreter have to agree on output and status.
ENDS = {
    "the last line": "print('x')",
    "a status": "print('x'); sys.exit(3)",
    "a status beyond a byte": "sys.exit(256 + 7)",
    "no status": "print('x'); sys.exit()",
    "true": "sys.exit(True)",
    "a message": "print('x'); sys.exit('message')",
    "an exception": "print('x'); [].pop()",
    "an exception with a cause": "try: [].pop()\nexcept IndexError as e: raise KeyError(1) from e",
    "a hook for exceptions": "sys.excepthook = lambda *_: print('hooked'); 1 / 0",
    "an own flush": "sys.stdout.write('no newline'); sys.stdout.flush()",
    "no flush": "sys.stdout.write('no newline')",
    "a closed stdout": "sys.stdout.close()",
    "functions at the exit": "import atexit\natexit.register(print, 'last')\nprint('first')",
    "an object that speaks at its end": "class A:\n def __del__(self): print('gone')\na = A()",
    "the same in a ring": "class A:\n def __del__(self): print('gone')\na = A(); a.a = a",
    "a thread that is waited for": "import threading\n"
    "def last():\n threading.main_thread().join(); print('thread')\n"
    "threading.Thread(target=last).start()\nprint('main')",
    "a pool of threads": "from concurrent.futures import ThreadPoolExecutor\n"
    "ThreadPoolExecutor(2).submit(lambda: print('task'))",
    "os._exit": "print('x', flush=True); os._exit(9)",
    "a signal": "print('x', flush=True); os.kill(os.getpid(), 15)",
}


@pytest.mark.parametrize("name", ENDS)
def test_end_is_that_of_the_interpreter(start: Start, script: Script, name: str) -> None:
    """Output, complaints and status are the same at `stop` and at `fork`."""
    path = script(f"import os, sys\n{ENDS[name]}\n")
    answers = []
    for command, level in ((f"{HOLD_SCRIPT} {path}", "stop!"), (path, "fork")):
        server = start(level, f"{shlex.quote(sys.executable)} {command}")
        answer = exchange(server.place).decode()
        status = server.wait_event("connection_closed")["status"]
        answers.append((answer, status))

    assert answers[0] == answers[1]


def test_file_that_was_not_closed_is_written(start: Start, script: Script, tmp_path: Path) -> None:
    """What a script leaves to its end is done at its end, wherever it holds the file."""
    path = script(
        f"import sys\nclass Holder: pass\nnames = ['{tmp_path}/a', '{tmp_path}/b']\n"
        "plain = open(names[0], 'w'); plain.write('plain')\n"
        "ring = Holder(); ring.self = ring; ring.file = open(names[1], 'w')\n"
        "ring.file.write('ring')\n"
    )
    server = start("stop!", f"{shlex.quote(sys.executable)} -W ignore {HOLD_SCRIPT} {path}")

    assert exchange(server.place) == b""
    assert server.wait_event("connection_closed")["status"] == 0
    assert [(tmp_path / name).read_text() for name in "ab"] == ["plain", "ring"]
