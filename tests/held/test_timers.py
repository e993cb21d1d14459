"""Timers that a program has started before it reads: each copy has what was left at the hold."""

import shlex
import shutil
import subprocess
import sys
import time

import pytest

from harness.clients import connect, exchange, read_all
from harness.waiting import CAP_SECONDS

from .conftest import Compile, Start, reason, reason_at_load
from .sources import program

pytestmark = pytest.mark.slow

SECONDS = 2
PERL = f"$SIG{{ALRM}} = sub {{ print qq(late\n); exit }}; alarm {SECONDS}; $_ = <STDIN>; print"
PYTHON = f"""
import os, signal, sys
def give_up(*_):
    os.write(1, b"late\\n")
    os._exit(0)
signal.signal(signal.SIGALRM, give_up)
signal.setitimer(signal.ITIMER_REAL, {SECONDS})
print(sys.stdin.readline(), end="")
"""
# Commands that answer with the line that they read, or tell that none has come in time.
IMPATIENT = {
    "perl": ["perl", "-e", PERL],
    "python": [sys.executable, "-c", PYTHON],
    # It has no handler, so it dies.
    "bash": ["perl", "-e", f"alarm {SECONDS}; exec q(bash), q(-c), q(read x; echo $x)"],
}


@pytest.mark.parametrize("name", IMPATIENT)
def test_alarm_of_a_program_is_one_of_each_copy(start: Start, name: str) -> None:
    """It runs from the connection on, and not in the template, however old that is."""
    command = IMPATIENT[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    server = start("read!", shlex.join(command))
    server.wait_settled(idle=2)
    # One that nobody holds gives up meanwhile, and is younger than the template.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as alone:
        alone.wait(CAP_SECONDS)

    assert exchange(server.place, b"a\n") == b"a\n"

    with connect(server.place) as connection:
        begun = time.monotonic()
        answer = read_all(connection)
        passed = time.monotonic() - begun

    assert answer == (b"" if name == "bash" else b"late\n")
    assert SECONDS / 2 < passed < SECONDS + 5
    assert len(server.events("template_started")) == 1


@pytest.mark.parametrize(
    ("timer", "signal"), [("VIRTUAL", "VTALRM"), ("PROF", "PROF"), ("REAL", "ALRM")]
)
@pytest.mark.parametrize("level", ["read!", "stop!"])
def test_each_kind_of_timer_runs_on_and_repeats(
    start: Start, compile_c: Compile, timer: str, signal: str, level: str
) -> None:
    """Also those that measure the processor's time, and what comes after the first time."""
    stop = "raise(SIGSTOP);" if level == "stop!" else ""
    before = "#include <sys/time.h>\nstatic volatile int times; static void on(int s) { times++; }"
    path = compile_c(
        program(
            f"struct itimerval v = {{{{0, 20000}}, {{1, 0}}}}; char b[9]; signal(SIG{signal}, on);"
            f"setitimer(ITIMER_{timer}, &v, 0); {stop} fgets(b, 9, stdin);"
            "while (times < 3) ; puts(b);",
            before,
        )
    )
    server = start(level, path)

    assert exchange(server.place, b"a\n").startswith(b"a\n")


# A timer with a number, here not the first, and what it does when it is over.
NUMBERED = """
#include <time.h>
static volatile int times;
static void on(int s) { times++; }
static timer_t make(int clock, int notify, int milliseconds) {
    struct sigevent e = {.sigev_notify = notify, .sigev_signo = SIGUSR2};
    struct itimerspec v = {{0, milliseconds * 1000000L}, {0, milliseconds * 1000000L}};
    timer_t t;
    signal(SIGUSR2, on);
    if (timer_create(clock, &e, &t) || timer_settime(t, 0, &v, 0)) exit(9);
    return t;
}
"""


@pytest.mark.parametrize("clock", ["CLOCK_MONOTONIC", "CLOCK_REALTIME"])
def test_timer_keeps_its_number(start: Start, compile_c: Compile, clock: str) -> None:
    """The program knows it by that, stops it by that, and is told when it is over."""
    path = compile_c(
        program(
            "timer_t gone = make(CLOCK_MONOTONIC, SIGEV_NONE, 9), t; char b[9];"
            "struct itimerspec v;"
            f"t = make({clock}, SIGEV_SIGNAL, 900); timer_delete(gone); fgets(b, 9, stdin);"
            "while (times < 2) ; if (timer_gettime(t, &v) || timer_delete(t)) exit(9);"
            'printf("%d %ld %s", times, v.it_interval.tv_nsec, b);',
            NUMBERED,
        )
    )
    server = start("read!", path)

    for _ in range(2):
        assert exchange(server.place, b"a\n") == b"2 900000000 a\n"


TIMERS = {
    "of a thread": "make(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, 900);",
    "of many": "for (int i = 0; i < 9; i++) make(CLOCK_MONOTONIC, SIGEV_NONE, 900);",
    "of a high number": "for (int i = 0; i < 70; i++) timer_delete(make(CLOCK_REALTIME, 1, 900));"
    "make(CLOCK_REALTIME, SIGEV_NONE, 900);",
}


@pytest.mark.parametrize("name", TIMERS)
def test_timer_that_copies_could_not_have_is_not_held(
    start: Start, compile_c: Compile, name: str
) -> None:
    """It would be gone, and the program would not know."""
    path = compile_c(
        program(f"{TIMERS[name]} char b[9]; fputs(fgets(b, 9, stdin), stdout);", NUMBERED)
    )
    server = start("read", path, is_quiet=False)

    assert reason_at_load(server) == "it has a timer (timer_create) that copies could not have"


RUBY = """
STDIN.gets
threads = 4.times.map { Thread.new { 300000.times { |x| x + 1 }; sleep 0.01 } }
threads.each(&:join)
puts :done
"""


def test_ruby_has_its_timer_when_it_starts_threads(start: Start) -> None:
    """It makes one at its start, and aborts where it is not there."""
    if shutil.which("ruby") is None:
        pytest.skip("ruby is not installed")
    server = start("read!", shlex.join(["ruby", "-e", RUBY]))

    for _ in range(2):
        assert exchange(server.place, b"\n") == b"done\n"


def test_timer_that_runs_out_just_when_the_program_is_held(
    start: Start, compile_c: Compile
) -> None:
    """Its signal waits, and no copy would get it; at the next level the program has its time."""
    block = "sigset_t s; sigemptyset(&s); sigaddset(&s, SIGALRM); sigprocmask(SIG_BLOCK, &s, 0);"
    path = compile_c(
        program(
            f"{block} signal(SIGALRM, SIG_DFL); struct itimerval v = {{{{0, 0}}, {{0, 1}}}};"
            "setitimer(ITIMER_REAL, &v, 0); usleep(9999);"
            "char b[9]; fputs(fgets(b, 9, stdin), stdout);",
            "#include <sys/time.h>",
        )
    )
    server = start("read", path, is_quiet=False)

    assert exchange(server.place, b"a\n") == b"a\n"
    assert reason(server) == "a timer of its own has run out before it was held"
