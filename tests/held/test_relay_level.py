"""`--ready relay` in a whole server: what is not held, but started before each connection."""

import os
import signal
import threading
import zlib
from collections.abc import Callable

import pytest

from harness.clients import connect, exchange, read_all
from harness.extent import by_extent
from harness.processes import children_of, marked
from harness.servers import Server, run_socket
from harness.waiting import wait_for

from .conftest import Compile, Start, ready
from .sources import program

pytestmark = pytest.mark.slow

MIB = 1 << 20


def instances(server: Server) -> set[int]:
    """Return the programs behind the workers of a server."""
    return {one.pid for worker in server.workers() for one in children_of(worker)}


def test_level_is_always_had_and_never_renewed(start: Start) -> None:
    """There is nothing to be held, so nothing to fall back from and nothing that grows old."""
    server = start("relay!", "cat", "--renew-after", "50ms", "--hold-timeout", "1ms")

    assert ready(server) == "relay"
    assert exchange(server.place, b"a") == b"a"
    for number in range(200):
        assert exchange(server.place, b"%d" % number) == b"%d" % number
    assert len(server.events("template_started")) == 1


def test_static_program_is_started_before(start: Start, compile_c: Compile) -> None:
    """What nothing can be loaded into has its start behind it when the connection comes."""
    body = """
    char line[99];
    printf("%d\\n", getpid());
    while (fgets(line, 99, stdin)) fputs(line, stdout);
    """
    server = start("relay", compile_c(program(body), "-static"))
    server.wait_settled(idle=2)
    before = instances(server)

    answer = exchange(server.place, b"hello\n").split(b"\n")

    assert len(before) == 2
    assert int(answer[0]) in before
    assert answer[1:] == [b"hello", b""]


def test_a_long_transfer_goes_both_ways_at_once(start: Start) -> None:
    """Every byte of a long transfer through `cat` comes back, in order."""
    server = start("relay", "cat")
    block = os.urandom(MIB)
    count, sent, received, length = by_extent(128, 1_024), 0, 0, 0

    with connect(server.place) as connection:

        def send() -> None:
            for _ in range(count):
                connection.sendall(block)
            connection.shutdown(1)

        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(count):
            sent = zlib.crc32(block, sent)
        piece = bytearray(MIB)
        while got := connection.recv_into(piece):
            received = zlib.crc32(memoryview(piece)[:got], received)
            length += got
        sender.join()

    assert (length, received) == (count * MIB, sent)
    server.wait_settled(idle=2)


def test_end_of_the_program_is_in_the_log(start: Start) -> None:
    """Status and signal are those of the program."""
    server = start("relay", "read how; eval $how")
    for how in (b"exit 7\n", b"kill -TERM $$\n"):
        assert exchange(server.place, how) == b""

    for status in (7, -signal.SIGTERM):
        wait_for(
            lambda: status in [line["status"] for line in server.events("connection_closed")],  # noqa: B023  called at once
            f"status {status} in the log",
        )


def test_program_that_waits_for_nothing_does_not_spin(start: Start) -> None:
    """A pool whose programs end by themselves backs off, says why, and still serves."""
    server = start("relay", "sleep 0.2; echo done", is_quiet=False)
    place = server.place
    reason = server.wait_event("backing_off", lambda line: line["step"] == 3)["reason"]

    assert "its program has ended with status 0" in reason
    assert len(server.events("worker_failed")) < 20
    assert exchange(place) == b"done\n"


def test_program_that_cannot_run_is_said_at_the_start(script: Callable[..., str]) -> None:
    """The command ends with the reason, as for anything else that the first workers lack."""
    path = script("#!/no/such/interpreter\n")

    ended = run_socket("--ready", "relay", "-p", path, "-W", "2", "-B", "127.0.0.1", "-s", "0")

    assert ended.status == 71
    assert "exec: No such file or directory" in ended.stderr


def test_killed_instances_are_replaced(start: Start) -> None:
    """The pool notices, and fills up again with workers that have a program."""
    server = start("relay", "cat", is_quiet=False)
    server.wait_settled(idle=2)
    before = instances(server)
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    reason = server.wait_event("worker_failed")["reason"]
    assert "its program has ended with status -9" in reason
    wait_for(lambda: len(instances(server) - before) == 2, "two other instances")
    assert exchange(server.place, b"healed") == b"healed"


def test_nothing_is_left_when_the_master_is_killed(start: Start) -> None:
    """Idle workers take their programs along; a connection goes on to its end."""
    server = start("relay", "cat | cat", is_quiet=False)
    server.wait_settled(idle=2)
    with connect(server.place) as connection:
        busy = server.wait_event("connection_accepted")["pid"]

        server.process.kill()
        server.wait()

        wait_for(lambda: {one.group for one in marked(server.mark)} == {busy}, "only the busy")
        connection.sendall(b"finished")
        connection.shutdown(1)
        assert read_all(connection) == b"finished"
    wait_for(lambda: marked(server.mark) == [], "nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user")
def test_program_is_the_user_from_its_first_instruction(start: Start) -> None:
    """What root gives up is given up before the program starts, and its end is noticed as ever."""
    server = start("relay", "id -u; cat", "--user", "nobody", is_quiet=False)
    server.wait_settled(idle=2)

    uid, _, rest = exchange(server.place, b"a").partition(b"\n")

    assert (int(uid), rest) != (0, b"a")
    assert rest == b"a"
    wait_for(lambda: len(instances(server)) == 2, "both have a program")
    server.wait_settled(idle=2)
    worker = server.workers()[0]
    behind = {one.pid for one in children_of(worker)}
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: not behind & {one.pid for one in marked(server.mark)}, "it is gone")
    server.wait_settled(idle=2)


@pytest.mark.parametrize("options", [["-c"], ["-r"], ["-w"], ["--worker", "python"]])
def test_other_ways_to_relay_are_refused(options: list[str]) -> None:
    """The relay in Python has no worker that starts the program before."""
    ended = run_socket("--ready", "relay", *options, "-p", "cat", "-W", "1", "-s", "0")

    assert ended.status == 15
    assert "--ready relay: " in ended.stderr
