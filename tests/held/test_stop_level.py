"""Programs that say themselves where their start ends."""

import pytest

from harness.clients import connect, exchange, read_all

from .conftest import Compile, Start, ready, reason, reason_at_load
from .sources import ECHO, program

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_script_that_stops_itself_goes_on_behind_that_line(start: Start, shell: str) -> None:
    """What stands before `kill -STOP $$` is done once, what stands behind it for each client."""
    server = start(
        "stop!", f"{shell} -c 'echo start; n=$(expr 1 + 1); kill -STOP $$; read x; echo $n $x'"
    )

    assert [exchange(server.place, word) for word in (b"a\n", b"b\n")] == [
        b"start\n2 a\n",
        b"start\n2 b\n",
    ]
    assert ready(server) == "stop"


def test_program_needs_not_read_to_be_held(start: Start, compile_c: Compile) -> None:
    """A client that says nothing is answered, since nothing but the program waits for it."""
    body = 'raise(SIGSTOP); printf("%s\\n", getenv("REMOTE_PORT"));'
    server = start("stop!", compile_c(program(body)))

    for _ in range(3):
        with connect(server.place) as connection:
            assert read_all(connection) == b"%d\n" % connection.getsockname()[1]


def test_program_that_does_not_stop_itself_is_loaded_ahead(start: Start) -> None:
    """After the time limit it is held before main() instead."""
    server = start("stop", "cat", "--hold-timeout", "300ms", is_quiet=False)

    assert "it has not stopped itself within 0.3 s" in reason_at_load(server)


def test_program_that_stops_where_nobody_holds_it_is_told_to_go_on(
    start: Start, compile_c: Compile
) -> None:
    """At a lesser level the line that stops it is passed, as it is by a held copy."""
    before = "static void *wait_forever(void *x) { pause(); return x; }"
    body = f"pthread_t t; pthread_create(&t, 0, wait_forever, 0); raise(SIGSTOP); {ECHO}"
    server = start("stop", compile_c(program(body, before), "-pthread"), is_quiet=False)

    assert [exchange(server.place, word) for word in (b"a\n", b"b\n")] == [b"a\n", b"b\n"]
    assert "it has 2 threads" in reason(server)
