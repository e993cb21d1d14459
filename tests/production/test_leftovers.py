"""What a program leaves behind ends with its connection, unless the service keeps it."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.fastcgi import encode, request
from harness.processes import children_of, marked, view
from harness.supervisors import Supervisor
from harness.waiting import wait_for

pytestmark = pytest.mark.slow

Supervise = Callable[..., Supervisor]

# How a script leaves something behind, each named by its last argument. Nothing has the connection.
WAYS = {
    "a job of the shell": "sleep {} <&- >&- 2>&- &",
    "nohup": "nohup sleep {} </dev/null >/dev/null 2>&1 &",
    "a session of its own": "setsid sleep {} </dev/null >/dev/null 2>&1 &",
    "a daemon that forks twice": "(setsid sh -c 'sleep {} & wait' </dev/null >/dev/null 2>&1 &) &",
    "a job of a shell with job control": "bash -c 'set -m; sleep {} <&- >&- 2>&- &'",
    "somebody who ignores SIGTERM": "(trap '' TERM; exec setsid sleep {} <&- >&- 2>&-) &",
}


def text(program: Path, worker: str, more: str = "") -> str:
    """Return a file with one service."""
    return (
        f'[service.x]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "sh {program}"\n'
        f'worker = "{worker}"\n{more}\n[service.x.timeouts]\nkill = "300ms"\n'
    )


def sleepers(supervisor: Supervisor) -> list[int]:
    """Return the processes that were left behind and are there."""
    return [one.pid for one in marked(supervisor.server.mark) if one.name == "sleep"]


@pytest.fixture
def script(open_folder: Path) -> Callable[[str], Path]:
    """Write a script, which answers a line and ends."""

    def write(way: str) -> Path:
        path = open_folder / "script"
        path.write_text(f"read x\n{way.format(1000)}\necho done\n")
        return path

    return write


@pytest.mark.parametrize(
    ("worker_kind", "level"),
    [("native", "auto"), ("native", "relay"), ("python", "auto")],
    indirect=["worker_kind"],
)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_left_behind_ends_with_its_connection(
    supervise: Supervise, worker_kind: str, script: Callable[[str], Path], way: str, level: str
) -> None:
    """Whoever has left group or session, too; no zombie is left, and connections go on."""
    path = script(WAYS[way])
    supervisor = supervise(text(path, worker_kind, f'ready = "{level}"'))
    place = supervisor.place("x")

    assert exchange(place, b"\n") == b"done\n"
    wait_for(lambda: not sleepers(supervisor), "nobody is left")
    supervisor.server.wait_statuses(1)  # or the pool learns that two come at once
    assert exchange(place, b"\n") == b"done\n"
    wait_for(lambda: not sleepers(supervisor), "nobody is left again")
    supervisor.server.wait_settled(idle=1)


@pytest.mark.parametrize("way", WAYS)
def test_what_belongs_to_an_open_connection_goes_on(
    supervise: Supervise, worker_kind: str, open_folder: Path, way: str
) -> None:
    """Also while others end, and although it has become a child of the master."""
    path = open_folder / "script"
    path.write_text(f'read x\nif [ -n "$x" ]; then {WAYS[way].format(1000)}\nfi\necho up\nread y\n')
    supervisor = supervise(text(path, worker_kind))
    place = supervisor.place("x")
    with connect(place) as connection:
        connection.sendall(b"x\n")
        assert connection.recv(3) == b"up\n"
        wait_for(lambda: sleepers(supervisor), "it is there")
        before = sleepers(supervisor)
        for _ in range(5):
            assert exchange(place, b"\n\n") == b"up\n"
        supervisor.server.wait_event("connection_closed")
        time.sleep(2.5)  # in which the master looks twice, and nothing happens
        assert sleepers(supervisor) == before
        connection.sendall(b"\n")
        assert read_all(connection) == b""
    wait_for(lambda: not sleepers(supervisor), "it ends with its connection")


def test_service_may_keep_what_is_left_behind(
    supervise: Supervise, worker_kind: str, script: Callable[[str], Path]
) -> None:
    """It is somebody else's child then, as ever."""
    path = script(WAYS["a session of its own"])
    supervisor = supervise(text(path, worker_kind, "keep_children = true"))
    try:
        assert exchange(supervisor.place("x"), b"\n") == b"done\n"
        supervisor.server.wait_event("connection_closed")
        supervisor.server.wait_settled(idle=1)
        [left] = wait_for(lambda: sleepers(supervisor), "it has been executed")
        assert left not in [one.pid for one in children_of(supervisor.pid)]
        assert supervisor.server.stop() == 0
        assert sleepers(supervisor) == [left]
    finally:
        for pid in sleepers(supervisor):
            os.kill(pid, signal.SIGKILL)


def test_stop_leaves_nothing(
    supervise: Supervise, worker_kind: str, script: Callable[[str], Path]
) -> None:
    """The master ends after what it has adopted, also of a connection that a stop has ended."""
    path = script(WAYS["a daemon that forks twice"] + "\necho up; sleep 1000")
    supervisor = supervise(text(path, worker_kind))
    with connect(supervisor.place("x")) as connection:
        connection.sendall(b"\n")
        assert connection.recv(3) == b"up\n"
        wait_for(lambda: len(sleepers(supervisor)) == 2, "both are there")
        for _ in range(3):
            supervisor.server.signal(signal.SIGTERM)
            supervisor.server.wait_event("stopping")
        assert supervisor.server.wait() == 0
    assert sleepers(supervisor) == []


@pytest.mark.parametrize("keys", ["", 'stop_delay = "1ms"'], ids=["no delay", "a delay"])
def test_third_signal_kills_what_is_left(
    supervise: Supervise, script: Callable[[str], Path], keys: str
) -> None:
    """Whether the second one came while a service still took its time, or behind that."""
    path = script(WAYS["somebody who ignores SIGTERM"] + "\necho up; sleep 1000")
    file = text(path, "native", keys).replace("300ms", "1h")
    supervisor = supervise(file)
    with connect(supervisor.place("x")) as connection:
        connection.sendall(b"\n")
        assert connection.recv(3) == b"up\n"
        wait_for(lambda: len(sleepers(supervisor)) == 2, "both are there")
        supervisor.server.signal(signal.SIGTERM)
        supervisor.server.wait_event("stopping")
        supervisor.server.signal(signal.SIGTERM)
        supervisor.server.wait_event("connection_closed")
        supervisor.server.signal(signal.SIGTERM)
        assert supervisor.server.wait() == 0
    assert sleepers(supervisor) == []


def test_child_of_a_request_ends_with_its_killed_worker(
    supervise: Supervise, open_folder: Path, tmp_path: Path
) -> None:
    """By FastCGI a worker is the parent of what it has started; the master is the next."""
    path = open_folder / "script"
    notes = [tmp_path / "child", tmp_path / "program"]
    tmp_path.chmod(0o777)
    path.write_text(
        "#!/bin/sh\nnote() { echo $1 > $2.new; mv $2.new $2; }\n"
        f"sleep 1000 <&- >&- 2>&- &\nnote $! {notes[0]}\nnote $$ {notes[1]}\nsleep 1000\n"
    )
    path.chmod(0o755)
    supervisor = supervise(
        f'[service.x]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "{path}"\nfront = "fcgi"\n',
        is_quiet=False,
    )
    with connect(supervisor.place("x")) as connection:
        connection.sendall(encode(request({"REQUEST_METHOD": "GET"})))
        wait_for(lambda: all(note.exists() for note in notes), "the program is at work")
        child, program = (int(note.read_text()) for note in notes)
        shown = view(program)
        assert shown is not None
        os.kill(shown.parent, signal.SIGKILL)
        wait_for(lambda: view(program) is None, "the program is gone")
        wait_for(lambda: view(child) is None, "its child is gone, too")


def test_child_from_before_the_server_is_left_alone(
    supervise: Supervise, script: Callable[[str], Path]
) -> None:
    """A script may start others and then become the server."""
    path = script(WAYS["a session of its own"])
    others = 'setsid sleep 1001 </dev/null >/dev/null 2>&1 & exec "$@"'
    supervisor = supervise(text(path, "auto"), prefix=("sh", "-c", others, "sh"))
    try:
        assert exchange(supervisor.place("x"), b"\n") == b"done\n"
        wait_for(lambda: len(sleepers(supervisor)) == 1, "the other one is gone")
        for _ in range(2):  # each time the master looks again
            assert exchange(supervisor.place("x"), b"\n") == b"done\n"
            wait_for(lambda: len(sleepers(supervisor)) == 1, "the other one is gone again")
        assert supervisor.server.stop() == 0
        assert len(sleepers(supervisor)) == 1
    finally:
        for pid in sleepers(supervisor):
            os.kill(pid, signal.SIGKILL)
