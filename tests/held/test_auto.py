"""`--ready auto`, the default: held before it runs where that can be, and never run in vain."""

import os
import sys
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.servers import Server

from .conftest import Compile, Start

# It leaves a mark each time it runs.
MARKER = """
#include <fcntl.h>
#include <unistd.h>
int main(int count, char **words)
{
    char byte;
    int fd = open(words[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (count < 2 || write(fd, "x", 1) != 1)
        return 1;
    close(fd);
    while (read(0, &byte, 1) == 1)
        if (write(1, &byte, 1) != 1)
            return 1;
    return 0;
}
"""

THREADED = """
#include <pthread.h>
#include <unistd.h>
static void *wait_for_ever(void *nothing) { pause(); return nothing; }
__attribute__((constructor)) static void begin(void)
{
    pthread_t thread;
    pthread_create(&thread, 0, wait_for_ever, 0);
}
"""

# As a program that gains privileges: its loader ignores what is preloaded.
SECURE = "import os, sys; os.setresgid(65534, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"


def chosen(server: Server) -> str:
    """Return why `auto` has taken the lower level."""
    return str(server.wait_event("ready_chosen")["reason"])


def test_program_is_loaded_without_being_asked_for(start: Start) -> None:
    """Nothing is said about it, and the classic line is as ever."""
    server = start("auto", "cat")

    assert server.wait_event("service_ready")["ready"] == "load"
    assert server.events("ready_chosen") == []
    assert exchange(server.place, b"hello") == b"hello"


def test_program_does_not_run_before_there_is_a_connection(
    start: Start, compile_c: Compile, tmp_path: Path
) -> None:
    """It would have left a mark, and leaves one for each connection."""
    mark = tmp_path / "mark"
    server = start("auto", f"{compile_c(MARKER)} {mark}")
    server.wait_settled(idle=2)
    assert not mark.exists()

    for number in range(3):
        assert exchange(server.place, b"a") == b"a"
        assert mark.read_bytes() == b"x" * (number + 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has two groups")
def test_program_that_cannot_be_held_is_not_run_to_find_out(
    start: Start, compile_c: Compile, tmp_path: Path
) -> None:
    """In secure-execution mode, which no file shows, the loader says so before anything runs."""
    mark = tmp_path / "mark"
    secure = (sys.executable, "-c", SECURE)
    server = start("auto", f"{compile_c(MARKER)} {mark}", prefix=secure)

    assert server.wait_event("service_ready")["ready"] == "fork"
    assert "secure-execution mode" in chosen(server)
    assert not mark.exists()
    assert exchange(server.place, b"a") == b"a"
    assert mark.read_bytes() == b"x"


def test_program_of_a_static_kind_is_run_as_before(start: Start, compile_c: Compile) -> None:
    """That is no reason for a warning: nobody has asked for more."""
    server = start("auto", compile_c(MARKER, "-static") + " /dev/null")

    assert server.wait_event("service_ready")["ready"] == "fork"
    assert "linked statically" in chosen(server)


def test_library_that_starts_threads_forbids_it(
    start: Start, compile_c: Compile, tmp_path: Path
) -> None:
    """Copies would lack them."""
    library = compile_c(THREADED, "-shared", "-fPIC", "-pthread")
    folder, name = os.path.split(library)
    os.rename(library, f"{folder}/lib{name}.so")
    flags = ("-Wl,--no-as-needed", f"-L{folder}", f"-l{name}", f"-Wl,-rpath,{folder}")
    server = start("auto", f"{compile_c(MARKER, *flags)} {tmp_path}/mark")

    assert server.wait_event("service_ready")["ready"] == "fork"
    assert "it has 2 threads" in chosen(server)
    assert exchange(server.place, b"a") == b"a"
