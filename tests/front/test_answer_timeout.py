"""A program behind SCGI has a time for the first byte of its answer, at every level."""

import os
import sys
from pathlib import Path

import pytest

from harness import scgi
from harness.clients import connect, read_all
from harness.processes import view
from harness.waiting import wait_for

from .conftest import Script, Start

LEVELS = pytest.mark.parametrize("level", ["fork", "load!", "stop!"])
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = {"HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}
SILENT = """#!/bin/bash
{stop}sleep 99 &
echo $$ $! > {note}.new; mv {note}.new {note}
wait
"""
LATE = """#!/bin/bash
{stop}printf 'Content-Type: text/plain\\r\\n\\r\\n'
sleep 0.5
cat
"""


def is_alive(pid: int) -> bool:
    """Tell whether a process is there."""
    return view(pid) is not None


def stop(level: str) -> str:
    """Return the beginning of a script that is held at this level."""
    return "kill -STOP $$; " if level == "stop!" else ""


@LEVELS
@pytest.mark.parametrize("body", [b"", b"unread"])
def test_program_that_says_nothing_is_given_up(
    start: Start, script: Script, tmp_path: Path, level: str, body: bytes
) -> None:
    """Its client is told, its processes are ended, and the log has a line with the trace."""
    note = tmp_path / "note"
    program = script(SILENT.format(note=note, stop=stop(level)))
    server = start("--ready", level, "--answer-timeout", "1s", "-p", program)
    answer = scgi.ask(server.place, scgi.request(body, **TRACED))

    assert answer.startswith(b"Status: 504 Gateway Timeout\r\n")
    refused = server.wait_event("request_refused")
    assert (refused["status"], refused["trace"]) == (504, TRACE)
    assert server.wait_event("connection_closed")["status"] == -15
    pids = [int(pid) for pid in note.read_text().split()]
    wait_for(lambda: not any(map(is_alive, pids)), "its processes have ended")


@LEVELS
def test_program_that_has_begun_may_take_longer(start: Start, script: Script, level: str) -> None:
    """The limit is for the first byte."""
    program = script(LATE.format(stop=stop(level)))
    server = start("--ready", level, "--answer-timeout", "0.3s", "-p", program)
    answer = scgi.ask(server.place, scgi.request(b"done"))

    assert answer.endswith(b"\r\n\r\ndone")
    assert server.wait_event("connection_closed")["status"] == 0


@pytest.mark.parametrize("level", ["fork", "load!"])
def test_program_that_ignores_the_signal_is_killed(
    start: Start, script: Script, level: str
) -> None:
    """After the same time as at any other end."""
    program = script("#!/bin/bash\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")
    server = start(
        "--ready", level, "--answer-timeout", "0.3s", "--kill-timeout", "0.2s", "-p", program
    )
    answer = scgi.ask(server.place, scgi.request(**TRACED))

    assert answer.startswith(b"Status: 504 Gateway Timeout\r\n")
    assert server.wait_event("request_refused")["status"] == 504
    assert server.wait_event("connection_closed")["status"] == -9


ENDED = b"the program was ended before it had begun to answer"


@pytest.mark.parametrize("level", ["fork", "load!"])
@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_client_hears_of_a_program_that_its_time_limit_has_ended(
    start: Start, script: Script, level: str, trap: str
) -> None:
    """From who stays behind it, also if only SIGKILL ends it."""
    program = script(f"#!/bin/bash\n{trap}while :; do sleep 0.1; done\n")
    server = start(
        *("--ready", level, "--answer-timeout", "1h", "--time-limit", "1s"),
        *("--kill-timeout", "1s", "-p", program),
    )
    answer = scgi.ask(server.place, scgi.request())

    assert answer.startswith(b"Status: 504 Gateway Timeout\r\n")
    assert ENDED in answer
    assert server.wait_event("connection_closed")["limit"] == "time"


CLOSES = """#!/bin/bash
trap 'exec >&-; read < {gate}; exit' TERM
sleep 99 >&- &
wait
"""


def test_client_hears_of_a_program_whose_output_ends_before_itself(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """Who dies closes its output first: that is no empty answer."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    program = script(CLOSES.format(gate=gate))
    server = start("--answer-timeout", "1h", "--time-limit", "0.3s", "-p", program)
    answer = scgi.ask(server.place, scgi.request())
    assert not server.events("connection_closed")
    gate.write_text("\n")

    assert answer.startswith(b"Status: 504 Gateway Timeout\r\n")
    assert server.wait_event("connection_closed")["status"] == 0


def test_program_that_answers_for_the_signal_is_not_spoken_for(
    start: Start, script: Script
) -> None:
    """It has until SIGKILL."""
    program = script(
        "#!/bin/bash\n"
        "trap 'printf \"Content-Type: text/plain\\r\\n\\r\\nlate\"; exit' TERM\n"
        "while :; do sleep 0.1; done\n"
    )
    server = start("--answer-timeout", "1h", "--time-limit", "0.3s", "-p", program, is_quiet=False)

    assert scgi.ask(server.place, scgi.request()).endswith(b"\r\n\r\nlate")


MUCH = 48 << 20
THINKING = """import ballast, signal
signal.pause()
"""


def anonymous_kib(pid: int) -> int:
    """Return how much memory without a file a process has."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon:"))


def test_who_waits_for_an_answer_has_not_the_memory_of_the_program(
    start: Start, script: Script
) -> None:
    """But for a moment; and it still says and logs what it has to."""
    script(f"DATA = bytearray(b'x') * {MUCH}\n", "ballast.py")
    program = script(THINKING, "page.py", 0o644)
    command = f"{sys.executable} -m socketd.hold --cgi {program}"
    server = start("--ready", "stop!", "--answer-timeout", "2s", "-p", command)
    with connect(server.place) as connection:
        connection.sendall(scgi.request(**TRACED))
        keeper = server.wait_event("connection_accepted")["pid"]
        wait_for(lambda: anonymous_kib(keeper) * 1024 < MUCH // 4, "the keeper is small")
        answer = read_all(connection)

    assert answer.startswith(b"Status: 504 Gateway Timeout\r\n")
    assert server.wait_event("request_refused")["trace"] == TRACE
    assert server.wait_event("connection_closed")["status"] == -15
