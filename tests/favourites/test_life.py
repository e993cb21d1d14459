"""When a program gets a template, and when that is given up."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clients import TIMEOUT_SECONDS
from harness.processes import children_of
from harness.waiting import wait_for

from .conftest import MANY, Compile, Site, Start

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def asking(site: Site, path: str, clients: int = 4) -> Iterator[list[bytes]]:
    """Ask all the time meanwhile; the answers come in here, or what went wrong."""
    answers: list[bytes] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            try:
                answers.append(site.ask(path).stdout)
            except (OSError, AssertionError) as error:
                answers.append(repr(error).encode())

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def wait_answers(answers: list[bytes], more: int = 20) -> None:
    """Wait until so many more have come."""
    count = len(answers) + more
    wait_for(lambda: len(answers) >= count, f"{more} answers more")


def are_right(answers: list[bytes]) -> bool:
    """Tell whether all have been answered by the program."""
    return all(b"X-Version: " in answer for answer in answers)


def test_program_that_is_asked_for_rarely_gets_no_template(start: Start, put: Compile) -> None:
    """It is executed, as before."""
    site, program = start("scgi"), put()
    for _ in range(MANY - 1):
        assert b"X-Version: one" in site.ask(program).stdout

    assert site.server.events("favourite_started") == []


def test_program_that_was_replaced_is_not_run_any_more(
    start: Start, protocol: str, put: Compile
) -> None:
    """The request after the replacement is answered by the new program, and it gets a template."""
    site, program = start(protocol), put("one")
    former = site.favour(program)
    put("two")

    assert b"X-Version: two" in site.ask(program).stdout
    assert site.favour(program) != former
    dropped = site.server.wait_event("favourite_dropped")
    assert (dropped["program"], dropped["reason"]) == (program, "its file has changed")
    wait_for(lambda: not os.path.exists(f"/proc/{former}"), "the former template is gone")


def test_replacement_under_load_loses_nothing(start: Start, protocol: str, put: Compile) -> None:
    """Every request is answered, by one version or the other, and the last ones by the new one."""
    site, program = start(protocol), put("one")
    site.favour(program)
    with asking(site, program) as answers:
        wait_answers(answers)
        put("two")
        begun = len(answers) + 4  # as many may be on their way
        wait_answers(answers, 40)
        put("one")
        wait_answers(answers, 40)

    assert are_right(answers)
    assert b"X-Version: two" in answers[begun + 10]


def test_template_nobody_asks_for_is_dropped(start: Start, put: Compile) -> None:
    """After the time for which idle workers are kept."""
    site, program = start("scgi", "--idle-timeout", "500ms"), put()
    template = site.favour(program)
    dropped = site.server.wait_event("favourite_dropped")

    assert dropped["reason"] == "nobody has asked for it"
    wait_for(lambda: not os.path.exists(f"/proc/{template}"), "its template is gone")
    wait_for(lambda: len(site.server.workers()) == 2, "its copies are gone")
    assert b"X-Version: one" in site.ask(program).stdout


def test_number_of_templates_is_bounded(start: Start, put: Compile) -> None:
    """Programs that are asked for in turn do not take each other's places."""
    site = start("scgi", "--script-templates", "2")
    programs = [put("one", f"show-{number}") for number in range(20)]
    for program in programs:
        for _ in range(MANY + 2):
            assert b"X-Version: one" in site.ask(program).stdout
    held = [child for child in children_of(site.server.pid) if child.name == "socketd-held"]

    assert len(site.server.events("favourite_started")) <= 2
    assert len(held) <= 2


def test_program_that_cannot_be_held_is_left_alone(start: Start, put: Compile) -> None:
    """Why is told once, until its file changes."""
    site, program = start("scgi"), put("static")
    wait_for(
        lambda: site.ask(program).stdout and site.server.events("favourite_refused"),
        "it is refused",
    )
    for _ in range(MANY * 3):
        assert b"X-Version: static" in site.ask(program).stdout
    (refused,) = site.server.events("favourite_refused")
    assert refused["program"] == program
    put("two")

    site.favour(program)


@pytest.mark.parametrize("whom", ["template", "copies"])
def test_processes_that_are_killed_are_made_again(
    start: Start, protocol: str, put: Compile, whom: str
) -> None:
    """Requests go on being answered: by a copy again in the end."""
    site, program = start(protocol, is_quiet=False), put()
    template = site.favour(program)
    with asking(site, program) as answers:
        wait_answers(answers)
        for _ in range(5):
            if whom == "template":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(template, signal.SIGKILL)
            else:
                kill_waiting(site, template)
            wait_answers(answers)

    lost = [answer for answer in answers if b"X-Version" not in answer]
    assert len(lost) <= (0 if whom == "template" else 5 * 4), lost
    site.favour(program)


def kill_waiting(site: Site, template: int) -> None:
    """Kill the copies of a template."""
    for child in children_of(site.server.pid):
        with contextlib.suppress(ProcessLookupError):
            if child.name == "socketd-worker" and os.getsid(child.pid) == template:
                os.kill(child.pid, signal.SIGKILL)


def test_workers_together_are_never_more_than_the_maximum(
    start: Start, protocol: str, put: Compile
) -> None:
    """Those that hand over, and those that are copies: however many clients come at once."""
    most = 6
    site, program = start(protocol, "--max-workers", str(most)), put()
    site.favour(program)
    seen = 0
    with asking(site, program, clients=24) as answers:
        until = len(answers) + 300
        while len(answers) < until:
            seen = max(seen, len(site.server.workers()))

    assert are_right(answers)
    assert seen <= most


def test_waiting_copies_make_room(start: Start, put: Compile, tmp_path: Path) -> None:
    """A program without a template gets its workers though copies of another have all the room."""
    site, program = start("scgi", "--max-workers", "3", "-W", "1"), put()
    site.favour(program)
    slow = tmp_path / "cgi" / "slow"
    slow.write_text("#!/bin/sh\nprintf '\\r\\n'\nread line < ../fifo\necho done\n")
    slow.chmod(0o755)
    os.mkfifo(tmp_path / "fifo")
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(site.ask(str(slow)).stdout))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()

    def running() -> int:
        return sum(child.name == "slow" for child in children_of(site.server.pid))

    wait_for(lambda: running() == 3, "three of them run")
    with (tmp_path / "fifo").open("w") as fifo:
        for _ in range(3):
            fifo.write("go\n")
            fifo.flush()
        for thread in threads:
            thread.join()
    assert answers == [b"\r\ndone\n"] * 3


def test_stranger_at_the_address_gets_nothing(start: Start, protocol: str, put: Compile) -> None:
    """What it sends is dropped: bytes, descriptors that are no connections, too many of them."""
    site, program = start(protocol), put()
    site.favour(program)
    address = found_address(site)
    pairs = [socket.socketpair() for _ in range(4)]
    ends = [end.fileno() for pair in pairs for end in pair]
    with contextlib.ExitStack() as stack, open("/dev/null", "rb") as null:
        for pair in pairs:
            for end in pair:
                stack.callback(end.close)
        for fds in ([], [null.fileno()], ends[:2], ends, [null.fileno(), *ends]):
            for content in (b"x", b"g" * 100, os.urandom(4096), b"g"):
                if (content, len(fds)) == (b"g", 1) and fds[0] != null.fileno():
                    continue
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
                    stranger.connect(address)
                    with contextlib.suppress(BrokenPipeError):
                        socket.send_fds(stranger, [content], fds)
                assert b"X-Version: one" in site.ask(program).stdout

    site.favour(program)


def test_wishes_of_strangers_are_looked_at(start: Start, put: Compile, tmp_path: Path) -> None:
    """A path that no request may name gets no template, whoever asks for it."""
    site = start("scgi")
    program = put()
    site.favour(program)
    wishes = found_address(site).rpartition(b"-")[0]
    outside = tmp_path / "outside"
    outside.write_bytes(Path(program).read_bytes())
    outside.chmod(0o755)
    (tmp_path / "cgi" / "link").symlink_to(outside)
    link = str(tmp_path / "cgi" / "link")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(TIMEOUT_SECONDS)
        stranger.connect(wishes)
        for path in (b"", b"\0", b"x" * 5000, bytes(outside), b"/no/such", link.encode(), b"/"):
            for _ in range(MANY * 2):
                stranger.send(path)  # waits where the master has enough to look at
    other = put(name="other")
    site.favour(other)  # it is looked at behind all that

    favourites = {line["program"] for line in site.server.events("favourite_started")}
    assert favourites == {program, other}
    assert site.server.events("favourite_refused") == []


def found_address(site: Site) -> bytes:
    """Return the abstract address at which the copies of the one favourite listen."""
    folder = Path(f"/proc/{site.server.pid}/fd")
    inodes = {os.readlink(link).removeprefix("socket:[")[:-1] for link in folder.iterdir()}
    rows = [row.split() for row in Path("/proc/net/unix").read_text().splitlines()[1:]]
    names = {row[-1] for row in rows if row[6] in inodes and row[-1].startswith("@socketd-")}
    (name,) = (name for name in names if name.count("-") == 2)
    return b"\0" + name[1:].encode()
