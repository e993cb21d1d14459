"""A copy is tried before the template serves: whose copies die by themselves is not held."""

from pathlib import Path

import pytest

from harness.clients import exchange
from harness.processes import children_of
from harness.sanitized import ASAN_OPTIONS
from harness.waiting import wait_for

from .conftest import Compile, Start, ready, reason
from .sources import ECHO, program

pytestmark = pytest.mark.slow

# What a copy is, and the template is not: another process.
IN_A_COPY = "static pid_t first; static int is_copy(void) { return getpid() != first; }"
BEGIN = "first = getpid();"

RUN = ("--trial", "run")
# The library would make a report of a crash, and end the process by itself.
CRASHING = {"ASAN_OPTIONS": f"{ASAN_OPTIONS}:handle_segv=0:handle_sigbus=0:handle_sigfpe=0"}

FAULTS = {
    "abort()": "SIGABRT",
    "raise(SIGSEGV)": "SIGSEGV",
    "raise(SIGILL)": "SIGILL",
    "raise(SIGBUS)": "SIGBUS",
    "raise(SIGFPE)": "SIGFPE",
    "raise(SIGSYS)": "SIGSYS",
    "raise(SIGTRAP)": "SIGTRAP",
}


def faulty(compile_c: Compile, fault: str) -> str:
    """Return a program whose copies do something as soon as they go on."""
    body = f"""
    {BEGIN} char c; long n = read(0, &c, 1);
    if (is_copy()) {{ {fault}; }}
    if (n == 1) write(1, &c, 1);
    """
    return compile_c(program(body, IN_A_COPY))


@pytest.mark.parametrize("fault", FAULTS)
def test_program_whose_copies_die_is_not_held(start: Start, compile_c: Compile, fault: str) -> None:
    """Its clients would get no answer; a level down they do."""
    server = start("read", faulty(compile_c, fault), *RUN, is_quiet=False, **CRASHING)

    assert reason(server) == f"a copy on trial was ended by {FAULTS[fault]}"
    assert ready(server) == "load"
    assert exchange(server.place, b"a") == b"a"


def test_program_whose_copies_stop_is_not_held(start: Start, compile_c: Compile) -> None:
    """Nobody would wake them."""
    server = start("read", faulty(compile_c, "raise(SIGSTOP)"), *RUN, is_quiet=False)

    assert reason(server) == "a copy on trial has stopped itself"
    assert exchange(server.place, b"a") == b"a"


def test_program_whose_copies_hang_is_not_held(start: Start, compile_c: Compile) -> None:
    """The time limit is that of being held."""
    path = faulty(compile_c, "pause()")
    server = start("read", path, *RUN, "--hold-timeout", "500ms", is_quiet=False)

    assert reason(server) == "it has not passed its trial within 0.5 s"
    assert exchange(server.place, b"a") == b"a"


@pytest.mark.parametrize("ending", ["exit(3)", "raise(SIGPIPE)", "raise(SIGTERM)"])
def test_other_ends_are_no_faults(start: Start, compile_c: Compile, ending: str) -> None:
    """What a program does whose client has left is its own affair."""
    body = f"{BEGIN} char c; if (read(0, &c, 1) != 1) {{ {ending}; }} write(1, &c, 1);"
    server = start("read!", compile_c(program(body, IN_A_COPY)), *RUN)

    assert exchange(server.place, b"a") == b"a"


def test_trial_is_a_client_that_has_left(start: Start, tmp_path: Path) -> None:
    """It runs once for each template, and its messages go nowhere."""
    mark = tmp_path / "mark"
    script = tmp_path / "script"
    script.write_text(f'read a; echo "$a:$REMOTE_PORT" >> {mark}; echo oops >&2; echo done\n')
    server = start("read!", f"bash {script}", *RUN, "--stderr", "inherit", is_quiet=False)
    server.wait_settled(idle=2)
    port = server.place[1]
    assert mark.read_text() == f":{port}\n"  # as if it was the listener that had connected

    assert exchange(server.place, b"x\n") == b"done\n"

    assert mark.read_text().startswith(f":{port}\nx:")
    wait_for(lambda: server.noise == ["oops"], "the message of the copy with a client, only")


@pytest.mark.parametrize("level", ["load!", "read!", "stop!"])
def test_trial_runs_nothing_of_the_program_unless_it_is_told_to(
    start: Start, tmp_path: Path, level: str
) -> None:
    """Nobody can know what a run without a client does."""
    mark, script = tmp_path / "mark", tmp_path / "script"
    stop = "kill -STOP $$; " if level == "stop!" else ""
    script.write_text(f"{stop}read a; echo run >> {mark}; echo done\n")
    server = start(level, f"bash {script}")
    server.wait_settled(idle=2)
    assert not mark.exists()

    assert exchange(server.place, b"x\n") == b"done\n"


def test_copy_that_cannot_be_prepared_is_found_in_any_case(
    start: Start, compile_c: Compile
) -> None:
    """What a program does in each fork belongs to the preparation."""
    body = f"pthread_atfork(0, 0, abort); {ECHO}"
    server = start("read", compile_c(program(body)), "-W", "1", is_quiet=False)

    assert "a copy on trial was ended by SIGABRT" in reason(server)
    assert ready(server) == "load"
    assert exchange(server.place, b"a\n") == b"a\n"


def test_nothing_that_a_trial_has_started_is_left(start: Start, tmp_path: Path) -> None:
    """It ends with its trial; the fixture looks for it."""
    mark = tmp_path / "mark"
    text = f"read a || {{ sleep 1000 & echo $! > {mark}; }}; echo done"
    server = start("read!", f"sh -c '{text}'", *RUN)

    assert exchange(server.place, b"a\n") == b"done\n"
    assert mark.exists()


def test_copy_on_trial_ends_with_its_template(start: Start, compile_c: Compile) -> None:
    """Whoever stops the server while it is tried leaves nothing behind."""
    server = start(
        "read", faulty(compile_c, "pause()"), *RUN, "--hold-timeout", "100s", is_quiet=False
    )
    (template,) = wait_for(lambda: children_of(server.pid), "a template")
    wait_for(lambda: children_of(template.pid), "a copy on trial")

    assert server.stop() == 0
