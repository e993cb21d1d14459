"""The end of a copy: the client hears of it first, and of all that the program says at its end."""

import socket
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all

from .conftest import ON_A_SHORTCUT, Compile, Start
from .sources import program

pytestmark = pytest.mark.slow

LAST_WORDS = r"""
static void say(void) { printf("at exit, "); }
static __attribute__((destructor)) void end(void)
{
    write(1, "destructor, ", 12);
    printf("rest\n");
}
"""
# Its constructor comes before ours, so that what it registers is called after ours.
WITNESS = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
static void look(int status, void *unused)
{
    int fd = open(getenv("SEEN"), O_WRONLY | O_CREAT | O_APPEND, 0644);
    int open_ones = 0;

    for (int i = 0; i < 3; i++) open_ones += i != fd && fcntl(i, F_GETFD) >= 0;
    dprintf(fd, "%d\n", open_ones);
}
static __attribute__((constructor)) void begin(void) { on_exit(look, 0); }
"""
THREAD = r"""
static void *wait(void *unused) { flockfile(stdin); pause(); return 0; }
"""


@pytest.mark.parametrize("level", ["fork", "load!", "read!"])
def test_last_words_of_a_program_arrive(start: Start, compile_c: Compile, level: str) -> None:
    """What it has registered for its end, its destructors, and what its streams still hold."""
    body = 'atexit(say); char c; read(0, &c, 1); printf("main, ");'
    server = start(level, compile_c(program(body, LAST_WORDS)))

    answer = exchange(server.place, b"x")

    assert answer == b"destructor, main, at exit, rest\n"


@ON_A_SHORTCUT
@pytest.mark.parametrize("level", ["load!", "read!"])
def test_connection_is_closed_before_the_memory_is_taken_down(
    start: Start, compile_c: Compile, tmp_path: Path, level: str
) -> None:
    """Who looks last of all finds none of the three descriptors any more."""
    seen = tmp_path / "seen"
    witness = compile_c(WITNESS, "-shared", "-fPIC")
    path = compile_c(program('char c; read(0, &c, 1); puts("a");'))
    server = start(level, path, "--env", f"SEEN={seen}", LD_PRELOAD=witness)

    assert exchange(server.place, b"x") == b"a\n"

    server.wait_event("connection_closed")
    assert seen.read_text() == "0\n"


@pytest.mark.parametrize("level", ["fork", "load!"])
def test_program_with_a_locked_stream_ends(start: Start, compile_c: Compile, level: str) -> None:
    """Another thread keeps it for ever: nothing is waited for that exit() does not wait for."""
    body = r"""
    pthread_t thread; char c; read(0, &c, 1);
    pthread_create(&thread, 0, wait, 0);
    while (ftrylockfile(stdin) == 0) { funlockfile(stdin); usleep(1000); }
    write(1, "a\n", 2); exit(3);
    """
    server = start(level, compile_c(program(body, THREAD), "-pthread"))
    with connect(server.place) as connection:
        connection.sendall(b"x")
        connection.shutdown(socket.SHUT_WR)

        assert read_all(connection) == b"a\n"
    assert server.wait_event("connection_closed")["status"] == 3
