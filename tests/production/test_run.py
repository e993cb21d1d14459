"""`socketd run`: any number of services and listeners in one master."""

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.processes import children_of
from harness.supervisors import Supervisor, run_socketd
from harness.waiting import wait_for

Supervise = Callable[..., Supervisor]

SMALLEST = """
[service.echo]
listen = ["tcp:127.0.0.1:0", "unix:{path}"]
program = "cat"

[service.echo.workers]
min = 4
max = 64
strategy = "eager"
idle_timeout = "30s"
"""

# What a service manager does between fork and exec.
PASS = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_service_answers_on_each_of_its_listeners(supervise: Supervise, tmp_path: Path) -> None:
    """TCP and UNIX side by side, each with its own pool of at least `min` workers."""
    supervisor = supervise(SMALLEST.format(path=tmp_path / "s"))
    places = [supervisor.place("echo", position) for position in (0, 1)]

    assert [exchange(place, b"hello") for place in places] == [b"hello", b"hello"]
    assert {type(place) for place in places} == {tuple, str}
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o660
    wait_for(lambda: len(supervisor.server.workers()) == 8, "four workers for each listener")


def test_services_run_what_is_theirs(supervise: Supervise, worker_kind: str) -> None:
    """Program, environment and shell of one service are not those of another."""
    supervisor = supervise(
        f"""
        [service.text]
        listen = ["tcp:127.0.0.1:0"]
        program = "echo $WHO | tr a-z A-Z"
        environment = {{ WHO = "you" }}
        worker = "{worker_kind}"
        [service.list]
        listen = ["tcp:127.0.0.1:0"]
        program = ["printf", "%s", "$WHO and me"]
        worker = "{worker_kind}"
        """
    )

    assert exchange(supervisor.place("text")) == b"YOU\n"
    assert exchange(supervisor.place("list")) == b"$WHO and me"


def test_stop_ends_every_service(supervise: Supervise, tmp_path: Path) -> None:
    """SIGTERM drains all of them, removes their paths, and the exit code is 0."""
    supervisor = supervise(SMALLEST.format(path=tmp_path / "s"))
    supervisor.place("echo", 1)
    supervisor.server.signal(signal.SIGTERM)

    assert supervisor.server.wait() == 0
    assert len(supervisor.server.events("stopped")) == 2
    assert not (tmp_path / "s").exists()


def test_readiness_is_a_newline_and_the_end(supervise: Supervise, tmp_path: Path) -> None:
    """--ready-fd gets one newline when everything is up, and is closed; programs never have it."""
    reading, writing = os.pipe()
    supervise(SMALLEST.format(path=tmp_path / "s"), "--ready-fd", str(writing), pass_fds=(writing,))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"\n"


def test_descriptor_that_is_not_open_is_refused(tmp_path: Path) -> None:
    """--ready-fd with a descriptor that is not there is a wrong call."""
    file = tmp_path / "services.toml"
    file.write_text(SMALLEST.format(path=tmp_path / "s"))
    outcome = run_socketd("run", "--ready-fd", "99", str(file))

    assert outcome.status == 15
    assert outcome.stderr == "socketd: --ready-fd: descriptor 99 is not open\n"


def test_title_tells_the_counts(supervise: Supervise, tmp_path: Path) -> None:
    """ps(1) shows the file, and how many workers wait and are busy."""
    supervisor = supervise(SMALLEST.format(path=tmp_path / "s"))
    supervisor.place("echo", 1)

    def title() -> str:
        raw = Path(f"/proc/{supervisor.pid}/cmdline").read_bytes()
        return raw.replace(b"\0", b" ").decode().strip()

    wanted = f"socketd: master {supervisor.file}: 8 idle, 0 busy, 0 connections so far"
    wait_for(lambda: title() == wanted, wanted)


def test_every_mistake_is_told_and_nothing_is_started(tmp_path: Path) -> None:
    """A file with mistakes ends the command with 78 and a line for each."""
    file = tmp_path / "services.toml"
    file.write_text('[service.a]\nlisten = ["tcp:x:y:z"]\n[service.b]\nprogram = "cat"\n')
    outcome = run_socketd("run", str(file))

    keys = [line.split(": ")[2] for line in outcome.stderr.splitlines()]
    assert outcome.status == 78
    assert keys == ["service.a.listen[0]", "service.b.listen", "service.a.program"]


def test_port_in_use_ends_the_start(tmp_path: Path) -> None:
    """An address that cannot be bound is an error, and what was bound before is given up."""
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        file = tmp_path / "services.toml"
        port = occupied.getsockname()[1]
        file.write_text(
            f'[service.a]\nlisten = ["unix:{tmp_path}/s", "tcp:127.0.0.1:{port}"]\n'
            'program = "cat"\n'
        )
        outcome = run_socketd("run", str(file))

    assert outcome.status == 1
    assert "in use" in outcome.stderr
    assert not (tmp_path / "s").exists()


def test_passed_socket_is_served_by_its_name(supervise: Supervise) -> None:
    """`fd:NAME` is the socket that a manager has passed under that name."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd = listening.fileno()
        supervisor = supervise(
            '[service.web]\nlisten = ["fd:web"]\nprogram = "cat"\n',
            pass_fds=(fd,),
            prefix=(sys.executable, "-c", PASS, str(fd)),
        )
        place = listening.getsockname()

        assert exchange(place, b"hello") == b"hello"
        assert supervisor.reload()["event"] == "reloaded"
        assert exchange(place, b"again") == b"again"
        assert supervisor.replace()["event"] == "reexec_done"
        assert exchange(place, b"and again") == b"and again"


def test_name_of_no_passed_socket_is_a_mistake(tmp_path: Path) -> None:
    """A name that nobody has passed is told with the names that were."""
    file = tmp_path / "services.toml"
    file.write_text('[service.web]\nlisten = ["fd:web"]\nprogram = "cat"\n')
    outcome = run_socketd("run", str(file))

    assert outcome.status == 78
    assert "names of sockets that were passed: none at all" in outcome.stderr


@pytest.mark.slow
def test_five_hundred_services_start_and_cost_nothing(supervise: Supervise, tmp_path: Path) -> None:
    """All come up, with a worker each; then the master does not wake up."""
    services = "".join(
        f'[service.s{n}]\nlisten = ["unix:{tmp_path}/{n}"]\nprogram = "cat"\n' for n in range(500)
    )
    supervisor, seconds = time_start(supervise, services)

    print(f"500 services were up after {seconds:.2f} s")
    assert len(children_of(supervisor.pid)) == 1000
    assert [exchange(f"{tmp_path}/{n}", b"hello") for n in (0, 250, 499)] == [b"hello"] * 3
    wait_for(lambda: is_asleep(supervisor.pid), "the master rests for a second")


def time_start(supervise: Supervise, text: str) -> tuple[Supervisor, float]:
    """Start services; return the supervisor, and how long it took until all were up."""
    reading, writing = os.pipe()
    before = time.monotonic()
    supervisor = supervise(text, "--ready-fd", str(writing), pass_fds=(writing,))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"\n"
    return supervisor, time.monotonic() - before


def is_asleep(pid: int) -> bool:
    """Tell whether a process uses no processor time and is not woken for a second."""
    before = wake_ups(pid)
    end = time.monotonic() + 1.0
    wait_for(lambda: time.monotonic() > end, "a second has passed")
    return wake_ups(pid) == before


def wake_ups(pid: int) -> tuple[str, ...]:
    """Return processor time and context switches so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return (fields[11], fields[12], *(line for line in status if "ctxt_switches" in line))


def test_programs_get_the_former_limit_of_descriptors(
    supervise: Supervise, worker_kind: str
) -> None:
    """The master raises its own limit; a program has the one that the server was started with."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"""
    [service.limit]
    listen = ["tcp:127.0.0.1:0"]
    program = ["sh", "-c", "ulimit -n"]
    worker = "{worker_kind}"
    """
    supervisor = supervise(text, prefix=("sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh"))
    place = supervisor.place("limit")
    soft = resource.prlimit(supervisor.pid, resource.RLIMIT_NOFILE)
    first = exchange(place)
    supervisor.replace()
    supervisor.reload()

    assert (first, soft) == (b"256\n", (hard, hard))
    assert exchange(place) == b"256\n"
