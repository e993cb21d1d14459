"""A reload: services come, go and change; whatever is wrong with it, everything goes on."""

import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.servers import Server
from harness.supervisors import Supervisor
from harness.waiting import wait_for

Supervise = Callable[..., Supervisor]


def echo(port: str = "0", program: str = "cat", worker: str = "auto", more: str = "") -> str:
    """Return a file with one service."""
    return (
        f'[service.echo]\nlisten = ["tcp:127.0.0.1:{port}"]\nprogram = "{program}"\n'
        f'worker = "{worker}"\n{more}\n[service.echo.workers]\nmin = 2\nmax = 8\n'
    )


def listening_inode(port: int) -> str:
    """Return the inode of the socket that listens on a port."""
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
            return fields[9]
    raise AssertionError(f"nobody listens on {port}")


def test_changed_program_serves_the_next_connection(supervise: Supervise, worker_kind: str) -> None:
    """After a reload a new generation of workers runs what the file says now."""
    supervisor = supervise(echo(worker=worker_kind))
    place = supervisor.place("echo")
    before = exchange(place, b"hello")

    assert supervisor.reload(echo(program="tr a-z A-Z", worker=worker_kind))["changed"] == 1
    wait_for(lambda: exchange(place, b"hello") == b"HELLO", "the new program answers")
    assert before == b"hello"
    # One of the old generation may still have taken a connection when the first new one had.
    wait_for(lambda: {exchange(place, b"x") for _ in range(5)} == {b"X"}, "only the new one does")


def test_unchanged_listener_keeps_its_socket(supervise: Supervise) -> None:
    """A reload does not bind anew what stays where it is."""
    supervisor = supervise(echo())
    place = supervisor.place("echo")
    assert isinstance(place, tuple)
    inode = listening_inode(place[1])
    supervisor.reload(echo(program="date"))

    assert listening_inode(place[1]) == inode


def test_reload_renews_the_workers_of_an_unchanged_service(
    supervise: Supervise, worker_kind: str
) -> None:
    """Who has waited before a reload leaves, and as many others wait."""
    supervisor = supervise(echo(worker=worker_kind))
    supervisor.place("echo")
    before = set(supervisor.server.workers())
    supervisor.reload()

    wait_for(lambda: not before & set(supervisor.server.workers()), "the old workers are gone")
    supervisor.server.wait_settled(idle=2)


def test_connection_under_way_outlives_a_reload(supervise: Supervise, worker_kind: str) -> None:
    """A busy worker of the old generation finishes what it has begun."""
    supervisor = supervise(echo(worker=worker_kind))
    with connect(supervisor.place("echo")) as connection:
        connection.sendall(b"one ")
        assert connection.recv(4) == b"one "
        supervisor.reload(echo(program="date", worker=worker_kind))
        connection.sendall(b"two")
        connection.shutdown(socket.SHUT_WR)

        assert read_all(connection) == b"two"


def test_services_come_and_go(supervise: Supervise, tmp_path: Path) -> None:
    """What is new in the file is served, what is not in it any more is refused."""
    supervisor = supervise(echo())
    first = supervisor.place("echo")
    path = str(tmp_path / "s")
    other = f'[service.other]\nlisten = ["unix:{path}"]\nprogram = "cat"\n'
    line = supervisor.reload(other)

    assert (line["added"], line["removed"]) == (1, 1)
    assert exchange(supervisor.place("other"), b"hello") == b"hello"
    supervisor.server.wait_event("stopped", lambda line: line["service"] == "echo")
    with pytest.raises(ConnectionRefusedError):
        connect(first)
    supervisor.reload(echo())
    assert exchange(supervisor.place("echo", 1), b"hello") == b"hello"
    wait_for(lambda: not os.path.exists(path), "the path of the removed service is gone")


def test_pool_grows_beyond_its_old_maximum(supervise: Supervise) -> None:
    """A reload with a larger pool needs no new board."""
    supervisor = supervise(echo())
    supervisor.place("echo")
    supervisor.reload(echo().replace("min = 2\nmax = 8", "min = 40\nmax = 80"))

    supervisor.server.wait_settled(idle=40)


def test_rights_of_a_path_change_in_place(supervise: Supervise, tmp_path: Path) -> None:
    """A reload changes the mode of a UNIX socket without making it anew."""
    path = tmp_path / "s"
    text = '[service.echo]\nlisten = [{{ address = "unix:{}", mode = "{}" }}]\nprogram = "cat"\n'
    supervisor = supervise(text.format(path, "0660"))
    supervisor.place("echo")
    before = path.stat()
    supervisor.reload(text.format(path, "0600"))

    after = path.stat()
    assert (stat.S_IMODE(before.st_mode), stat.S_IMODE(after.st_mode)) == (0o660, 0o600)
    assert after.st_ino == before.st_ino


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[service.echo\n", "is not TOML"),
        ('[service.echo]\nprogram = "cat"\n', "service.echo.listen: is missing"),
        (echo(program="no-such-program"), "'no-such-program': it is not on PATH"),
        (echo(more='user = "no-such-user"'), "no-such-user"),
        (echo() + '[service.two]\nlisten = ["tcp:127.0.0.1:{port}"]\nprogram = "cat"\n', "in use"),
    ],
    ids=["broken file", "missing key", "missing program", "vanished user", "port in use"],
)
def test_failed_reload_changes_nothing(supervise: Supervise, text: str, reason: str) -> None:
    """One clear error in the log, the same workers, and the service answers as before."""
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        supervisor = supervise(echo())
        place = supervisor.place("echo")
        workers = sorted(supervisor.server.workers())
        line = supervisor.reload(text.replace("{port}", str(occupied.getsockname()[1])))
        errors = [one for one in supervisor.server.lines if one["level"] == "error"]

        assert (line["event"], len(errors)) == ("reload_failed", 1)
        assert reason in line["reason"]
        assert sorted(supervisor.server.workers()) == workers
        assert exchange(place, b"hello") == b"hello"
        assert supervisor.reload(echo())["event"] == "reloaded"
    supervisor.server.is_quiet = False


def test_file_that_has_vanished_changes_nothing(supervise: Supervise) -> None:
    """A file that is not there any more is an error like any other."""
    supervisor = supervise(echo())
    place = supervisor.place("echo")
    supervisor.file.unlink()
    line = supervisor.reload()

    assert "cannot be read: No such file or directory" in line["reason"]
    assert exchange(place, b"hello") == b"hello"
    supervisor.server.is_quiet = False


def test_templates_that_were_only_tried_harm_nobody(supervise: Supervise) -> None:
    """A reload that fails late has started templates in vain; the next one is none the worse."""
    good = echo()
    bad = good + '[service.two]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\nuser = "no-such"\n'
    supervisor = supervise(good + bad.removeprefix(good).replace('user = "no-such"', ""))
    places = [supervisor.place(name) for name in ("echo", "two")]
    for _ in range(10):
        assert supervisor.reload(bad)["event"] == "reload_failed"
        assert supervisor.reload(bad.replace('user = "no-such"', ""))["event"] == "reloaded"
        assert [exchange(place, b"hello") for place in places] == [b"hello", b"hello"]

    assert supervisor.server.stop() == 0
    assert {line["level"] for line in supervisor.server.lines} == {"info", "error"}
    supervisor.server.is_quiet = False


def test_stop_right_after_a_reload_ends_everything(supervise: Supervise, worker_kind: str) -> None:
    """Two generations, old and new, leave at a stop."""
    supervisor = supervise(echo(worker=worker_kind))
    supervisor.place("echo")
    supervisor.reload()
    supervisor.server.signal(signal.SIGTERM)

    assert supervisor.server.wait() == 0


def test_server_in_the_background_renews_its_workers(tmp_path: Path) -> None:
    """SIGHUP to `socket -b` is no stop: the workers are replaced and the service goes on."""
    pid_file, log, place = tmp_path / "pid", tmp_path / "log", str(tmp_path / "s")
    server = Server(
        [
            "-b", "--pidfile", str(pid_file), "--log-file", str(log), "-p", "cat", "-W", "2", "-s",
            place,
        ]
    )  # fmt: skip
    assert server.process.wait(15) == 0
    pid = int(pid_file.read_text())
    try:
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: '"event": "reloaded"' in log.read_text(), "the reload in the log")

        assert exchange(place, b"hello") == b"hello"
    finally:
        os.kill(pid, signal.SIGTERM)
        server.close()
