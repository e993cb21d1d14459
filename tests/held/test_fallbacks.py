"""What cannot be held: found out at the start, said in one line, served at a lesser level."""

import os
import signal
from dataclasses import dataclass, field

import pytest

from harness.clients import connect, exchange, read_all
from harness.servers import run_socket
from harness.waiting import wait_for

from .conftest import Compile, Start, ready, reason
from .sources import ECHO, program

pytestmark = pytest.mark.slow

# True in a template, where there is no connection yet.
AHEAD = "is_ahead()"


@dataclass(frozen=True)
class Misfit:
    """A program that cannot be held at its first read, the reason, the level instead."""

    body: str
    why: str
    level: str = "load"
    flags: tuple[str, ...] = field(default=())
    sent: bytes = b"a\n"
    options: tuple[str, ...] = field(default=())


MISFITS = {
    "static": Misfit(ECHO, "is linked statically", "fork", ("-static",)),
    "threads": Misfit(
        f"pthread_t t; pthread_create(&t, 0, wait_forever, 0); {ECHO}",
        "it has 2 threads",
        flags=("-pthread",),
    ),
    "exits": Misfit('puts("a"); fflush(stdout); exit(3);', "has ended with status 3", sent=b""),
    "aborts": Misfit(f"if ({AHEAD}) abort(); {ECHO}", "has ended with status -6"),
    "never reads": Misfit(
        f"if ({AHEAD}) pause(); {ECHO}",
        "has not read its input within 0.5 s",
        options=("--hold-timeout", "500ms"),
    ),
    "stops": Misfit(f"if ({AHEAD}) raise(SIGSTOP); {ECHO}", "it has stopped itself"),
    "children": Misfit(
        f"if (!fork()) pause(); {ECHO} fflush(stdout); kill(0, SIGTERM);",
        "it has started other programs",
    ),
    "child reads": Misfit(
        f"if (fork()) pause(); {ECHO} fflush(stdout); kill(0, SIGTERM);",
        "a program that it has started reads its input",
    ),
    "handles the signal itself": Misfit(
        f"signal(SIGRTMAX - 3, exit); {ECHO}", "has ended with status 61"
    ),
    "becomes a daemon": Misfit(
        f"if ({AHEAD}) {{ daemon(0, 0); alarm(1); pause(); }} {ECHO}", "has ended with status 0"
    ),
    "goes to the background": Misfit(
        f"pid_t own = getpid(); if ({AHEAD} && fork()) exit(0);"
        f" while (getpid() != own && getppid() == own) usleep(100); {ECHO}",
        "has ended with status 0",
    ),
    "blocks every signal": Misfit(
        f"sigset_t s; sigfillset(&s); sigprocmask(SIG_BLOCK, &s, 0); {ECHO}",
        "it blocks the signal",
    ),
    "handles every signal": Misfit(
        f"for (int i = 1; i < 65; i++) signal(i, SIG_IGN); {ECHO}", "our object is not in it"
    ),
    "closes its input": Misfit(
        f"if ({AHEAD}) {{ close(0); raise(SIGSTOP); }} {ECHO}",
        "its standard input is closed",
        options=("--ready", "stop"),
    ),
    "dies of EINTR": Misfit(
        f"struct pollfd p = {{0, POLLIN, 0}}; if (poll(&p, 1, -1) < 0) exit(9); {ECHO}",
        "has ended with status 9",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_program_that_cannot_be_held_is_served_all_the_same(
    start: Start, compile_c: Compile, name: str
) -> None:
    """It falls back to the next level that works, with one line that says why."""
    misfit = MISFITS[name]
    before = "static void *wait_forever(void *x) { pause(); return x; }"
    path = compile_c(program(misfit.body, before if name == "threads" else ""), *misfit.flags)
    server = start("read", path, *misfit.options, is_quiet=False)

    answer = exchange(server.place, misfit.sent)

    assert misfit.why in reason(server)
    assert ready(server) == misfit.level
    assert answer == b"a\n"
    assert len(server.events("template_fell_back")) == 1
    assert server.noise == []


def test_program_that_becomes_a_static_one_is_not_held(start: Start, compile_c: Compile) -> None:
    """Nothing could be loaded into what was exec'd last, and no signal is sent to it."""
    inner = compile_c(program(ECHO), "-static")
    path = compile_c(program(f'execl("{inner}", "inner", NULL);'))
    server = start("read", path, is_quiet=False)

    assert exchange(server.place, b"a\n") == b"a\n"
    assert "our object is not in it" in reason(server)


@pytest.mark.parametrize(
    "text",
    [
        "cat | sed s/x/y/",
        "while true; do cat; exit; done",
        "line=$(head -n 1); echo $line",
    ],
)
def test_shell_whose_children_read_is_loaded_ahead(start: Start, text: str) -> None:
    """The shell waits for them and not for its input; a copy would start none of them."""
    server = start("read", text, is_quiet=False)

    assert [exchange(server.place, word) for word in (b"a\n", b"b\n")] == [b"a\n", b"b\n"]
    assert ready(server) == "load"
    assert "a program that it has started reads its input" in reason(server)


def test_template_that_has_gone_to_the_background_leaves_nothing_behind(
    start: Start, compile_c: Compile
) -> None:
    """Whoever it has left sees the end of its input, and has no descriptor of ours."""
    path = compile_c(program(f"if ({AHEAD} && fork()) exit(0); {ECHO}"))
    server = start("read", path, is_quiet=False)
    server.wait_settled(idle=2)

    wait_for(lambda: len(server.events("template_started")) == 1, "served at load")
    with connect(server.place) as connection:
        connection.sendall(b"a\n")
        connection.shutdown(1)
        assert read_all(connection) == b"a\n"


def test_mark_refuses_to_start_what_cannot_be_held(start: Start, compile_c: Compile) -> None:
    """With an exclamation mark there is no fallback: the server ends and says why."""
    programs = {ECHO: ("-static",), "exit(3);": (), "pause();": ()}
    for body, flags in programs.items():
        path = compile_c(program(body), *flags)
        server = start("read!", path, "--hold-timeout", "300ms", is_quiet=False)

        assert server.wait() == 71
        assert server.events("service_ready") == []
        wait_for(lambda: any("--ready read!: " in line for line in server.noise), "the reason")  # noqa: B023  called at once


def test_set_user_id_program_is_not_held(start: Start, compile_c: Compile) -> None:
    """The loader would ignore our object there, so it is not even tried."""
    path = compile_c(program(ECHO))
    os.chmod(path, 0o4755)
    server = start("load", path, is_quiet=False)

    assert exchange(server.place, b"a\n") == b"a\n"
    assert "is set-user-id or set-group-id" in reason(server)
    assert ready(server) == "fork"


def test_stop_while_a_program_is_on_its_way_ends_it(start: Start, compile_c: Compile) -> None:
    """A server that is told to stop before its program is held is gone at once."""
    path = compile_c(program("pause();"))
    server = start("read", path, is_quiet=False)
    wait_for(lambda: len(server.workers()) == 1, "the program runs")

    server.signal(signal.SIGTERM)

    assert server.wait(5.0) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--ready", "soon"), "--ready: 'soon' is not one of auto, fork, load"),
        (("--ready", "read!!"), "--ready: 'read!!' is not one of"),
        (("--ready", "read", "-c"), "--ready read: -c, -r and -w need a process that relays"),
        (("--ready", "load", "--worker", "python"), "--worker python has no template"),
        (("--ready", "read", "--hold-timeout", "soon"), "--hold-timeout: 'soon' is not a duration"),
        (("--ready", "read", "--renew-after", "x"), "--renew-after: 'x' is not a duration"),
    ],
)
def test_impossible_readiness_is_a_usage_error(arguments: tuple[str, ...], complaint: str) -> None:
    """A level that is none, or that contradicts another option, is said before anything starts."""
    done = run_socket(*arguments, "-p", "cat", "-W", "1", "-s", "0")

    assert done.status == 15
    assert complaint in done.stderr
