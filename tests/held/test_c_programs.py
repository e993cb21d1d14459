"""C programs: what they do before and at their first read, and what their copies find."""

import os
import signal
import socket
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.sanitized import IS_WANTED
from harness.waiting import wait_for

from .conftest import ON_A_SHORTCUT, Compile, Start
from .sources import ECHO, READERS, program

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("how", READERS)
def test_every_way_to_wait_for_input_is_held(start: Start, compile_c: Compile, how: str) -> None:
    """A program that waits in any of these calls is held there, and goes on with its client."""
    server = start("read!", compile_c(program(READERS[how])))

    assert [exchange(server.place, word) for word in (b"a\n", b"b\n")] == [b"a\n", b"b\n"]


def test_constructor_that_reads_is_held(start: Start, compile_c: Compile) -> None:
    """A read before main() is a first read like any other."""
    before = "static char first; __attribute__((constructor)) static void r(void) {"
    before += " if (read(0, &first, 1) < 0) abort(); }"
    server = start("read!", compile_c(program(f"putchar(first); {ECHO}", before)))

    assert exchange(server.place, b"a\n") == b"a\n"


@pytest.mark.parametrize("flush", ["fflush(stdout);", ""])
def test_greeting_is_sent_first_on_every_connection(
    start: Start, compile_c: Compile, flush: str
) -> None:
    """What was written before, flushed or still in a buffer, comes once to each client."""
    server = start("read!", compile_c(program(f'printf("hello\\n"); {flush} {ECHO}')))

    with connect(server.place) as connection:
        if flush:
            assert connection.recv(6, socket.MSG_WAITALL) == b"hello\n"
        connection.sendall(b"a\n")
        connection.shutdown(1)
        assert read_all(connection) == (b"a\n" if flush else b"hello\na\n")
    assert exchange(server.place, b"b\n") == b"hello\nb\n"


@pytest.mark.parametrize(
    ("target", "answer"), [("socket", b"out\nerr\nout\nerr\n"), ("null", b"out\nout\n")]
)
def test_standard_error_of_the_start_goes_where_all_of_it_goes(
    start: Start, compile_c: Compile, target: str, answer: bytes
) -> None:
    """--stderr holds for what was written before the hold as for what is written after it."""
    say = 'write(1, "out\\n", 4); write(2, "err\\n", 4);'
    server = start(
        "read!", compile_c(program(f"char c; {say} read(0, &c, 1); {say}")), "--stderr", target
    )

    assert exchange(server.place, b"x") == answer


def test_large_greeting_is_whole(start: Start, compile_c: Compile) -> None:
    """A hundred thousand bytes come as they were written."""
    body = 'for (int i = 0; i < 10000; i++) printf("%09d\\n", i); fflush(stdout);'
    server = start("read!", compile_c(program(body + ECHO)))

    expected = b"".join(b"%09d\n" % number for number in range(10000))
    assert exchange(server.place, b"end\n") == expected + b"end\n"


def test_duplicates_of_the_streams_become_the_connection_too(
    start: Start, compile_c: Compile
) -> None:
    """A program that has put stdout aside before it was held writes there to its client."""
    body = 'int other = dup(1); close(1); char c; read(0, &c, 1); write(other, "here\\n", 5);'
    server = start("read!", compile_c(program(body)))

    assert exchange(server.place, b"x") == b"here\n"


def test_thread_id_that_libc_keeps_is_the_copy_s(start: Start, compile_c: Compile) -> None:
    """raise() signals the thread whose id libc remembers: the copy, not its template."""
    server = start("read!", compile_c(program("char c; read(0, &c, 1); raise(SIGTERM);")))

    for _ in range(3):
        assert exchange(server.place, b"x") == b""

    server.wait_settled(idle=2)
    assert server.wait_statuses(3) == [-signal.SIGTERM] * 3
    assert len(server.events("template_started")) == 1


def test_signals_are_in_a_copy_as_the_program_has_set_them(
    start: Start, compile_c: Compile
) -> None:
    """Handlers, ignored signals and the mask come back; while a copy waits they are not there."""
    before = """
    static volatile int seen;
    static void note(int number) { seen = number; }
    """
    body = """
    sigset_t mask; char text[99];
    signal(SIGTERM, note); signal(SIGWINCH, note); signal(SIGHUP, SIG_IGN);
    sigemptyset(&mask); sigaddset(&mask, SIGUSR2); sigprocmask(SIG_BLOCK, &mask, 0);
    read(0, text, 9);
    sigprocmask(SIG_SETMASK, 0, &mask);
    kill(getpid(), SIGHUP); kill(getpid(), SIGWINCH); int first = seen;
    kill(getpid(), SIGTERM);
    printf("%d %d %d %d\\n", first == SIGWINCH, seen == SIGTERM, sigismember(&mask, SIGUSR2),
           sigismember(&mask, SIGUSR1));
    """
    server = start("read!", compile_c(program(body, before)), is_quiet=False)

    assert exchange(server.place, b"x") == b"1 1 1 0\n"
    server.wait_settled(idle=2)
    [idle, _] = server.workers()
    os.kill(idle, signal.SIGTERM)
    server.wait_event("worker_failed")
    server.wait_settled(idle=2)


@pytest.mark.parametrize("level", ["load!", "read!"])
def test_program_has_its_own_name_again(start: Start, compile_c: Compile, level: str) -> None:
    """In a list of processes a copy with a connection is the program, not a worker of ours."""
    server = start(level, compile_c(program("char c; read(0, &c, 1); read(0, &c, 1);")))
    with connect(server.place) as connection:
        connection.sendall(b"x")
        pid = server.wait_event("connection_accepted")["pid"]

        wait_for(lambda: name_of(pid) != "socketd-worker", "the copy has another name")
        assert name_of(pid).startswith("program")


def name_of(pid: int) -> str:
    """Return the name of a process."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_own_preloaded_object_is_kept(start: Start, compile_c: Compile) -> None:
    """A program's own LD_PRELOAD works at every level, and is what it was in its environment."""
    extra = compile_c(
        "#include <stdio.h>\nint puts(const char *s) { return printf(\"<%s>\\n\", s); }\n",
        "-shared", "-fPIC",
    )  # fmt: skip
    body = 'char c; read(0, &c, 1); puts(getenv("LD_PRELOAD"));'
    path = compile_c(program(body), "-fno-builtin")
    for level in ("fork", "load!", "read!"):
        server = start(level, path, LD_PRELOAD=extra)

        assert exchange(server.place, b"x") == f"<{extra}>\n".encode()


@ON_A_SHORTCUT
@pytest.mark.skipif(IS_WANTED, reason="a library that checks is itself bound in each copy")
@pytest.mark.parametrize("level", ["load!", "read!"])
def test_functions_are_looked_up_once_for_all_copies(
    start: Start, compile_c: Compile, tmp_path: Path, level: str
) -> None:
    """The loader, asked to say what it looks up, says nothing of it for any copy with a client."""
    lazy = compile_c(program(ECHO), "-Wl,-z,lazy")
    said = tmp_path / "said"
    server = start(level, lazy, LD_DEBUG="bindings", LD_DEBUG_OUTPUT=str(said))
    template = server.wait_event("template_started")["pid"]

    assert exchange(server.place, b"a\n") == b"a\n"
    copy = str(server.wait_event("connection_closed")["pid"])

    server.close()
    lines = Path(f"{said}.{template}").read_text().splitlines()
    bound = {line.split(":")[0].strip() for line in lines if "binding file" in line}
    ended = {line.split(":")[0].strip() for line in lines if "calling fini" in line}
    assert ended - {str(template)}  # of copies it speaks there, too
    assert str(template) in bound
    assert copy not in bound


@pytest.mark.parametrize("flags", [("-no-pie", "-fno-pie"), ("-pie", "-fpie")])
def test_a_function_whose_address_is_taken_is_not_bound_to_itself(
    start: Start, compile_c: Compile, flags: tuple[str, str]
) -> None:
    """In a program for a fixed place such a function's address is the program's own stub."""
    body = f"pid_t (*volatile get)(void) = getppid; get(); getppid(); {ECHO}"
    server = start("load!", compile_c(program(body), "-Wl,-z,lazy", *flags))

    assert exchange(server.place, b"a\n") == b"a\n"
