"""A copy that crashes: its template is renewed, so that nothing is learned of the next ones."""

import signal
import time

import pytest

from harness.clients import exchange
from harness.sanitized import ASAN_OPTIONS
from harness.servers import Server
from harness.waiting import wait_for

from .conftest import Compile, Start
from .sources import program

pytestmark = pytest.mark.slow

LEVELS = pytest.mark.parametrize("level", ["load!", "read!"])
# The library would make a report of it, and end the process by itself.
CRASHING = {"ASAN_OPTIONS": f"{ASAN_OPTIONS}:handle_segv=0:handle_sigbus=0"}
# Ends by the signal that its client wants, and otherwise tells where its stack is.
BODY = """
int number = 0; char text[99] = "";
setrlimit(RLIMIT_CORE, &(struct rlimit){0});
fgets(text, 99, stdin); number = atoi(text);
if (number) raise(number);
printf("%p\\n", (void *)text);
"""


def crash(server: Server, number: int) -> None:
    """Have a copy end by a signal."""
    assert exchange(server.place, b"%d\n" % number) == b""


def where(server: Server) -> bytes:
    """Return where the stack of a copy is."""
    return exchange(server.place, b"0\n")


@pytest.fixture
def path(compile_c: Compile) -> str:
    """Return the program."""
    return compile_c(program(BODY, "#include <sys/resource.h>"))


@LEVELS
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL"])
def test_layout_is_another_after_a_crash(start: Start, path: str, level: str, name: str) -> None:
    """Copies of one template have one layout, and one crash ends that."""
    server = start(level, path, **CRASHING)
    server.wait_settled(idle=2)
    first = {where(server) for _ in range(3)}

    crash(server, signal.Signals[name])

    assert len(first) == 1
    wait_for(lambda: where(server) not in first, "the copies are of another template")


def test_template_serves_for_a_while_whatever_its_copies_do(start: Start, path: str) -> None:
    """However many crash: it is renewed ten times a second at most, and everybody is answered."""
    server = start("read!", path, **CRASHING)
    server.wait_settled(idle=2)
    begun = time.monotonic()

    while time.monotonic() < begun + 1.0:
        crash(server, signal.SIGSEGV)

    crashes = len(server.events("connection_closed"))
    started = len(server.events("template_started"))
    assert where(server).startswith(b"0x")
    assert 2 <= started <= 2 + 10 * (time.monotonic() - begun)
    assert crashes > started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_end_that_was_asked_for_renews_nothing(start: Start, path: str, number: int) -> None:
    """Somebody has ended the copy, who has learned nothing by it."""
    server = start("read!", path, **CRASHING)
    first = where(server)

    for _ in range(3):
        crash(server, number)

    server.wait_settled(idle=2)
    assert where(server) == first
    assert len(server.events("template_started")) == 1


def test_program_that_was_executed_for_its_connection_renews_nothing(
    start: Start, path: str
) -> None:
    """Each has a layout of its own in any case."""
    server = start("fork", path, **CRASHING)
    first = where(server)

    crash(server, signal.SIGSEGV)

    server.wait_settled(idle=2)
    assert where(server) != first
    assert len(server.events("template_started")) == 1
