"""The instance behind a worker at `--ready relay`: its start, and every way to its end."""

import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.processes import children_of
from socketd.programs.privileges import Privileges
from socketd.settings.confinement import ResourceLimit
from socketd.workers.layout import SlotState, Step

from .fake_master import FakeMaster, exchange, read_to_end, wait_until
from .relaying import instance_of, shell, start_relaying, wait_gone

pytestmark = pytest.mark.slow

_LOOK = """#!/usr/bin/python3 -IS
import fcntl, json, os, resource, sys
sys.stdin.readline()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
names = [n for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)]
print(json.dumps({
    "descriptors": {n: os.readlink("/proc/self/fd/" + n).partition(":")[0] for n in names},
    "is_stderr_stdout": os.path.sameopenfile(1, 2),
    "flags": [fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK for fd in (0, 1, 2)],
    "blocked": int(status["SigBlk"], 16), "caught": int(status["SigCgt"], 16),
    "ignored": int(status["SigIgn"], 16), "pending": int(status["SigPnd"], 16),
    "environment": dict(os.environ), "directory": os.getcwd(), "umask": status["Umask"].strip(),
    "cpu": resource.getrlimit(resource.RLIMIT_CPU), "group": os.getpgid(0),
}))
"""
_DYING_MASTER = """
import signal, sys
from pathlib import Path
from native.fake_master import FakeMaster
from native.relaying import start_relaying
from socketd.workers.layout import SlotState

with FakeMaster(Path(sys.argv[1])) as master:
    start_relaying(master, int(sys.argv[2]))
    master.spawn(0, 1)
    print(master.board.pid(0), master.board.pid(1), flush=True)
    while not master.board.find(SlotState.ACCEPTED):
        master.wait_ring()
    print("accepted", flush=True)
    signal.pause()
"""


def test_the_program_runs_before_there_is_a_connection(
    master: FakeMaster, listener: socket.socket
) -> None:
    """Each idle worker has a process of its own behind it, which then serves its connection."""
    start_relaying(master, listener, shell("echo I am $$; exec cat"))
    master.spawn(0, 1)
    instances = {instance_of(master.board.pid(number)).pid for number in (0, 1)}

    greetings = [exchange(listener.getsockname(), b"!").decode() for _ in range(2)]

    assert set(greetings) == {f"I am {pid}\n!" for pid in instances}


def test_the_program_has_two_pipes_and_nothing_of_ours(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """Descriptors, signals, environment, privileges: as for any program, but for the connection."""
    path = tmp_path / "look"
    path.write_text(_LOOK)
    path.chmod(0o755)
    limits = (ResourceLimit("cpu", 1000, 2000),)
    privileges = Privileges(directory="/usr", umask=0o27, limits=limits)
    start_relaying(master, listener, (str(path), "look"), privileges=privileges)
    master.spawn(0)
    flags = fcntl.fcntl(listener, fcntl.F_GETFL)

    seen = json.loads(exchange(listener.getsockname(), b"\n"))

    assert {n: kind for n, kind in seen["descriptors"].items() if int(n) < 3} == {
        "0": "pipe", "1": "pipe", "2": "pipe"
    }  # fmt: skip
    assert not {"pipe", "socket", "anon_inode"} & {
        kind for n, kind in seen["descriptors"].items() if int(n) > 2
    }
    assert (seen["is_stderr_stdout"], seen["flags"]) == (True, [0, 0, 0])
    python = sum(1 << (number - 1) for number in (signal.SIGPIPE, signal.SIGXFSZ))
    assert (seen["blocked"], seen["pending"], seen["ignored"] & ~python) == (0, 0, 0)
    assert {"TCPREMOTEIP", "PROTO", "REMOTE_PORT"} & set(seen["environment"]) == set()
    assert seen["environment"]["KEPT"] == "as it was"
    assert (seen["directory"], seen["umask"]) == ("/usr", "0027")
    assert (seen["cpu"], seen["group"]) == ([1000, 2000], master.board.pid(0))
    assert fcntl.fcntl(listener, fcntl.F_GETFL) == flags


def test_a_busy_relay_keeps_nothing_of_the_pool(
    master: FakeMaster, listener: socket.socket
) -> None:
    """Neither listener nor bell nor board: only the connection, two pipes and the signals."""
    start_relaying(master, listener)
    master.spawn(0)
    pid = master.board.pid(0)
    with socket.create_connection(listener.getsockname(), 20) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        kinds = sorted(
            os.readlink(f"/proc/{pid}/fd/{name}").partition(":")[0]
            for name in os.listdir(f"/proc/{pid}/fd")
            if int(name) > 2
        )
        maps = Path(f"/proc/{pid}/maps").read_text()

    assert kinds == ["anon_inode", "pipe", "pipe", "socket"]
    assert "memfd:" not in maps


@pytest.mark.parametrize(("interpreter", "status"), [("/no/such", 127), ("/etc", 126)])
def test_a_program_that_cannot_run_fails_its_worker_before_it_waits(
    master: FakeMaster, listener: socket.socket, tmp_path: Path, interpreter: str, status: int
) -> None:
    """The worker is never idle, and its record says why."""
    path = tmp_path / "program"
    path.write_text(f"#!{interpreter}\n")
    path.chmod(0o755)
    start_relaying(master, listener, (str(path), "program"))
    master.ask(0)

    assert master.wait_worker_exit(0) == status
    assert master.board.state(0) == SlotState.STARTING
    assert master.board.record(0).step is Step.EXEC
    assert master.board.record(0).error != 0


def test_a_script_without_an_interpreter_is_the_shell_s(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """The rule for files that no loader knows is that of the other levels."""
    path = tmp_path / "program"
    path.write_text("read line; echo shell: $line\n")
    path.chmod(0o755)
    start_relaying(master, listener, (str(path), "program"))
    master.spawn(0)

    assert exchange(listener.getsockname(), b"yes\n") == b"shell: yes\n"


@pytest.mark.parametrize(("how", "status"), [("kill -9 $$", -9), ("exit 3", 3), ("exit 0", 0)])
def test_a_worker_whose_instance_ends_too_early_leaves_with_a_failure(
    master: FakeMaster, listener: socket.socket, how: str, status: int
) -> None:
    """The record tells that the program has ended, and how."""
    start_relaying(master, listener, shell(how))
    master.ask(0)

    assert master.wait_worker_exit(0) == 111
    assert master.board.state(0) == SlotState.IDLE
    assert (master.board.record(0).step, master.board.record(0).error) == (Step.PROGRAM, status)


@pytest.mark.shipped
def test_no_connection_is_lost_to_an_instance_that_ends_when_it_comes(
    master: FakeMaster, listener: socket.socket
) -> None:
    """A worker that has the connection already starts the program once more."""
    start_relaying(master, listener, shell("echo done"))
    address = listener.getsockname()
    stop = threading.Event()
    answers: list[bytes] = []

    def connect() -> None:
        while not stop.is_set():
            answers.append(exchange(address))

    clients = [threading.Thread(target=connect) for _ in range(3)]
    for client in clients:
        client.start()
    ends = []
    for _ in range(300):
        master.ask(0)
        ends.append(master.wait_worker_exit(0))
        master.board.release(0)
    stop.set()
    while any(client.is_alive() for client in clients):
        master.ask(0)
        ends.append(master.wait_worker_exit(0))
        master.board.release(0)

    assert set(answers) == {b"done\n"}
    assert ends.count(0) == len(answers)
    assert set(ends) <= {0, 111}


def test_retired_worker_takes_its_instance_along(
    master: FakeMaster, listener: socket.socket
) -> None:
    """Whoever is asked to leave exits 0 when nothing of the program is left, children included."""
    start_relaying(master, listener, shell("cat | cat"))
    master.spawn(0)
    pid = master.board.pid(0)
    instance = instance_of(pid).pid
    wait_until(lambda: len(children_of(instance)) == 2, "both children")
    children = [one.pid for one in children_of(instance)]

    os.kill(pid, signal.SIGWINCH)

    assert master.wait_worker_exit(0) == 0
    wait_gone(instance, *children)


def test_instance_may_say_farewell(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """A program that acts on SIGTERM is waited for."""
    ready, left = tmp_path / "ready", tmp_path / "left"
    script = f"trap 'sleep 0.2; : > {left}; exit' TERM; : > {ready}; while :; do sleep 0.01; done"
    start_relaying(master, listener, shell(script))
    master.spawn(0)
    wait_until(ready.exists, "the trap is set")

    os.kill(master.board.pid(0), signal.SIGWINCH)

    assert master.wait_worker_exit(0) == 0
    assert left.exists()


def test_instance_that_will_not_leave_is_killed(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """After five seconds its whole group is, the worker included."""
    ready = tmp_path / "ready"
    script = f"trap '' TERM; : > {ready}; while :; do sleep 1; done"
    start_relaying(master, listener, shell(script))
    master.spawn(0)
    wait_until(ready.exists, "the trap is set")
    instance = instance_of(master.board.pid(0)).pid

    os.kill(master.board.pid(0), signal.SIGWINCH)

    assert master.wait_worker_exit(0) == -signal.SIGKILL
    wait_gone(instance)


_STUBBORN = "trap '' TERM; echo; while :; do sleep 0.01; done"


def test_killed_idle_worker_does_not_leave_its_instance_behind(
    master: FakeMaster, listener: socket.socket
) -> None:
    """The kernel kills the program, whatever it thinks of SIGTERM and of the end of its input."""
    start_relaying(master, listener, shell(_STUBBORN))
    master.spawn(0)
    instance = instance_of(master.board.pid(0)).pid

    os.kill(master.board.pid(0), signal.SIGKILL)

    assert master.wait_worker_exit(0) == -signal.SIGKILL
    wait_gone(instance)


def test_killed_busy_worker_does_not_leave_its_instance_behind(
    master: FakeMaster, listener: socket.socket
) -> None:
    """Nor does one with a connection, which ends there and then."""
    start_relaying(master, listener, shell(_STUBBORN))
    master.spawn(0)
    instance = instance_of(master.board.pid(0)).pid
    with socket.create_connection(listener.getsockname(), 20) as client:
        assert client.recv(1) == b"\n"

        os.kill(master.board.pid(0), signal.SIGKILL)

        assert client.recv(1) == b""
    assert master.wait_worker_exit(0) == -signal.SIGKILL
    wait_gone(instance)


def test_killed_instance_ends_its_connection(master: FakeMaster, listener: socket.socket) -> None:
    """The worker ends by the same signal, so the log tells of it."""
    start_relaying(master, listener)
    master.spawn(0)
    instance = instance_of(master.board.pid(0)).pid
    with socket.create_connection(listener.getsockname(), 20) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"

        os.kill(instance, signal.SIGKILL)

        assert client.recv(1) == b""
    assert master.wait_worker_exit(0) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("script", "status"), [("read x; exit 3", 3), ("read x; kill -SEGV $$", -11)]
)
def test_worker_ends_as_the_program_has(
    master: FakeMaster, listener: socket.socket, script: str, status: int
) -> None:
    """The exit status is handed on, and so is a signal."""
    start_relaying(master, listener, shell(script))
    master.spawn(0)

    assert exchange(listener.getsockname(), b"\n") == b""
    assert master.wait_worker_exit(0) == status


def test_processor_time_of_the_program_is_the_worker_s(
    master: FakeMaster, listener: socket.socket
) -> None:
    """What `wait4()` tells the master of a worker includes the program."""
    start_relaying(
        master, listener, shell("read x; i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done")
    )
    master.spawn(0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime

    exchange(listener.getsockname(), b"\n")
    master.wait_worker_exit(0)

    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime > before + 0.01


def test_termination_reaches_the_program_and_its_last_words_the_client(
    master: FakeMaster, listener: socket.socket
) -> None:
    """SIGTERM to the group ends no relay before its program."""
    script = "trap 'echo farewell; exit 4' TERM; echo; while :; do sleep 0.01; done"
    start_relaying(master, listener, shell(script), stderr="null")
    master.spawn(0)
    with socket.create_connection(listener.getsockname(), 20) as client:
        assert client.recv(1) == b"\n"

        os.killpg(master.board.pid(0), signal.SIGTERM)

        assert read_to_end(client) == b"farewell\n"
    assert master.wait_worker_exit(0) == 4


def test_signal_to_a_busy_worker_is_for_the_program(
    master: FakeMaster, listener: socket.socket
) -> None:
    """To an operator the process in the log is the program, and so it takes his signals."""
    script = "trap 'echo again' HUP; trap 'exit 5' USR1; echo; while :; do sleep 0.01; done"
    start_relaying(master, listener, shell(script))
    master.spawn(0)
    pid = str(master.board.pid(0))
    with socket.create_connection(listener.getsockname(), 20) as client:
        assert client.recv(1) == b"\n"

        subprocess.run(["kill", "-HUP", pid], check=True)

        assert client.recv(6) == b"again\n"
        subprocess.run(["kill", "-USR1", pid], check=True)
        assert client.recv(6) == b""
    assert master.wait_worker_exit(0) == 5


@pytest.mark.usefixtures("master")
def test_instances_end_with_their_master_but_for_a_busy_one(
    zygote: Path, listener: socket.socket
) -> None:
    """After kill -9 of the master idle workers leave with their instances; the other finishes."""
    listener.set_inheritable(True)
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", _DYING_MASTER, str(zygote), str(listener.fileno())],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tests,
        pass_fds=[listener.fileno()],
    ) as dying:
        assert dying.stdout is not None
        pids = [int(word) for word in dying.stdout.readline().split()]
        instances = {pid: instance_of(pid).pid for pid in pids}
        with socket.create_connection(listener.getsockname(), 20) as client:
            assert dying.stdout.readline() == "accepted\n"
            client.sendall(b"before ")
            assert client.recv(7) == b"before "
            busy = next(pid for pid in pids if _name(pid) == "socketd-relay")
            idle = next(pid for pid in pids if pid != busy)

            dying.kill()

            wait_gone(idle, instances[idle])
            client.sendall(b"after")
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b"after"
        wait_gone(busy, instances[busy])


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
