"""The test suite of a real program, run by a copy of it: CPython's own, as Debian packages it.

What it looks at is what a copy could have wrong: descriptors, limits, signals, threads, terminals,
children, memory, names of files, the environment.
"""

import shlex
import subprocess

import pytest

from harness.clients import exchange
from harness.sanitized import IS_WANTED

from .conftest import Start, ready

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(IS_WANTED, reason="its limits of memory leave no room for the checks"),
]

PYTHON = "/usr/bin/python3"
# Quick ones, that need neither a network nor a terminal.
MODULES = [
    *("test_atexit", "test_ctypes", "test_fcntl", "test_mmap", "test_os", "test_posix"),
    *("test_pty", "test_pwd", "test_resource", "test_site", "test_thread", "test_uuid"),
]
# Looks at the parent, which is the master with a scheduling policy of its own.
LEFT_OUT = ["--ignore", "test_get_and_set_scheduler_and_param"]

# Which modules a copy is to test stands in the first line that it reads.
ASKED = """
import runpy, sys
import ctypes, subprocess, test.libregrtest, threading
sys.argv[1:] = sys.stdin.readline().split()
runpy.run_module("test", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def python() -> str:
    """Return an interpreter that has its tests."""
    command = [PYTHON, "-c", "import test.test_posix"]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("libpython3.11-testsuite is not installed")
    return PYTHON


@pytest.mark.parametrize("level", ["auto", "read!"])
def test_copy_of_cpython_passes_the_tests_of_cpython(start: Start, python: str, level: str) -> None:
    """Before main(), and with much of the interpreter at work already."""
    words = [*LEFT_OUT, *MODULES]
    asked = "" if level == "auto" else " ".join(words) + "\n"
    arguments = ["-m", "test", *words] if level == "auto" else ["-c", ASKED]
    server = start(level, shlex.join([python, *arguments]))

    said = exchange(server.place, asked.encode()).decode()

    assert f"All {len(MODULES)} tests OK." in said, said
    assert server.wait_statuses(1) == [0]
    assert ready(server) == ("load" if level == "auto" else "read")
