"""A request of the operator's is answered by a copy on trial before the template serves."""

import os
import signal
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.processes import children_of
from harness.waiting import wait_for

from .conftest import Compile, Start, ready, reason
from .sources import ECHO, program
from .test_trial import BEGIN, CRASHING, IN_A_COPY

pytestmark = pytest.mark.slow


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    """Return a file with a request of one line."""
    path = tmp_path / "request"
    path.write_text("a question\n")
    return path


@pytest.mark.parametrize("level", ["read!", "stop!"])
def test_copy_on_trial_answers_the_request(
    start: Start, tmp_path: Path, request_file: Path, level: str
) -> None:
    """It gets all of it and the end of its input, and its answer goes nowhere but to the log."""
    seen, script = tmp_path / "seen", tmp_path / "script"
    stop = "kill -STOP $$; " if level == "stop!" else ""
    script.write_text(f"{stop}while read -r a; do echo $a >> {seen}; echo ${{#a}}; done; exit 3\n")
    server = start(level, f"bash {script}", "--warm-up", str(request_file))

    assert ready(server) == level.removesuffix("!")
    answered = server.wait_event("warm_up_answered")
    assert (answered["status"], answered["answer_bytes"]) == (3, 3)
    assert seen.read_text() == "a question\n"
    assert exchange(server.place, b"xy\n") == b"2\n"
    assert seen.read_text() == "a question\nxy\n"


def test_request_may_be_larger_than_all_buffers(start: Start, tmp_path: Path) -> None:
    """The program may write while more is sent: nobody waits for the other."""
    request = tmp_path / "request"
    request.write_bytes(os.urandom(1 << 20) * 3)
    server = start("read!", "cat", "--warm-up", str(request))

    answered = server.wait_event("warm_up_answered")
    assert (answered["status"], answered["answer_bytes"]) == (0, 3 << 20)
    assert exchange(server.place, b"abc") == b"abc"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("sleep(0); return 0;", 0),  # it reads no more than it has been held in
        ("close(0); close(1); close(2); return 5;", 5),
        ("for (;;) write(1, big, sizeof big);", 128 + signal.SIGPIPE),
    ],
    ids=["reads-little", "closes", "endless-answer"],
)
def test_program_need_not_take_all_nor_come_to_an_end(
    start: Start, compile_c: Compile, tmp_path: Path, body: str, status: int
) -> None:
    """A client has had enough after 16 MiB, and leaves."""
    request = tmp_path / "request"
    request.write_bytes(bytes(1 << 20))
    text = program(f"char c; if (read(0, &c, 1) != 1) return 9; {body}", "static char big[65536];")
    server = start("read!", compile_c(text), "--warm-up", str(request))

    assert server.wait_event("warm_up_answered")["status"] == status


def faulty(compile_c: Compile, fault: str) -> str:
    """Return a program whose copies do something once they have read a certain request."""
    body = f"""
    {BEGIN} char c; long n = read(0, &c, 1);
    if (is_copy() && n == 1 && c == 'a') {{ {fault}; }}
    if (n == 1) write(1, &c, 1);
    """
    return compile_c(program(body, IN_A_COPY))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("abort()", "a copy on trial was ended by SIGABRT"),
        ("raise(SIGSEGV)", "a copy on trial was ended by SIGSEGV"),
        ("raise(SIGTERM)", "a copy on trial was ended by SIGTERM"),
        ("raise(SIGPIPE)", "a copy on trial was ended by SIGPIPE"),
        ("raise(SIGRTMIN)", "a copy on trial was ended by a signal"),
        ("raise(SIGSTOP)", "a copy on trial has stopped itself"),
        ("pause()", "it has not passed its trial within 0.5 s"),
    ],
)
def test_program_that_does_not_bear_the_request_is_not_held(
    start: Start, compile_c: Compile, request_file: Path, fault: str, words: str
) -> None:
    """Its clients would fare no better; a level down the program is not copied."""
    more = ("--warm-up", str(request_file), "--hold-timeout", "500ms" if "0.5" in words else "10s")
    server = start("read", faulty(compile_c, fault), *more, is_quiet=False, **CRASHING)

    assert reason(server) == words
    assert ready(server) == "load"
    assert exchange(server.place, b"b") == b"b"


def test_messages_of_the_program_go_where_they_always_go(
    start: Start, tmp_path: Path, request_file: Path
) -> None:
    """They may say what is wrong with the request."""
    script = tmp_path / "script"
    script.write_text("read -r a; echo oops: $a >&2; echo done\n")
    more = ("--warm-up", str(request_file), "--stderr", "inherit")
    server = start("read!", f"bash {script}", *more, is_quiet=False)

    wait_for(lambda: server.noise == ["oops: a question"], "the message")


def test_request_that_is_gone_is_the_reason(start: Start, request_file: Path) -> None:
    """It is looked for at each start of a template; a level down none is needed."""
    server = start("read", "cat", "--warm-up", str(request_file), is_quiet=False)
    server.wait_settled(idle=2)
    (template,) = [one for one in children_of(server.pid) if one.pid not in server.workers()]
    request_file.unlink()

    os.kill(template.pid, signal.SIGKILL)

    assert reason(server) == (
        f"the request for its trial, {str(request_file)!r}, cannot be read: No such file or "
        "directory"
    )
    assert exchange(server.place, b"b") == b"b"


def test_request_that_has_changed_is_tried_again(
    start: Start, compile_c: Compile, request_file: Path
) -> None:
    """A level that has failed for a request may do with another one."""
    more = ("--warm-up", str(request_file), "--renew-after", "1s")
    server = start("read", faulty(compile_c, "abort()"), *more, is_quiet=False, **CRASHING)
    assert "SIGABRT" in reason(server)

    request_file.write_text("better\n")

    assert server.wait_event("warm_up_answered")["answer_bytes"] == 1
    assert exchange(server.place, b"b") == b"b"


def test_programs_that_it_has_started_are_ended(
    start: Start, tmp_path: Path, request_file: Path
) -> None:
    """One that keeps the connection open does not make the trial wait; the fixture looks for it."""
    mark = tmp_path / "mark"
    text = f"read -r a; sleep 1000 & echo $! > {mark}; echo done"
    server = start("read!", f"sh -c '{text}'", "--warm-up", str(request_file))

    assert server.wait_event("warm_up_answered")["status"] == 0
    wait_for(lambda: not Path(f"/proc/{mark.read_text().strip()}").exists(), "its end")
    server.stop()


def test_what_a_copy_registers_for_a_fork_is_not_lost(
    start: Start, compile_c: Compile, request_file: Path
) -> None:
    """A copy on trial goes all the way that a copy with a client goes."""
    body = f"pthread_atfork(0, 0, abort); {ECHO}"
    more = ("--warm-up", str(request_file), "-W", "1")
    server = start("read", compile_c(program(body)), *more, is_quiet=False)

    assert "a copy on trial was ended by SIGABRT" in reason(server)
