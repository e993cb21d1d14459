"""Programs that nobody has changed for it, held at their first read."""

import shutil
import sys

import pytest

from harness.clients import connect, exchange, read_all

from .conftest import Start, ready

pytestmark = pytest.mark.slow

PYTHON = sys.executable
# By default it waits for a minute only; see test_time_limits.py.
PHP = "php -d default_socket_timeout=-1"

# Commands that answer with what they read.
PROGRAMS = {
    "cat": "cat",
    "sed": "sed s/x/y/",
    "awk": "awk '{ print $1 }'",
    "mawk": "mawk '{ print $1 }'",
    "gawk": "gawk '{ print $1 }'",
    "tr": "tr x y",
    "dash": "dash -c 'while read line; do echo $line; done'",
    "bash": "bash -c 'while read line; do echo $line; done'",
    "perl": "perl -ne 'print'",
    "ruby": "ruby -e 'while line = gets; puts line; end'",
    "php": PHP + " -r 'while (($line = fgets(STDIN)) !== false) echo $line;'",
    "python -c": f"{PYTHON} -c 'import sys; [print(line.strip()) for line in sys.stdin]'",
    "python -m": f"{PYTHON} -m json.tool --json-lines",
    "sort": "sort",
    "git": "git stripspace",
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("level", ["load!", "read!"])
def test_program_is_held_and_each_copy_answers_its_client(
    start: Start, level: str, name: str
) -> None:
    """What a client sends is answered to it and to nobody else, and the program ends as usual."""
    command = PROGRAMS[name]
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"{name} is not installed")
    server = start(level, command)

    with connect(server.place) as slow:
        answers = [exchange(server.place, b"%d\n" % number) for number in range(5)]
        slow.sendall(b"17\n")
        slow.shutdown(1)
        last = read_all(slow)

    server.wait_settled(idle=2)
    assert ready(server) == level.removesuffix("!")
    assert [*answers, last] == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n", b"17\n"]
    assert server.wait_statuses(6) == [0] * 6


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_shell_script_that_runs_programs_is_held(start: Start, script: Start, shell: str) -> None:
    """Programs that do not read stdin run in the start and in each copy, without our variables."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = script(
        f"#!/usr/bin/env {shell}\n"
        "year=$(expr 2000 + 26)\n"
        "while read line; do echo $year $(expr $line + 1)\n"
        "env | grep -c -e LD_PRELOAD -e SOCKETD_HOLD; done\n"
    )
    server = start("read!", str(path))

    assert exchange(server.place, b"1\n") == b"2026 2\n0\n"
    assert exchange(server.place, b"5\n") == b"2026 6\n0\n"


def test_wrapper_that_becomes_the_program_is_held_as_the_program(
    start: Start, script: Start
) -> None:
    """What is exec'd before the first read is the one to be held, however it is exec'd."""
    inner = script(f"#!/bin/sh\nexec env KEPT=yes {PYTHON} -c '{_LOOK}'\n", "inner")
    outer = script(f"#!/bin/sh\nexec nice {inner}\n", "outer")
    server = start("read!", str(outer), LD_PRELOAD="")

    answer = exchange(server.place, b"\n")

    assert answer == b"yes None \n"


_LOOK = (
    "import os, sys; line = sys.stdin.readline(); "
    'print(os.environ["KEPT"], os.environ.get("SOCKETD_HOLD"), os.environ.get("LD_PRELOAD"))'
)


def test_variables_of_the_connection_reach_who_asks_libc(start: Start) -> None:
    """The C environment of a copy is its connection's, also where the program owns its own."""
    asking = {
        "ruby": """ruby -e 'gets; puts ENV["REMOTE_PORT"]'""",
        "php": PHP + """ -r 'fgets(STDIN); echo getenv("REMOTE_PORT");'""",
        "bash": "bash -c 'read line; printenv REMOTE_PORT; : $REMOTE_PORT'",
    }
    for name, command in asking.items():
        if shutil.which(name) is None:
            continue
        server = start("read!", command)
        for _ in range(2):
            with connect(server.place) as connection:
                port = connection.getsockname()[1]
                connection.sendall(b"\n")
                connection.shutdown(1)

                assert read_all(connection).strip() == b"%d" % port


def test_perl_frees_its_own_environment_and_no_other(start: Start) -> None:
    """An environment of ours in its place would be freed with it, and end the program badly."""
    if shutil.which("perl") is None:
        pytest.skip("perl is not installed")
    server = start("read!", "perl -e '$ENV{A}=1; $_ = <STDIN>; $ENV{B}=2; print'")

    assert exchange(server.place, b"whole\n") == b"whole\n"

    server.wait_settled(idle=2)
    assert server.wait_statuses(1) == [0]
