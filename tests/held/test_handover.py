"""What a template is given reaches the template alone, whoever else runs as its user.

A thief takes copies of what a program has open, by pidfd_getfd(2), before it is held; looks with
MSG_PEEK at what comes in for it; and traces it.
"""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.processes import children_of, view
from harness.servers import TEMPLATES, Server
from harness.thieves import USER, thief
from harness.waiting import wait_for

from .conftest import Compile, Start, reason
from .sources import READERS, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user"),
]

Publish = Callable[[str], str]

# Waits in a poll, where it is held by a second signal: in between there is time to look around.
ECHO = READERS["poll"]
AHEAD = "is_ahead()"
# A machine may let nobody trace but a parent (Yama); a program may let everybody.
TRACEABLE = "prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);"
HEAD = "#include <sys/prctl.h>"


@pytest.fixture
def publish(open_folder: Path, compile_c: Compile) -> Callable[[str], str]:
    """Return a function that compiles a program that every user may run."""

    def compile_public(text: str) -> str:
        return str(shutil.copy(compile_c(text), open_folder / "program"))

    return compile_public


def waits_for(path: Path, more: str = "") -> str:
    """Return a program that goes on to its start's end when there is a file."""
    body = f'{TRACEABLE} if ({AHEAD}) while (access("{path}", F_OK)) usleep(500); {more} {ECHO}'
    return program(body, HEAD)


def coming(server: Server) -> int:
    """Return the process id of the program that is on its way."""

    def has_started() -> bool:
        return any(
            (one := view(pid)) is not None and one.name.startswith("program")
            for pid in server.workers()
        )

    wait_for(has_started, "the program runs")
    return server.workers()[0]


def templates(server: Server) -> list[int]:
    """Return the processes that workers are copied from."""
    return [one.pid for one in children_of(server.pid) if one.name in TEMPLATES]


def ours(loot: list[str]) -> list[str]:
    """Return what nobody but a template and its copies should have."""
    return [one for one in loot if "socketd-board" in one or "listening" in one or "pipe" in one]


@pytest.mark.usefixtures("reachable")
@pytest.mark.parametrize("level", ["read", "stop"])
def test_who_has_the_programs_descriptors_gets_nothing_of_ours(
    start: Start, publish: Publish, open_folder: Path, level: str
) -> None:
    """Board, listener, pipe and doorbell come on a way that copies made before do not lead to."""
    go = open_folder / "go"
    path = publish(waits_for(go, "raise(SIGSTOP);" if level == "stop" else ""))
    server = start(f"{level}!", path, "--user", USER)
    with thief() as one:
        pid = coming(server)
        one.rob(pid)
        go.touch()

        assert exchange(server.place, b"a\n") == b"a\n"
        loot = one.confess()

    assert loot != []  # it has had what the program had
    assert ours(loot) == []


@pytest.mark.usefixtures("reachable")
@pytest.mark.parametrize("level", ["fork", "load", "read", "relay"])
def test_who_runs_as_the_same_user_takes_nothing_from_who_waits(start: Start, level: str) -> None:
    """Templates and waiting workers let nobody of their user at what they have open."""
    server = start(f"{level}!", "cat", "--user", USER)
    server.wait_settled(idle=2)
    with thief() as one:
        held = templates(server)
        for pid in [*server.workers(), *held]:
            one.rob(pid)
            assert not one.trace(pid)

        assert len(held) == 1
        assert one.confess() == []


@pytest.mark.usefixtures("reachable")
def test_who_traces_a_program_before_gets_no_template(
    start: Start, publish: Publish, open_folder: Path
) -> None:
    """A tracer would stay for good; so the program is held at the next level, where it is not."""
    go = open_folder / "go"
    path = publish(waits_for(go))
    server = start("read", path, "--user", USER, is_quiet=False)
    with thief() as one:
        pid = coming(server)
        assert one.trace(pid)
        go.touch()

        assert exchange(server.place, b"a\n") == b"a\n"
        assert "it is traced by process" in reason(server)
        assert server.wait_event("template_fell_back")["ready"] == "load"


def test_nobody_else_can_have_a_program_held(
    start: Start, publish: Publish, open_folder: Path
) -> None:
    """A signal that pretends to come from the master is not taken for the master's."""
    go = open_folder / "go"
    forge = f"""
    siginfo_t forged = {{.si_code = SI_QUEUE}}; forged.si_pid = getppid();
    syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMAX - 3, &forged);
    while (access("{go}", F_OK)) usleep(500);
    """
    body = f"if ({AHEAD}) {{ {forge} }} raise(SIGSTOP); {ECHO}"
    path = publish(program(body, f"{HEAD}\n#include <sys/syscall.h>"))
    server = start("stop!", path)
    pid = coming(server)
    go.touch()

    assert exchange(server.place, b"a\n") == b"a\n"
    # A copy has the name of its template in its first instant.
    wait_for(lambda: templates(server) == [pid], "nobody else is a template")
    server.signal(signal.SIGTERM)
