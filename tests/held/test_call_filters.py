"""Programs under a filter of system calls, which need not allow what a template does."""

import shlex
import sys

import pytest

from harness.clients import exchange

from .conftest import Compile, Start, ready, reason, reason_at_load
from .sources import ECHO, program

pytestmark = pytest.mark.slow

# A filter that kills the process at one call and allows the rest.
FILTER = """
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
static void filter(int number) {
    struct sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    struct sock_fprog all = {4, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all)) exit(40);
}
"""
PYTHON = """
import ctypes, struct, sys
steps = (32, 0, 0, 0, 21, 0, 1, 165, 6, 0, 0, 1 << 31, 6, 0, 0, 0x7fff0000)  # as in FILTER
code = struct.pack("HBBI" * 4, *steps)
text = ctypes.create_string_buffer(code, len(code))
words = ctypes.create_string_buffer(struct.pack("HP", 4, ctypes.addressof(text)))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, words): sys.exit(40)
for line in sys.stdin: print(line, end="", flush=True)
"""
WHY = "it has a filter of system calls (seccomp)"


def test_program_with_a_filter_is_not_held_there(start: Start, compile_c: Compile) -> None:
    """Nothing is sent to it, not even the signal, and it serves at a level before the filter."""
    path = compile_c(program(f"filter(SYS_prctl); {ECHO}", FILTER))
    server = start("read", path, is_quiet=False)

    assert reason_at_load(server) == WHY


def test_script_with_a_filter_is_not_held_there(start: Start) -> None:
    """A sandbox that an interpreter puts itself into."""
    server = start("read", shlex.join([sys.executable, "-c", PYTHON]), is_quiet=False)

    assert exchange(server.place, b"a\n") == b"a\n"
    assert reason(server) == WHY


def test_program_that_its_filter_ends_is_told_apart(start: Start, compile_c: Compile) -> None:
    """A status of 31 says nothing to whoever reads the log."""
    only = "if (is_ahead())"
    path = compile_c(program(f"{only} filter(SYS_getppid); getppid(); {ECHO}", FILTER))
    server = start("read", path, is_quiet=False)

    assert exchange(server.place, b"a\n") == b"a\n"
    assert reason(server) == "a filter of system calls (seccomp) has ended it before it was held"


def test_filter_of_the_whole_container_is_no_reason(start: Start, compile_c: Compile) -> None:
    """What the server itself has too, every worker has got along with."""
    path = compile_c(program("filter(SYS_reboot); execvp(words[1], words + 1);", FILTER))

    server = start("read!", "cat", prefix=[path])

    assert exchange(server.place, b"a\n") == b"a\n"
    assert ready(server) == "read"
