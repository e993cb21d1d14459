"""Each connection in a control group of its own: born there, ended there, and nothing left of it.

The limits themselves need controllers in the hierarchy of version 2, which a machine may have in
that of version 1; the rest needs only the hierarchy.
"""

import contextlib
import os
import signal
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from privileges.serving import HERE, serving

from harness import fastcgi
from harness.clients import Place, connect, exchange, read_all
from harness.processes import view
from harness.servers import Server, run_socket
from harness.supervisors import Supervisor
from harness.waiting import wait_for
from socketd.system import cgroup
from socketd.system.products import is_built

pytestmark = [pytest.mark.slow]

LEVELS = {
    "fork": ("--ready", "fork!"),
    "load": ("--ready", "load!"),
    "read": ("--ready", "read!"),
    "relay": ("--ready", "relay!"),
    "python": ("--worker", "python"),
}
GROUP = "grep ^0:: /proc/self/cgroup | cut -d: -f3"


def own_home() -> str:
    """Return a group that is ours to have others in, skip where there is none."""
    try:
        own = cgroup.own_group()
        path = os.path.join(own, f"test-{uuid.uuid4().hex}")
        os.mkdir(path)
    except (cgroup.NoGroupError, OSError) as error:
        pytest.skip(f"no control group of version 2 can be made here: {error}")
    return path


@pytest.fixture
def home() -> Iterator[str]:
    """Lend a group; it must be empty in the end."""
    path = own_home()
    yield path
    left = [one for one in Path(path).rglob("*") if one.is_dir() and one.name != "supervisor"]
    with contextlib.suppress(OSError):
        cgroup.end(path)
    wait_for(lambda: cgroup.remove(path), "the group is empty")
    assert left == []


@pytest.fixture
def serve(home: str) -> Iterator[Callable[..., Server]]:  # noqa: ARG001  it ends after them
    """Start servers, which have to leave nothing behind."""
    with serving() as start:
        yield start


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Return the options of each level, and of the other kind of worker."""
    if request.param != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    return LEVELS[request.param]


def wait_ended(pid: int) -> None:
    """Wait until a process runs no more."""
    wait_for(lambda: (one := view(pid)) is None or one.is_zombie, f"{pid} has ended")


def group_of(answer: bytes, home: str) -> str:
    """Return where a program has been, below the group that was named."""
    place = answer.decode().split()[-1]
    name = os.path.basename(home)
    assert f"/{name}/" in place
    return place.partition(f"/{name}/")[2]


def test_a_connection_has_the_group_of_its_slot(
    serve: Callable[..., Server], home: str, level: tuple[str, ...]
) -> None:
    """Nobody shares it, and it is the same the next time."""
    server = serve(*level, "--cgroup", home, "-W", "2", "-p", f"read x; {GROUP}; read x")
    first, second = connect(server.place), connect(server.place)
    for one in (first, second):
        one.sendall(b"\n")
    groups = [group_of(one.recv(200), home) for one in (first, second)]
    for one in (first, second):
        one.sendall(b"\n")
        assert read_all(one) == b""
        one.close()

    assert {group.partition("/")[0] for group in groups} == {f"socketd-{server.pid}-0"}
    assert len(set(groups)) == 2
    server.wait_statuses(2)
    again = group_of(exchange(server.place, b"\n\n"), home)
    assert again.rpartition("/")[2].isdecimal()


def test_what_a_program_leaves_behind_ends_with_it(
    serve: Callable[..., Server], home: str, level: tuple[str, ...]
) -> None:
    """Also what has left its session; and the slot serves the next connection."""
    program = "read x; setsid sleep 1000 > /dev/null 2>&1 < /dev/null & echo $!"
    server = serve(*level, "--cgroup", home, "-W", "1", "--max-workers", "1", "-p", program)

    for _ in range(4):
        pid = int(exchange(server.place, b"\n"))
        wait_ended(pid)

    assert server.events("worker_failed") == []


@pytest.mark.parametrize("worker", ["native", "python"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user")
def test_workers_of_another_user_are_born_there_too(
    serve: Callable[..., Server], home: str, worker: str
) -> None:
    """And can put nothing into a group but those of its own service's slots."""
    attempts = (
        f"for one in {home} {home}/socketd-*/template {os.path.dirname(home)}; do "
        "(echo 0 > $one/cgroup.procs) 2> /dev/null && echo escaped to $one; done; "
        f"(echo 1 > {home}/socketd-*/template/cgroup.kill) 2> /dev/null && echo killed"
    )
    server = serve(
        "--worker", worker, "--user", "nobody", "--cgroup", home, "-p", f"{attempts}; {GROUP}"
    )

    assert len(exchange(server.place).split()) == 1


def test_the_next_version_goes_on_in_the_same_groups(home: str, tmp_path: Path) -> None:
    """Those who are at work are still ended whole, and new workers are born there."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    file = tmp_path / "services.toml"
    program = f"setsid sleep 1000 > /dev/null 2>&1 < /dev/null & echo $!; {GROUP}; read x"
    file.write_text(
        f'[service.one]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "{program}"\ncgroup = "{home}"\n'
    )
    supervisor = Supervisor(file)
    try:
        place = supervisor.place("one")
        supervisor.wait_ready()
        with connect(place) as before:
            left = int(read_line(before))
            group = group_of(read_line(before), home)
            supervisor.server.signal(signal.SIGUSR2)
            supervisor.wait_events("reexec_done", 1)
            with connect(place) as after:
                assert int(read_line(after))
                assert group_of(read_line(after), home).startswith(group.rpartition("/")[0])
            before.sendall(b"\n")
            assert read_all(before) == b""
        wait_ended(left)
    finally:
        supervisor.server.close()


def read_line(connection: socket.socket) -> bytes:
    """Read a line, byte by byte."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        assert byte
        line += byte
    return line


def test_groups_of_a_server_that_has_crashed_are_removed(
    serve: Callable[..., Server], home: str
) -> None:
    """By the next that has its own there; those of one that lives are left alone."""
    crashed = serve("--cgroup", home, "-p", "cat", is_quiet=False)
    living = serve("--cgroup", home, "-p", "cat")
    assert (exchange(crashed.place, b"x"), exchange(living.place, b"x")) == (b"x", b"x")
    workers = crashed.workers()
    crashed.signal(signal.SIGKILL)
    crashed.process.wait()
    for pid in workers:
        wait_ended(pid)

    third = serve("--cgroup", home, "-p", "cat")

    assert exchange(third.place, b"x") == b"x"
    names = {one.name for one in Path(home).iterdir() if one.is_dir()}
    assert names == {f"socketd-{living.pid}-0", f"socketd-{third.pid}-0"}
    assert exchange(living.place, b"x") == b"x"


def test_own_group_is_divided_where_it_was_given_away(
    serve: Callable[..., Server], home: str, level: tuple[str, ...]
) -> None:
    """As a manager does it: the server finds itself in a group that is its own."""
    enter = ("sh", "-c", f'echo 0 > {home}/cgroup.procs && exec "$@"', "sh")
    server = serve(*level, "--cgroup", "auto", "-p", f"read x; {GROUP}", prefix=enter)

    group = group_of(exchange(server.place, b"\n"), home)

    assert group.startswith(f"socketd-{server.pid}-0/")
    assert server.pid in cgroup.processes(os.path.join(home, "supervisor"))


def test_fastcgi_requests_are_in_the_group_of_their_connection(
    serve: Callable[..., Server], home: str, tmp_path: Path
) -> None:
    """Which the worker has that serves it."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    script = tmp_path / "show.cgi"
    script.write_text(f"#!/bin/sh\nprintf '\\r\\n\\r\\n'; {GROUP}\n")
    script.chmod(0o755)
    server = serve("--front", "fcgi", "--cgroup", home, "-p", str(script))
    peer = fastcgi.Peer(connect(server.place))
    try:
        peer.send(fastcgi.request({"REQUEST_METHOD": "GET"}))
        assert group_of(peer.read_answer().stdout, home).startswith(f"socketd-{server.pid}-0/")
    finally:
        peer.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cgroup", "/usr"), "'/usr' is not a group of cgroup version 2"),
        (("--cgroup", "/no/such"), "'/no/such' is not a group of cgroup version 2"),
    ],
)
def test_what_is_no_group_is_one_line(options: tuple[str, ...], said: str) -> None:
    """Before anything is served."""
    outcome = run_socket(*options, "-p", "cat", *HERE)

    assert (outcome.status, outcome.stderr) == (71, f"socket: {said}\n")


def test_a_group_without_the_controller_is_one_line(home: str) -> None:
    """It names the group, what it lacks, and who gives it."""
    lacking = [name for name in ("memory", "pids") if name not in cgroup.controllers(home)]
    if not lacking:
        pytest.skip("this machine has all controllers in version 2")
    option = {"memory": "--memory-max", "pids": "--pids-max"}[lacking[0]]

    outcome = run_socket("--cgroup", home, option, "64", "-p", "cat", *HERE)

    assert outcome.status == 71
    assert outcome.stderr == (
        f"socket: cannot limit {lacking[0]}: the group {home!r} has no such controller; under "
        "systemd Delegate=yes gives a service a group of its own, see docs/systemd.md\n"
    )


@pytest.fixture
def limited(home: str) -> str:
    """Lend a group whose groups can be limited."""
    missing = {"memory", "pids", "cpu"} - set(cgroup.controllers(home))
    if missing:
        pytest.skip(f"version 2 of cgroups has no {', '.join(sorted(missing))} on this machine")
    return home


LIMITS = ("--pids-max", "16", "--memory-max", "64M", "--cpu-max", "50")
SHELL = 'read -r x; eval "$x"'


def test_fork_bomb_and_memory_hog_end_alone(
    serve: Callable[..., Server], limited: str, level: tuple[str, ...]
) -> None:
    """The others are served meanwhile and afterwards."""
    server = serve(
        *level, "--cgroup", limited, *LIMITS, "-W", "2", "-p", f"sh -c '{SHELL}'", is_quiet=False
    )
    bomb = b"b() { b | b & b | b & wait; }; b 2> /dev/null; echo over\n"
    hog = b'x=$(head -c 200000000 /dev/zero | tr "\\0" x); echo not reached\n'

    assert b"not reached" not in ask(server.place, hog)
    with connect(server.place) as bombing:
        bombing.sendall(bomb)
        assert ask(server.place, b"echo served\n") == b"served\n"
    assert ask(server.place, b"echo served\n") == b"served\n"


def test_limits_are_in_the_files_of_the_group(serve: Callable[..., Server], limited: str) -> None:
    """Each with the value of its setting."""
    server = serve("--cgroup", limited, *LIMITS, "-p", "cat")
    assert exchange(server.place, b"x") == b"x"
    group = Path(limited) / f"socketd-{server.pid}-0" / "0"

    found = {name: (group / name).read_text().split() for name in ("memory.max", "pids.max")}

    assert found == {"memory.max": [str(64 << 20)], "pids.max": ["16"]}
    assert (group / "cpu.max").read_text().split() == ["50000", "100000"]


def ask(place: Place, payload: bytes) -> bytes:
    """Return an answer, or what came of it before the connection was reset."""
    with contextlib.suppress(ConnectionResetError):
        return exchange(place, payload)
    return b""


def test_root_group_is_nobody_s_to_divide() -> None:
    """Without a name for another one the server refuses, unless it was given a group."""
    try:
        own = cgroup.own_group()
    except cgroup.NoGroupError as error:
        pytest.skip(str(error))
    if not cgroup.is_root(own):
        pytest.skip("this test is in a group")

    outcome = run_socket("--cgroup", "auto", "-p", "cat", *HERE)

    assert outcome.status == 71
    assert "is in the root group" in outcome.stderr
