"""What the user's program sees: environment, descriptors, signals, directory, process group."""

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.clients import connect, exchange, read_all
from harness.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.ready("load", "stop")]

Serve = Callable[..., Server]

LOOK = """#!/usr/bin/python3 -IS
import json, os, sys, signal
status = dict(l.split(":", 1) for l in open("/proc/self/status"))
seen = {
    "environment": dict(os.environ),
    "descriptors": {n: os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                    if os.path.exists(f"/proc/self/fd/{n}")},
    "ignored": status["SigIgn"].strip(), "blocked": status["SigBlk"].strip(),
    "pending": status["SigPnd"].strip(),
    "directory": os.getcwd(), "pid": os.getpid(), "group": os.getpgid(0),
    "parent": os.getppid(), "arguments": sys.argv[1:],
}
print(json.dumps(seen))
"""


@pytest.fixture
def look(tmp_path: Path) -> str:
    """Return the path of a program that prints what it sees."""
    path = tmp_path / "look"
    path.write_text(LOOK)
    path.chmod(0o755)
    return str(path)


def ask(server: Server) -> dict[str, Any]:
    """Return what the program behind a server sees."""
    answer = json.loads(exchange(server.place))
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("shell", ["never", "always"])
def test_only_the_three_standard_descriptors_are_open(serve: Serve, look: str, shell: str) -> None:
    """The program gets 0, 1 and 2, all the connection, and nothing of ours."""
    server = serve("-p", look, "-W", "1", "-B", "localhost", "-s", "0", "--shell", shell)

    seen = ask(server)

    kinds = {number: target.partition(":")[0] for number, target in seen["descriptors"].items()}
    own = {number for number, target in seen["descriptors"].items() if "/proc/" in target}
    assert {n: kind for n, kind in kinds.items() if n not in own} == {
        "0": "socket",
        "1": "socket",
        "2": "socket",
    }
    assert len({seen["descriptors"][n] for n in "012"}) == 1


def test_signals_are_as_after_a_login(serve: Serve, look: str) -> None:
    """No signal is ignored, blocked or pending, though Python ignores SIGPIPE."""
    server = serve(
        "-p", look, "-W", "1", "-B", "localhost", "-s", "0",
        prefix=["sh", "-c", "trap '' HUP QUIT USR2; exec \"$@\"", "sh"],
    )  # fmt: skip

    seen = ask(server)

    # Python itself, as the program here, ignores SIGPIPE and SIGXFSZ; and 32 and 33 belong to
    # libc, whose posix_spawn() may leave them ignored, and are out of a Python worker's reach.
    own = sum(1 << (number - 1) for number in (signal.SIGPIPE, signal.SIGXFSZ, 32, 33))
    assert int(seen["ignored"], 16) & ~own == 0
    assert int(seen["blocked"], 16) == 0
    assert int(seen["pending"], 16) == 0


@pytest.mark.ready("load", "relay")
def test_sigpipe_has_its_default_action(serve: Serve) -> None:
    """A program that writes to a client that has gone is ended by SIGPIPE."""
    server = serve("-p", "yes", "-W", "1", "-B", "localhost", "-s", "0")
    with connect(server.place) as connection:
        connection.recv(1)

    closed = server.wait_event("connection_closed")

    assert closed["status"] == -signal.SIGPIPE


def test_program_runs_in_the_launch_directory_and_its_own_group(
    serve: Serve, look: str, tmp_path: Path
) -> None:
    """The directory is the server's, the process leads a group, its parent is the master."""
    server = serve("-p", f"{look} one two", "-W", "1", "-B", "localhost", "-s", "0", cwd=tmp_path)

    seen = ask(server)

    assert seen["directory"] == str(tmp_path)
    assert seen["group"] == seen["pid"]
    assert seen["parent"] == server.pid
    assert seen["arguments"] == ["one", "two"]


def test_connection_has_one_name_for_its_program_and_the_log(serve: Serve, look: str) -> None:
    """And no other connection has it."""
    server = serve("-p", look, "-W", "1", "-B", "localhost", "-s", "0")

    names = [ask(server)["environment"]["UNIQUE_ID"] for _ in range(3)]
    server.wait_statuses(3)

    assert len(set(names)) == 3
    for event in ("connection_accepted", "connection_closed"):
        assert [line["id"] for line in server.events(event)] == names


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("bind", ["with", "without"])
def test_tcp_peer_is_told_in_every_dialect(serve: Serve, look: str, host: str, bind: str) -> None:
    """UCSPI, CGI, systemd and xinetd names agree; an IPv4 peer is never shown as mapped."""
    where = ["-B", host] if bind == "with" else []
    server = serve("-p", look, "-W", "1", *where, "-s", "0")
    port = server.wait_event("service_ready")["port"]

    with socket.create_connection((host, port)) as connection:
        own_port = str(connection.getsockname()[1])
        connection.shutdown(socket.SHUT_WR)
        environment = json.loads(read_all(connection))["environment"]

    expected = {
        "PROTO": "TCP",
        "TCPLOCALIP": host,
        "TCPLOCALPORT": str(port),
        "TCPREMOTEIP": host,
        "TCPREMOTEPORT": own_port,
        "REMOTE_ADDR": host,
        "REMOTE_PORT": own_port,
        "REMOTE_HOST": host,
        "SERVER_ADDR": host,
        "SERVER_PORT": str(port),
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert server.wait_event("connection_accepted")["peer"].endswith(f":{own_port}")


def test_unix_peer_is_told_by_its_credentials(serve: Serve, look: str, tmp_path: Path) -> None:
    """A program on a UNIX socket learns uid, gid and pid of its client, and the path."""
    path = f"{tmp_path}/s"
    server = serve("-p", look, "-W", "1", "-s", path)

    environment = ask(server)["environment"]

    expected = {
        "PROTO": "IPC",
        "IPCREMOTEEUID": str(os.geteuid()),
        "IPCREMOTEEGID": str(os.getegid()),
        "IPCREMOTEPID": str(os.getpid()),
        "IPCLOCALPATH": path,
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert "IPCREMOTEPATH" not in environment


def test_nothing_of_another_connection_or_of_systemd_is_inherited(serve: Serve, look: str) -> None:
    """Names that tell of a connection or of the server's own life never leak through."""
    stale = {
        "TCPREMOTEHOST": "old.example",
        "TCPREMOTEINFO": "old",
        "IPCREMOTEEUID": "0",
        "LISTEN_FDS": "1",
        "NOTIFY_SOCKET": "/run/x",
        "KEPT": "yes",
    }
    server = serve(
        "-p", look, "-W", "1", "-B", "localhost", "-s", "0",
        environment=stale, is_quiet=False,  # nobody hears the notifications
    )  # fmt: skip

    environment = ask(server)["environment"]

    assert {name: environment[name] for name in stale if name in environment} == {"KEPT": "yes"}
    assert len(server.events("notification_failed")) == 1
    server.is_quiet = False


@pytest.mark.parametrize(
    ("target", "on_socket"), [("socket", b"err\n"), ("inherit", b""), ("null", b"")]
)
def test_stderr_goes_where_it_was_told(serve: Serve, target: str, on_socket: bytes) -> None:
    """--stderr sends error messages to the client, to the server's own, or nowhere."""
    server = serve(
        "-p", "echo err >&2", "-W", "1", "-B", "localhost", "-s", "0", "--stderr", target,
        is_quiet=False,
    )  # fmt: skip

    assert exchange(server.place) == on_socket

    server.wait_event("connection_closed")
    server.stop()
    assert server.noise == (["err"] if target == "inherit" else [])


def test_program_is_scheduled_as_usual(serve: Serve) -> None:
    """Whenever its worker was made: the master is not, and its children do not inherit that."""
    text = "import os; print(os.sched_getscheduler(0))"
    server = serve("-p", f"python3 -IS -c '{text}'", "-W", "1", "-B", "localhost", "-s", "0")

    assert [exchange(server.place) for _ in range(4)] == [b"0\n"] * 4


def test_program_has_the_nice_value_of_its_server(serve: Serve) -> None:
    """Also a negative one, whenever its worker was made."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, usual - 1)
    except PermissionError:
        pytest.skip("this user may not be less nice")
    text = "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"
    try:
        server = serve("-p", f"python3 -IS -c '{text}'", "-W", "1", "-B", "localhost", "-s", "0")
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, usual)

    assert [exchange(server.place) for _ in range(4)] == [b"%d\n" % (usual - 1)] * 4


def test_script_without_a_shebang_is_run_by_the_shell(serve: Serve, tmp_path: Path) -> None:
    """An executable text without "#!" works as it does from a shell."""
    path = tmp_path / "plain"
    path.write_text('echo "$0 $1"\n')
    path.chmod(0o755)

    server = serve("-p", f"{path} argument", "-W", "1", "-B", "localhost", "-s", "0")

    assert exchange(server.place) == f"{path} argument\n".encode()
