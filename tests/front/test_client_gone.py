"""A program that has nothing to say does not outlive its client, unless it is to."""

import os
from pathlib import Path

import pytest

from harness import scgi
from harness.clients import Place, connect
from harness.processes import view
from harness.servers import Server
from harness.waiting import wait_for

from .conftest import HERE, Script, Start

pytestmark = pytest.mark.slow

LEVELS = pytest.mark.parametrize("level", ["fork", "load!", "stop!"])
# It says where it is, with a child of its own, and then nothing any more.
SILENT = """#!/bin/bash
{stop}sleep 99 &
echo $$ $! > {note}.new; mv {note}.new {note}
wait
echo over > {note}
"""


def is_alive(pid: int) -> bool:
    """Tell whether a process is there."""
    return view(pid) is not None


def ask_and_leave(place: Place, note: Path) -> list[int]:
    """Send a request without a body, and close when the program runs; return its processes."""
    with connect(place) as connection:
        connection.sendall(scgi.request(REQUEST_METHOD="GET"))
        wait_for(note.exists, "the program runs")
    return [int(pid) for pid in note.read_text().split()]


def serve(
    start: Start, script: Script, note: Path, level: str, *more: str, place: str = "tcp"
) -> Server:
    """Start a server with a silent program."""
    stop = "kill -STOP $$; " if level == "stop!" else ""
    program = script(SILENT.format(note=note, stop=stop), f"{note.parent.name}.cgi")
    where = ("-s", str(note.with_name("socket"))) if place == "unix" else HERE
    return start("--ready", level, "-p", program, *more, where=where)


@LEVELS
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_silent_program_is_told_to_end(
    start: Start, script: Script, tmp_path: Path, level: str, kind: str
) -> None:
    """It and its children, with a line in the log; the service goes on."""
    note = tmp_path / "note"
    server = serve(start, script, note, level, place=kind)

    pids = ask_and_leave(server.place, note)

    wait_for(lambda: not any(map(is_alive, pids)), "its processes have ended")
    assert server.wait_event("client_gone")["pid"] == pids[0]
    assert server.wait_event("connection_closed")["status"] == -15
    assert len(ask_and_leave_again(server.place, note)) == 2


def ask_and_leave_again(place: Place, note: Path) -> list[int]:
    """Do the same with another program."""
    note.unlink()
    return ask_and_leave(place, note)


def test_program_with_a_client_is_left_alone(start: Start, script: Script, tmp_path: Path) -> None:
    """However long it takes: it is looked at, with no effect."""
    note = tmp_path / "note"
    server = serve(start, script, note, "load!")
    with connect(server.place) as connection:
        connection.sendall(scgi.request(REQUEST_METHOD="GET"))
        wait_for(note.exists, "the program runs")
        pids = [int(pid) for pid in note.read_text().split()]
        others = note.with_name("others")
        os.rename(note, others)
        gone = ask_and_leave(server.place, note)  # looked at with it, or after it

        wait_for(lambda: not any(map(is_alive, gone)), "the other one's processes have ended")
        assert all(map(is_alive, pids))


@pytest.mark.parametrize(
    ("first", "more"),
    [("", ["--client-gone", "finish"]), ("exec < /dev/null > /dev/null 2>&1; ", [])],
    ids=["to finish", "another output"],
)
def test_program_that_does_not_work_for_its_client_is_not_told(
    start: Start, script: Script, tmp_path: Path, first: str, more: list[str]
) -> None:
    """`client_gone = "finish"`, or it has given the connection up: another is told meanwhile."""
    note, watched = tmp_path / "note", tmp_path / "watched"
    watched.mkdir()
    text = SILENT.format(note=note, stop=first)
    server = start("--ready", "load!", "-p", script(text), *more)
    other = serve(start, script, watched / "note", "load!")

    pids = ask_and_leave(server.place, note)
    gone = ask_and_leave(other.place, watched / "note")

    wait_for(lambda: not any(map(is_alive, gone)), "the other service's processes have ended")
    assert all(map(is_alive, pids))
    os.kill(pids[1], 15)
    wait_for(lambda: note.read_text() == "over\n", "the program goes on to its end")
    server.wait_event("connection_closed")
