"""Programs that wait for input where no copy could: told at once, not when the time is over."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.sanitized import IS_WANTED

from .conftest import Compile, Start, reason, reason_at_load
from .sources import program

pytestmark = pytest.mark.slow

NODE = "process.stdin.on('data', data => process.stdout.write(data))"
JAVA = """
public class Echo {
    public static void main(String[] words) throws Exception {
        System.in.transferTo(System.out);
        System.out.flush();
    }
}
"""
THREAD = """
import os, threading
reader = threading.Thread(target=lambda: os.write(1, os.read(0, 99)))
reader.start()
reader.join()
"""
ASYNCIO = """
import asyncio, os
loop = asyncio.new_event_loop()
def answer():
    os.write(1, os.read(0, 99))
    loop.stop()
loop.add_reader(0, answer)
loop.run_forever()
"""
THREADS = "threads, and another reads its input"
# To find out what kind of stream it is.
ASKS = "it asks about its connection before there is one (getsockname)"
EPOLL = "it waits for its input with epoll, which copies would share"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["node", "-e", NODE], ASKS),
        ([sys.executable, "-c", ASYNCIO], EPOLL),
        ([sys.executable, "-c", THREAD], THREADS),
    ],
    ids=["node", "asyncio", "thread"],
)
def test_program_that_waits_elsewhere_is_told_from_one_that_does_not_read(
    start: Start, command: list[str], why: str
) -> None:
    """The reason is the true one, and nobody waits for --hold-timeout."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    if IS_WANTED and command[0] == "node":
        pytest.skip("the address sanitizer has to be the first library of Node")
    server = start("read", shlex.join(command), "--hold-timeout", "1h", is_quiet=False)

    assert why in reason_at_load(server)


def test_java_reads_in_a_thread_that_is_not_the_main_one(start: Start, tmp_path: Path) -> None:
    """Its launcher waits for the thread that runs main() in Java."""
    if shutil.which("java") is None:
        pytest.skip("java is not installed")
    source = tmp_path / "Echo.java"
    source.write_text(JAVA)
    server = start(
        "read", shlex.join(["java", str(source)]), "--hold-timeout", "1h", is_quiet=False
    )

    assert exchange(server.place, b"a\n") == b"a\n"
    assert THREADS in reason(server)


def test_program_that_waits_with_io_uring_is_not_held(start: Start, compile_c: Compile) -> None:
    """Its rings are memory that copies would share."""
    uring = (
        "#include <linux/io_uring.h>\n#include <sys/syscall.h>\n#include <errno.h>\n"
        "static void wait_in_ring(void) { struct io_uring_params p = {0};"
        "int fd = syscall(SYS_io_uring_setup, 2, &p); if (fd < 0) exit(40);"
        "syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, 0, 0); }"
    )
    path = compile_c(program("wait_in_ring();", uring))
    server = start("read", path, "--hold-timeout", "1h", is_quiet=False)

    why = reason(server)

    if "status 40" in why:
        pytest.skip("this kernel has no io_uring")
    assert why == "it waits with io_uring, whose rings copies would share"
