"""Programs of musl, held by an object that is made for it, as on a system of musl alone.

There everything is of one libc. Here the interpreter is not, so the server is told that it is.
"""

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.native import BUILD_SECONDS, BUILDS
from harness.servers import Server

from .conftest import Compile, Start, ready, reason
from .sources import ECHO, READERS, program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(BUILD_SECONDS)]

MUSL = "musl-gcc"
_CALL = """
import sys
import socketd.workers.launch
socketd.workers.launch.HOLD_OBJECT = {path!r}
sys.executable = {interpreter!r}
from socketd.cli.socket import main
sys.argv = sys.argv[1:]
sys.exit(main())
"""

Serve = Callable[..., Server]


@pytest.fixture(scope="module")
def compile_musl(compile_c: Compile) -> Compile:
    """Return a function that compiles a C program with musl."""
    if shutil.which(MUSL) is None:
        pytest.skip(f"{MUSL} is not installed")
    return lambda text, *flags: compile_c(text, *flags, by=MUSL)


@pytest.fixture
def serve(compile_musl: Compile, tmp_path: Path) -> Iterator[Serve]:
    """Start servers that hold programs of musl."""
    product = tmp_path / "socketd-hold.so"
    folder = BUILDS.get("sanitize-hold", f"CC={MUSL}", HOLD=product.name)
    shutil.copy(folder / product.name, product)
    call = _CALL.format(path=str(product), interpreter=compile_musl(program("")))
    servers = []

    def start_server(level: str, path: str, *more: str) -> Server:
        arguments = ["--log-level", "debug", "--ready", level, "-p", path, *more]
        arguments += ["-W", "2", "-B", "127.0.0.1", "-s", "0"]
        prefix = [sys.executable, "-c", call]
        servers.append(Server(arguments, prefix=prefix, is_measured=False))
        return servers[-1]

    yield start_server
    for server in servers:
        server.close()


@pytest.mark.parametrize("level", ["load!", "read!"])
@pytest.mark.parametrize("how", READERS)
def test_program_is_held_and_answers(
    serve: Serve, compile_musl: Compile, level: str, how: str
) -> None:
    """Wherever it waits; and each copy has its connection's variables and a canary of its own."""
    before = '__attribute__((destructor)) static void end(void) { puts(getenv("REMOTE_PORT")); }'
    path = compile_musl(program(READERS[how], before), "-fstack-protector-all")
    server = serve(level, path)

    for _ in range(3):
        with connect(server.place) as connection:
            connection.sendall(b"a\n")
            connection.shutdown(1)
            port = connection.getsockname()[1]
            assert read_all(connection) == b"a\n%d\n" % port
    server.wait_settled(idle=2)
    assert server.wait_statuses(3) == [0] * 3
    assert ready(server) == level.removesuffix("!")
    assert server.wait_event("template_started")["canary"] == "own"


def test_program_that_stops_itself_is_held(serve: Serve, compile_musl: Compile) -> None:
    """At its SIGSTOP, if that is sent by kill(): raise() of musl blocks all other signals."""
    server = serve("stop!", compile_musl(program(f"kill(getpid(), SIGSTOP); {ECHO}")))

    assert [exchange(server.place, b"a\n") for _ in range(3)] == [b"a\n"] * 3


@pytest.mark.parametrize("level", ["load!", "read!"])
def test_thread_of_a_copy_is_known_to_libc_and_kernel(
    serve: Serve, compile_musl: Compile, level: str
) -> None:
    """raise() reaches the copy, and another thread lives on when the first one has ended."""
    before = """
    static pthread_t first;
    static void *answer(void *nothing) {
        pthread_join(first, 0); puts("after"); fflush(stdout); raise(SIGTERM); return nothing;
    }
    """
    body = """
    char c; pthread_t other; read(0, &c, 1); first = pthread_self();
    pthread_create(&other, 0, answer, 0); pthread_exit(0);
    """
    server = serve(level, compile_musl(program(body, before)))

    assert [exchange(server.place, b"x") for _ in range(3)] == [b"after\n"] * 3
    server.wait_settled(idle=2)
    assert server.wait_statuses(3) == [-signal.SIGTERM] * 3


def test_what_is_registered_for_a_fork_is_called(serve: Serve, compile_musl: Compile) -> None:
    """pthread_atfork() is a function of its libc, and ours is asked first."""
    before = """
    static int calls;
    static void prepare(void) { calls += 10; }
    static void child(void) { calls++; }
    """
    body = 'char c; pthread_atfork(prepare, 0, child); read(0, &c, 1); printf("%d", calls);'
    server = serve("read!", compile_musl(program(body, before)))

    assert [exchange(server.place, b"x") for _ in range(3)] == [b"11"] * 3


def test_keeper_stays_behind_a_copy(serve: Serve, compile_musl: Compile) -> None:
    """The client gets all of the answer although not all that it sends is read."""
    server = serve("read!", compile_musl(program("char c; read(0, &c, 1); puts(\"answer\");")),
                   "--linger", "5s")  # fmt: skip

    assert exchange(server.place, b"x" * 100_000) == b"answer\n"


def test_program_of_another_libc_is_refused_with_its_loader(
    start: Start, compile_musl: Compile
) -> None:
    """Where our object is for glibc nothing of musl is tried, and the server runs without."""
    server = start("read", compile_musl(program(ECHO)), is_quiet=False)

    assert exchange(server.place, b"a\n") == b"a\n"
    assert "is for another libc: its loader is /lib/ld-musl" in reason(server)
    assert ready(server) == "fork"
