"""A UNIX socket whose file is gone: a reload binds it anew, and nobody in the queue is lost."""

import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.supervisors import Supervisor
from harness.waiting import wait_for

Supervise = Callable[..., Supervisor]

FILE = """
[service.echo]
listen = [{{ address = "unix:{path}", mode = "{mode}" }}]
program = "cat"
worker = "{worker}"
[service.echo.workers]
min = 1
max = {most}
strategy = "{strategy}"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the service listens."""
    return tmp_path / "s"


def text(
    path: Path, mode: str = "0600", worker: str = "auto", most: int = 8, strategy: str = "eager"
) -> str:
    """Return the file."""
    return FILE.format(path=path, mode=mode, worker=worker, most=most, strategy=strategy)


@pytest.mark.parametrize("fate", ["gone", "moved", "stale", "replaced folder"])
def test_lost_socket_is_bound_anew(
    supervise: Supervise, path: Path, fate: str, worker_kind: str
) -> None:
    """Whether nothing is left at its path or what nobody listens on; the log says so."""
    path = path.parent / "folder" / "s"
    path.parent.mkdir()
    supervisor = supervise(text(path, worker=worker_kind), is_quiet=False)
    assert exchange(supervisor.place("echo"), b"one") == b"one"
    match fate:
        case "gone":
            path.unlink()
        case "moved":
            path.rename(path.with_name("moved"))
        case "stale":
            path.unlink()
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(str(path))
        case _:
            path.parent.rename(path.parent.with_name("former"))
            path.parent.mkdir()

    line = supervisor.reload()

    assert (line["event"], line["added"], line["removed"]) == ("reloaded", 1, 0)
    assert supervisor.server.events("listener_lost")[0]["listener"] == f"unix:{path}"
    supervisor.wait_events("service_ready", 2, service="echo")
    assert exchange(str(path), b"two") == b"two"
    supervisor.server.wait_event("stopped")
    assert exchange(str(path), b"three") == b"three"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert supervisor.server.stop() == 0
    assert not path.exists()


def test_those_in_the_queue_of_the_lost_socket_are_served(supervise: Supervise, path: Path) -> None:
    """All of them, by the former workers, though there is one at a time."""
    supervisor = supervise(text(path, most=1, strategy="fixed"), is_quiet=False)
    place = supervisor.place("echo")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(place)) for _ in range(20)]
        path.unlink()
        assert supervisor.reload()["event"] == "reloaded"
        supervisor.wait_events("service_ready", 2, service="echo")
        assert exchange(place, b"new") == b"new"

        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"%d" % number
    supervisor.server.wait_event("stopped", lambda line: line["connections"] == len(clients))
    assert exchange(place, b"newer") == b"newer"


def test_path_of_another_server_is_left_to_it(supervise: Supervise, path: Path) -> None:
    """The reload is refused; those who have found us before are served all the same."""
    supervisor = supervise(text(path), is_quiet=False)
    place = supervisor.place("echo")
    with connect(place) as client, socket.socket(socket.AF_UNIX) as other:
        path.unlink()
        other.bind(str(path))
        other.listen()

        line = supervisor.reload()

        assert line["event"] == "reload_failed"
        assert "has a live server" in line["reason"]
        client.sendall(b"still")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"still"
    assert supervisor.server.stop() == 0
    assert path.exists()


@pytest.mark.parametrize("is_wanted", [True, False])
def test_link_in_its_place_is_not_followed_by_a_reload(
    supervise: Supervise, path: Path, *, is_wanted: bool
) -> None:
    """What it leads to keeps its mode, and the link stays."""
    precious = path.with_name("precious")
    precious.write_text("precious")
    precious.chmod(0o600)
    supervisor = supervise(text(path), is_quiet=False)
    supervisor.place("echo")
    path.unlink()
    path.symlink_to(precious)

    other = f'[service.other]\nlisten = ["unix:{path}2"]\nprogram = "cat"\n'
    line = supervisor.reload(text(path, mode="0666") if is_wanted else other)

    assert line["event"] == ("reload_failed" if is_wanted else "reloaded")
    assert supervisor.server.stop() == 0
    assert os.readlink(path) == str(precious)
    assert stat.S_IMODE(precious.stat().st_mode) == 0o600


def test_it_may_be_lost_again_while_the_former_one_drains(supervise: Supervise, path: Path) -> None:
    """There may be any number on their way out, and one that is found."""
    supervisor = supervise(text(path), is_quiet=False)
    place = supervisor.place("echo")
    with contextlib.ExitStack() as stack:
        for number in range(3):
            client = stack.enter_context(connect(place))
            client.sendall(b"x")
            assert client.recv(1) == b"x"
            path.unlink()
            assert supervisor.reload()["added"] == 1
            supervisor.wait_events("service_ready", number + 2, service="echo")
        assert exchange(place, b"last") == b"last"
    wait_for(lambda: len(supervisor.server.events("stopped")) == 3, "the former ones are gone")
    assert exchange(place, b"last") == b"last"
