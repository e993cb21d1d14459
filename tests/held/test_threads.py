"""What libc and the kernel keep of the thread that is held."""

import signal

import pytest

from harness.clients import connect, exchange, read_all

from .conftest import Compile, Start
from .sources import program

pytestmark = pytest.mark.slow

HEAD = """
#include <sys/prctl.h>
#include <sys/syscall.h>
static int word = 2; /* as in glibc since 2.43 */
"""


def test_word_that_the_kernel_clears_may_be_another_than_the_id(
    start: Start, compile_c: Compile
) -> None:
    """Both are in a copy what they were: raise() reaches it, and the kernel clears that word."""
    body = (
        "char c; int *place = 0; syscall(SYS_set_tid_address, &word); read(0, &c, 1);"
        'prctl(PR_GET_TID_ADDRESS, &place); write(1, place == &word && word == 2 ? "y" : "n", 1);'
        "raise(SIGTERM);"
    )
    server = start("read!", compile_c(program(body, HEAD)))

    assert [exchange(server.place, b"x") for _ in range(3)] == [b"y"] * 3
    server.wait_settled(idle=2)
    assert server.wait_statuses(3) == [-signal.SIGTERM] * 3


def test_robust_mutex_of_a_copy_is_told_of_its_death(start: Start, compile_c: Compile) -> None:
    """As in any child of a fork: who waits for what the copy has locked learns that it is dead."""
    body = """
    pthread_mutexattr_t robust; pthread_mutex_t *shared; char c;
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(shared, &robust);
    read(0, &c, 1);
    pid_t waiting = fork();
    if (!waiting) { /* until the copy is gone */
        read(0, &c, 1);
        puts(pthread_mutex_lock(shared) == EOWNERDEAD ? "told" : "not told");
        return 0;
    }
    pthread_mutex_lock(shared); write(1, ".", 1); _exit(0);
    """
    extra = "#include <errno.h>\n#include <sys/mman.h>\n"
    command = compile_c(program(body, extra), "-pthread")
    server = start("read!", command, "--shared-files", "allow")

    with connect(server.place) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"."
        server.wait_statuses(1)
        connection.sendall(b"x")
        assert read_all(connection) == b"told\n"
