"""Scripts that name what their interpreter has copied at its start: no copy would have it right."""

import shlex
import shutil
import sys
from collections.abc import Callable

import pytest

from harness.clients import Place, connect, exchange, read_all

from .conftest import Start, ready, reason

pytestmark = pytest.mark.slow

AWK = '{ print ENVIRON["REMOTE_PORT"]; exit }'
PERL = "<STDIN>; print $ENV{REMOTE_PORT}"
PHP = "fgets(STDIN); echo $_SERVER['REMOTE_PORT'];"
SHELL = "read line; echo $REMOTE_PORT"
EARLY = "import os, sys; port = os.environ.get('REMOTE_PORT'); sys.stdin.readline(); print(port)"
COPIED = "its script names {}, which it has read at its start"

# Commands that answer with their client's port, and what is told of each at `read`.
NAMING = {
    "dash": (["dash", "-c", SHELL], COPIED.format("REMOTE_PORT")),
    "mksh": (["mksh", "-c", SHELL], COPIED.format("REMOTE_PORT")),
    "zsh": (["zsh", "-c", SHELL], COPIED.format("REMOTE_PORT")),
    "gawk": (["gawk", AWK], COPIED.format("ENVIRON")),
    "mawk": (["mawk", AWK], COPIED.format("ENVIRON")),
    "perl": (["perl", "-e", PERL], COPIED.format("$ENV")),
    "php": (
        ["php", "-d", "variables_order=EGPCS", "-d", "default_socket_timeout=-1", "-r", PHP],
        COPIED.format("$_SERVER"),
    ),
    "bash": (
        ["bash", "-c", "port=$REMOTE_PORT; read line; echo $port"],
        "its script names REMOTE_PORT before it reads",
    ),
    "python": ([sys.executable, "-c", EARLY], "its script names REMOTE_PORT before it reads"),
}
PHP_QUIET = ["php", "-d", "default_socket_timeout=-1", "-r"]
# Those of them that do not name what they lack.
OTHERS = {
    "dash": ["dash", "-c", "read line; echo $line"],
    "gawk": ["gawk", '{ print; x = ENVIRON["HOME"] }'],
    "mawk": ["mawk", "-W", "interactive", "{ print }"],
    "perl": ["perl", "-e", "$x = $ENV{HOME}; $_ = <STDIN>; print"],
    "php": [*PHP_QUIET, "$x = $_SERVER['argv']; echo fgets(STDIN);"],
}


def port_and_answer(place: Place) -> tuple[bytes, bytes]:
    """Send a line; return the client's port and what is answered."""
    with connect(place) as connection:
        connection.sendall(b"\n")
        connection.shutdown(1)
        return b"%d" % connection.getsockname()[1], read_all(connection).strip()


@pytest.mark.parametrize("name", NAMING)
def test_script_that_names_what_copies_lack_is_not_held_there(start: Start, name: str) -> None:
    """At the next level its interpreter starts with the connection's variables."""
    command, why = NAMING[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    server = start("read", shlex.join(command), is_quiet=False)

    found = [port_and_answer(server.place) for _ in range(2)]

    assert all(port == answer for port, answer in found)
    assert reason(server) == why
    assert ready(server) == "load"


@pytest.mark.parametrize("name", OTHERS)
def test_script_that_does_not_name_it_is_held(start: Start, name: str) -> None:
    """What else these interpreters look at is there since their start."""
    if shutil.which(OTHERS[name][0]) is None:
        pytest.skip(f"{name} is not installed")
    server = start("read!", shlex.join(OTHERS[name]))

    assert exchange(server.place, b"a\n") == b"a\n"


def test_script_is_looked_at_in_its_file(start: Start, script: Callable[..., str]) -> None:
    """Named by its own first line, or as an argument, and by whatever wrapper."""
    path = script("#!/bin/dash\nread line\necho $REMOTE_PORT\n")
    for command in (path, f"dash {path}", f"env A=b dash {path}"):
        server = start("read", command, is_quiet=False)

        assert reason(server) == COPIED.format("REMOTE_PORT")


def test_process_id_that_a_shell_remembers_is_no_copys(start: Start) -> None:
    """Files are named by it, and two clients at once would write to one."""
    server = start("read", "dash -c 'read line; echo $$'", is_quiet=False)

    answers = [exchange(server.place, b"\n") for _ in range(3)]

    assert len(set(answers)) == 3
    assert reason(server) == "its script names $$, which its copies would share"
    assert ready(server) == "load"


def test_shell_that_stops_itself_may_name_itself_for_that(start: Start) -> None:
    """Nothing of it is left in copies."""
    server = start("stop!", "dash -c 'kill -STOP $$; exec cat'")

    assert exchange(server.place, b"a\n") == b"a\n"


def test_change_of_the_script_is_a_new_case(start: Start, script: Callable[..., str]) -> None:
    """A level that was refused for a word is tried again without it."""
    path = script("#!/bin/dash\nread line\necho $REMOTE_PORT\n")
    server = start("read", path, "--renew-after", "1s", is_quiet=False)

    assert ready(server) == "load"

    script("#!/bin/dash\nread line\necho $line\n")

    server.wait_event("template_started", lambda line: line["ready"] == "read")
