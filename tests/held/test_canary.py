"""The stack canary: what is learned of one copy's is worth nothing for the next one."""

import itertools
import platform
import sys
from pathlib import Path

import pytest

from harness import fastcgi
from harness.clients import Place, exchange
from harness.native import BUILD_SECONDS, BUILDS, find_compiler
from harness.sanitized import Sanitized

from .conftest import Compile, Start, ready
from .sources import ECHO, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine() not in ("x86_64", "aarch64"), reason="the canary's place is not known"
    ),
]

LEVELS = pytest.mark.parametrize("level", ["load!", "read!"])
PROTECTED = ("-fstack-protector-all", "-U_FORTIFY_SOURCE")

# Reads more than it has room for, as much as its client sends.
OVERFLOW = """
#include <sys/resource.h>
static __attribute__((noinline)) void take(void)
{
    char text[16];
    read(0, text, 999);
}
"""
OVERFLOWING = 'setrlimit(RLIMIT_CORE, &(struct rlimit){0}); take(); puts("whole");'
# What an address or a canary ends with, so it takes 256 guesses to learn the first byte.
MOST_GUESSES, AGAIN, BY_CHANCE = 3000, 20, 3
CANARY_SIZE = 8

# One that waits on a stack of its own keeps its program's canary where it is.
COROUTINES = """
#include <ucontext.h>
static ucontext_t outside, inside; static char stack[65536];
static __attribute__((noinline)) void wait_there(void) {
    volatile char text[16]; text[0] = 'i'; swapcontext(&inside, &outside); putchar(text[0]);
}
static void coroutine(void) { wait_there(); }
"""
COROUTINE = """
getcontext(&inside); inside.uc_stack.ss_sp = stack;
inside.uc_stack.ss_size = sizeof stack; inside.uc_link = &outside;
makecontext(&inside, coroutine, 0); swapcontext(&outside, &inside);
"""

CANARY = """
#include <stdint.h>
#ifdef __x86_64__
static uintptr_t canary(void) { uintptr_t c; __asm__("movq %%fs:0x28,%0" : "=r"(c)); return c; }
#else
extern uintptr_t __stack_chk_guard;
static uintptr_t canary(void) { return __stack_chk_guard; }
#endif
"""
TELL = 'char c; read(0, &c, 1); printf("%lx\\n", canary());'


def is_whole(place: Place, sent: bytes) -> bool:
    """Tell whether the program has survived what it was sent."""
    return exchange(place, sent) == b"whole\n"


def guess(place: Place, known: bytes) -> bytes | None:
    """Return a byte that was right after what is known, or None if there was no such."""
    for number in itertools.islice(itertools.cycle(range(256)), MOST_GUESSES):
        if is_whole(place, known + bytes([number])):
            return bytes([number])
    return None


@LEVELS
def test_guessing_byte_by_byte_makes_no_progress(
    start: Start, compile_c: Compile, level: str
) -> None:
    """A byte that was right once is wrong the next time, as often as chance has it."""
    server = start(level, compile_c(program(OVERFLOWING, OVERFLOW), *PROTECTED))
    place = server.place
    room = next(size for size in range(16, 64) if not is_whole(place, b"A" * (size + 1)))
    # The first byte of a canary ends a string.
    known = b"A" * room + b"\0"

    assert is_whole(place, known)
    byte = guess(place, known)
    right = sum(is_whole(place, known + (byte or b"")) for _ in range(AGAIN)) if byte else 0

    assert right <= BY_CHANCE


def test_canary_that_is_shared_is_not_learned_before_its_template_is_renewed(
    start: Start, compile_c: Compile
) -> None:
    """Each wrong guess is a crash, so none of the templates lives for the seven bytes."""
    path = compile_c(program(COROUTINE + OVERFLOWING, OVERFLOW + COROUTINES), *PROTECTED)
    server = start("read!", path)
    place = server.place
    room = next(size for size in range(16, 64) if not is_whole(place, b"A" * (size + 1)))
    known, most, guesses = b"\0", 1, 0
    while guesses < MOST_GUESSES and len(known) < CANARY_SIZE:
        for number in range(256):
            guesses += 1
            if is_whole(place, b"A" * room + known + bytes([number])):
                known += bytes([number])
                most = max(most, len(known))
                break
        else:
            known = b"\0"  # one that was right is so no more

    assert server.wait_event("template_started")["canary"].startswith("shared")
    assert most < CANARY_SIZE


@LEVELS
def test_each_copy_has_a_canary_of_its_own(start: Start, compile_c: Compile, level: str) -> None:
    """No two copies have the same, and each ends a string."""
    server = start(level, compile_c(program(TELL, CANARY), *PROTECTED))
    told = [int(exchange(server.place, b"x"), 16) for _ in range(6)]

    assert len(set(told)) == 6
    assert [canary & 0xFF for canary in told] == [0] * 6
    assert server.wait_event("template_started")["canary"] == "own"


def test_functions_that_wait_for_the_input_return_all_the_same(
    start: Start, compile_c: Compile
) -> None:
    """All of a hundred functions that are not over at the first read find the new canary."""
    before = """
    static __attribute__((noinline)) int deep(int left) {
        volatile char text[16]; text[0] = (char)left;
        if (left) return deep(left - 1) + text[0];
        char c; return (int)read(0, &c, 1) + text[0];
    }
    """
    body = 'printf("%d\\n", deep(100));'
    server = start("read!", compile_c(program(body, before), *PROTECTED))

    assert [exchange(server.place, b"x") for _ in range(3)] == [b"5051\n"] * 3
    assert server.wait_event("template_started")["canary"] == "own"


@pytest.mark.timeout(BUILD_SECONDS)
@pytest.mark.parametrize(
    ("level", "front"), [("load!", "none"), ("read!", "none"), ("load!", "fcgi")]
)
def test_an_object_that_has_canaries_itself_returns_too(
    tmp_path: Path, level: str, front: str
) -> None:
    """Distributions compile so. Whoever of ours has one when it changes would be ended."""
    flags = "CFLAGS=-fstack-protector-all"
    built = BUILDS.get("hold", f"CC={find_compiler()}", flags, HOLD="socketd-hold.so")
    page = tmp_path / "page"
    page.write_text("#!/bin/sh\nread line\nprintf 'Content-Type: text/plain\\n\\n%s' $line\n")
    page.chmod(0o755)
    program = ["--front", front, "-p", "cat" if front == "none" else str(page)]
    server = Sanitized(str(built / "socketd-hold.so")).serve(
        [
            "--log-level",
            "debug",
            "--ready",
            level,
            *program,
            "-W",
            "2",
            "-B",
            "127.0.0.1",
            "-s",
            "0",
        ]
    )
    try:
        for _ in range(3):
            if front == "none":
                assert exchange(server.place, b"whole\n") == b"whole\n"
            else:
                variables = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "6"}
                answer = fastcgi.ask(server.place, variables, b"whole\n")
                assert answer.stdout.endswith(b"whole")
        assert f"{ready(server)}!" == level
    finally:
        server.close()


@pytest.mark.parametrize(
    ("depth", "is_elsewhere"), [(3, True), (2000, False)], ids=["coroutine", "deep"]
)
def test_program_keeps_a_canary_that_cannot_be_replaced(
    start: Start, compile_c: Compile, depth: int, is_elsewhere: bool
) -> None:
    """With a second stack, or too many functions on one, it stays as it was, and that is told."""
    before = """
    static __attribute__((noinline)) int deep(int left) {
        volatile char text[16]; text[0] = 0;
        if (left) return deep(left - 1) + text[0];
        char c; return (int)read(0, &c, 1) + text[0];
    }
    """
    body = f"""
    {COROUTINE if is_elsewhere else ""}
    deep({depth});
    if ({int(is_elsewhere)}) swapcontext(&outside, &inside);
    printf("%lx\\n", canary());
    """
    path = compile_c(program(body, CANARY + COROUTINES + before), *PROTECTED)
    server = start("read!", path)
    told = {exchange(server.place, b"x") for _ in range(3)}

    assert len(told) == 1
    assert told.pop().startswith(b"i") == is_elsewhere
    reason = {True: "shared: its memory has it", False: "shared: too many functions"}
    canary = server.wait_event("template_started")["canary"]
    assert canary.startswith(reason[is_elsewhere]), canary
    server.wait_settled(idle=2)
    assert server.wait_statuses(3) == [0] * 3


@LEVELS
def test_python_starts_threads_and_programs_with_the_canary_of_its_copy(
    start: Start, script: Start, level: str
) -> None:
    """What a copy starts has the canary of the copy, or one of its own, and ends as usual."""
    path = script(
        f"#!{sys.executable}\n"
        "import subprocess, sys, threading\n"
        "line = sys.stdin.readline()\n"
        "one = threading.Thread(target=lambda: print('thread', flush=True))\n"
        "one.start(); one.join()\n"
        "subprocess.run(['echo', line.strip()], check=True)\n"
    )
    server = start(level, str(path))

    assert exchange(server.place, b"a\n") == b"thread\na\n"
    server.wait_settled(idle=2)
    assert server.wait_statuses(1) == [0]
    assert server.wait_event("template_started")["canary"] == "own"


def test_fork_level_says_that_each_has_its_own(start: Start, compile_c: Compile) -> None:
    """A program that was executed for its connection has a canary of its own anyway."""
    server = start("fork", compile_c(program(ECHO)))

    assert exchange(server.place, b"a\n") == b"a\n"
    assert server.wait_event("template_started")["canary"] == "own"
