"""The life of held templates: death, renewal, the end of the master, memory of the copies."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.processes import children_of, marked
from harness.servers import Server
from harness.waiting import wait_for

from .conftest import Start

pytestmark = pytest.mark.slow

LEVELS = pytest.mark.parametrize(
    ("level", "command"),
    [("load!", "cat"), ("read!", "cat"), ("stop!", "sh -c 'kill -STOP $$; exec cat'")],
    ids=["load", "read", "stop"],
)


def template(server: Server) -> int:
    """Return the pid of the template that serves."""
    server.wait_event("template_started")
    return int(server.events("template_started")[-1]["pid"])


@LEVELS
def test_killed_template_is_replaced_and_its_copies_serve_on(
    start: Start, level: str, command: str
) -> None:
    """Copies outlive their template, busy ones too, and the next ones are of its successor."""
    server = start(level, command, is_quiet=False)
    server.wait_settled(idle=2)
    first = template(server)
    with connect(server.place) as busy:
        server.wait_event("connection_accepted")

        os.kill(first, signal.SIGKILL)

        assert [exchange(server.place, b"%d" % n) for n in range(6)] == [
            b"%d" % n for n in range(6)
        ]
        wait_for(lambda: template(server) != first, "there is another template")
        busy.sendall(b"still here")
        busy.shutdown(1)
        assert read_all(busy) == b"still here"
    server.wait_settled(idle=2)
    assert len(server.events("template_failed")) == 1


def test_template_that_is_stopped_is_replaced(start: Start) -> None:
    """A template that somebody stops would serve nobody: it is killed, and another is started."""
    server = start("read!", "cat", is_quiet=False)
    server.wait_settled(idle=2)
    first = template(server)

    os.kill(first, signal.SIGSTOP)

    wait_for(lambda: template(server) != first, "there is another template")
    assert exchange(server.place, b"a") == b"a"


def test_template_is_renewed_and_idle_copies_with_it(start: Start, tmp_path: Path) -> None:
    """After --renew-after copies know what is new in files; busy ones finish as they are."""
    source = tmp_path / "words"
    source.write_text("old\n")
    shell = f"bash -c 'word=$(cat {source}); while read line; do echo $word; done'"
    server = start("read!", shell, "--renew-after", "400ms")
    server.wait_settled(idle=2)
    with connect(server.place) as busy:
        busy.sendall(b"\n")
        assert busy.recv(10) == b"old\n"
        source.write_text("new\n")

        wait_for(lambda: exchange(server.place, b"\n") == b"new\n", "copies are of the new one")

        busy.sendall(b"\n")
        assert busy.recv(10) == b"old\n"
    wait_for(lambda: len(server.events("template_started")) >= 3, "renewed again")

    def held() -> int:  # a copy is called like its template at first
        return sum(one.name == "socketd-held" for one in children_of(server.pid))

    wait_for(lambda: held() <= 2, "no more than the last two templates are left")


def test_no_connection_is_lost_while_templates_are_renewed(start: Start) -> None:
    """Every connection is answered while a template lives for a tenth of a second."""
    server = start("read!", "cat", "--renew-after", "100ms")
    place = server.place
    deadline = time.monotonic() + 3.0

    answered = 0
    while time.monotonic() < deadline:
        assert exchange(place, b"%d" % answered) == b"%d" % answered
        answered += 1

    assert answered > 100
    assert len(server.events("template_started")) > 10
    assert server.events("worker_failed") == []


def test_renewal_that_cannot_be_held_falls_back(start: Start, script: Callable[..., str]) -> None:
    """A script that has become unholdable is served at a lesser level, with the reason."""
    path = script("#!/bin/sh\nread line\necho $line\n")
    server = start("read", path, "--renew-after", "300ms", is_quiet=False)
    assert exchange(server.place, b"a\n") == b"a\n"
    assert server.events("template_fell_back") == []

    script("#!/bin/sh\necho short\n")

    server.wait_event("template_fell_back")
    wait_for(lambda: exchange(server.place) == b"short\n", "served as it is now")


@LEVELS
@pytest.mark.parametrize("busy", [False, True])
def test_end_of_the_master_ends_template_and_idle_copies(
    start: Start, level: str, command: str, *, busy: bool
) -> None:
    """After kill -9 of the master nobody is left but a copy with a connection, which finishes."""
    server = start(level, command, is_quiet=False)
    server.wait_settled(idle=2)
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(connect(server.place)) if busy else None
        if busy:
            server.wait_event("connection_accepted")

        server.process.kill()
        server.wait()

        wait_for(lambda: len(marked(server.mark)) == int(busy), "nobody else is left")
        if connection is not None:
            connection.sendall(b"finished")
            connection.shutdown(1)
            assert read_all(connection) == b"finished"


@LEVELS
def test_killed_copies_are_replaced(start: Start, level: str, command: str) -> None:
    """The pool fills up again after the death of idle and busy copies."""
    server = start(level, command, is_quiet=False)
    server.wait_settled(idle=2)
    with connect(server.place) as connection:
        server.wait_event("connection_accepted")
        killed = server.workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert connection.recv(1) == b""

    # One that is dying may be given the next connection, and takes it along.
    wait_for(lambda: not {*killed} & {*server.workers()}, "the killed are gone")
    server.wait_settled(idle=2)
    assert exchange(server.place, b"a") == b"a"


@pytest.mark.parametrize(
    ("mode", "expected"), [("O_RDONLY", [b"1\n"] * 3), ("O_RDWR", [b"1\n", b"2\n", b"3\n"])]
)
def test_open_file_of_the_start_is_listed_and_shared_if_it_is_written(
    start: Start, tmp_path: Path, mode: str, expected: list[bytes]
) -> None:
    """Each copy reads on where its template stood; where it may write there is one position."""
    path = tmp_path / "numbers"
    path.write_text("1\n2\n3\n4\n")
    code = (
        f'import os, sys; f = os.open("{path}", os.{mode}); sys.stdin.readline(); '
        "print(os.read(f, 2).decode().strip())"
    )
    server = start("read!", f"{sys.executable} -c '{code}'", "--shared-files", "allow")

    answers = [exchange(server.place, b"\n") for _ in range(3)]

    assert answers == expected
    letter = "" if mode == "O_RDONLY" else "w"
    assert server.events("template_started")[0]["descriptors"] == f"3{letter}={path}"


def test_idle_copies_of_a_large_heap_share_it(start: Start) -> None:
    """A hundred copies of an interpreter with 50 MiB of data take 1.5 MiB each, at most."""
    code = 'import sys; data = [b"x" * 1000 for _ in range(50000)]; sys.stdin.readline()'
    server = start("read!", f"{sys.executable} -c '{code}'", "-W", "100")
    server.wait_settled(idle=100)

    shares = [pss_kib(pid) for pid in server.workers()]

    assert sum(shares) / len(shares) < 1536


def pss_kib(pid: int) -> int:
    """Return a process's memory, of what it shares its part."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
