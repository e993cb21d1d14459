"""A mutex that a program holds while it waits: what no copy could unlock is not copied."""

import platform
import shlex
import shutil

import pytest

from harness.clients import exchange

from .conftest import Compile, Start, ready, reason
from .sources import program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="locks are known in glibc only"),
]

REASON = "it holds a mutex that its copies could not unlock"
# Takes back what it holds, as a library does that closes its input.
LOCK = """
static pthread_mutex_t lock;
static void make(int kind) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes); pthread_mutexattr_settype(&attributes, kind);
    pthread_mutex_init(&lock, &attributes);
}
static void answer(void) {
    char c; read(0, &c, 1);
    pthread_mutex_unlock(&lock); pthread_mutex_lock(&lock);
    write(1, "answer\\n", 7);
}
"""
HELD = "make(PTHREAD_MUTEX_{}); pthread_mutex_lock(&lock); answer();"
# In memory of its own, across the edge of two pages.
ACROSS = """
#include <sys/mman.h>
static pthread_mutex_t *find_place(size_t before) {
    char *pages = mmap(0, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return (pthread_mutex_t *)(pages + 4096 - before);
}
"""


@pytest.mark.parametrize("kind", ["RECURSIVE", "ERRORCHECK"])
def test_program_that_holds_a_lock_of_its_thread_is_not_held(
    start: Start, compile_c: Compile, kind: str
) -> None:
    """It has the thread's id in it, and each copy is another thread: it would wait for ever."""
    server = start("read", compile_c(program(HELD.format(kind), LOCK), "-pthread"), is_quiet=False)

    assert exchange(server.place, b"x") == b"answer\n"
    assert ready(server) == "load"
    assert reason(server) == REASON


@pytest.mark.parametrize("before", [8, 16, 24, 32])
def test_lock_is_found_across_two_pages(start: Start, compile_c: Compile, before: int) -> None:
    """Memory is looked at in pages, but locks do not know of them."""
    body = f"""
    pthread_mutex_t *held = find_place({before});
    make(PTHREAD_MUTEX_RECURSIVE); memcpy(held, &lock, sizeof lock);
    pthread_mutex_lock(held); answer();
    """
    server = start("read", compile_c(program(body, LOCK + ACROSS), "-pthread"), is_quiet=False)

    assert exchange(server.place, b"x") == b"answer\n"
    assert reason(server) == REASON


def test_lock_that_is_held_where_a_program_stops_itself(start: Start, compile_c: Compile) -> None:
    """There it is as at the first read; also a lock on the stack, that is held more than once."""
    body = """
    pthread_mutex_t held;
    make(PTHREAD_MUTEX_RECURSIVE); memcpy(&held, &lock, sizeof lock);
    for (int i = 0; i < 3; i++) pthread_mutex_lock(&held);
    kill(getpid(), SIGSTOP); answer();
    """
    server = start("stop", compile_c(program(body, LOCK), "-pthread"), is_quiet=False)

    assert exchange(server.place, b"x") == b"answer\n"
    assert reason(server) == REASON


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(HELD.format("NORMAL"), id="of_no_thread"),
        pytest.param("make(PTHREAD_MUTEX_RECURSIVE); answer();", id="never_locked"),
        pytest.param(
            "make(PTHREAD_MUTEX_RECURSIVE); pthread_mutex_lock(&lock);"
            "pthread_mutex_unlock(&lock); answer();",
            id="unlocked",
        ),
        pytest.param(
            "make(PTHREAD_MUTEX_ERRORCHECK); pthread_mutex_lock(&lock);"
            "pthread_mutex_unlock(&lock); answer();",
            id="unlocked_that_checks",
        ),
        pytest.param(
            "static long own[512]; for (int i = 0; i < 512; i++)"
            "((int *)own)[2 * i] = getpid(); answer();",
            id="number",
        ),
        pytest.param("flockfile(stdin); answer(); funlockfile(stdin);", id="stream"),
    ],
)
def test_program_with_no_such_lock_is_held(start: Start, compile_c: Compile, body: str) -> None:
    """A lock asks who unlocks it only if it has to; and a number alone is no lock."""
    server = start("read!", compile_c(program(body, LOCK), "-pthread"))

    assert [exchange(server.place, b"x") for _ in range(3)] == [b"answer\n"] * 3
    assert ready(server) == "read"


def test_interpreter_that_has_its_own_number_is_held(start: Start) -> None:
    """Numbers of CPython stand beside others, which may be like those of a lock."""
    text = (
        "import os, struct, sys; "
        "own = [os.getpid() for _ in range(1000)]; "
        "packed = [struct.pack('iIiI', 1, 1, os.getpid(), 1) for _ in range(1000)]; "
        "print(len(own), sys.stdin.readline(), end='')"
    )
    server = start("read!", shlex.join(["python3", "-c", text]))

    assert exchange(server.place, b"a\n") == b"1000 a\n"
    assert ready(server) == "read"


def test_lock_is_no_matter_before_main(start: Start, compile_c: Compile) -> None:
    """At `load` a copy takes it itself."""
    server = start("load!", compile_c(program(HELD.format("RECURSIVE"), LOCK), "-pthread"))

    assert [exchange(server.place, b"x") for _ in range(3)] == [b"answer\n"] * 3


def test_prolog(start: Start) -> None:
    """SWI-Prolog reads with a lock on its input."""
    if shutil.which("swipl") is None:
        pytest.skip("swipl is not installed")
    goal = "read_term(X, []), print(X), nl, halt"
    server = start("read", shlex.join(["swipl", "-q", "-g", goal]), is_quiet=False)

    assert exchange(server.place, b"a(b).\n") == b"a(b)\n"
    assert ready(server) == "load"
    assert reason(server) == REASON
