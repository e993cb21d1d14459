"""The settings of a listener across a reload and a re-exec."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import abstract_name, exchange
from harness.options import TELL
from harness.supervisors import Supervisor, run_socketd

Supervise = Callable[..., Supervisor]


@pytest.fixture
def tell(open_folder: Path) -> str:
    """Return a command that prints the options of its connection."""
    script = open_folder / "tell.py"
    script.write_text(TELL)
    return f"python3 {script}"


def text(options: str, program: str, worker: str) -> str:
    """Return a file with one TCP listener."""
    return (
        f'[service.x]\nlisten = [{{ address = "tcp:127.0.0.1:0"{options} }}]\n'
        f'program = "{program}"\nworker = "{worker}"\n'
    )


def test_reload_changes_what_later_connections_have(
    supervise: Supervise, tell: str, worker_kind: str
) -> None:
    """In place: the socket stays, and what is dropped is gone."""
    first = text(', keepalive = "60s,7s,3", nodelay = true', tell, worker_kind)
    supervisor = supervise(first)
    place = supervisor.place("x")
    before = exchange(place).split()
    supervisor.reload(text(', keepalive = "61s"', tell, worker_kind))
    after = exchange(place).split()

    assert before[:4] + before[5:] == [b"1", b"60", b"7", b"3", b"1"]
    assert after[:2] + after[5:] == [b"1", b"61", b"0"]
    assert after[2:4] != [b"7", b"3"]


def test_reload_cannot_change_what_is_decided_when_a_socket_is_bound(supervise: Supervise) -> None:
    """It fails as a whole, with the reason, and everything goes on."""
    supervisor = supervise(text("", "cat", "auto"), is_quiet=False)
    place = supervisor.place("x")
    failed = supervisor.reload(text(", reuseport = true, nodelay = true", "cat", "auto"))

    assert failed["event"] == "reload_failed"
    assert "reuseport is decided when a socket is bound" in failed["reason"]
    assert exchange(place, b"still") == b"still"


def test_options_survive_a_reexec(supervise: Supervise, tell: str, worker_kind: str) -> None:
    """The next version knows what is set, and takes it back when it is dropped."""
    supervisor = supervise(text(', keepalive = "60s,7s,3"', tell, worker_kind))
    place = supervisor.place("x")
    supervisor.replace()
    kept = exchange(place).split()
    supervisor.reload(text("", tell, worker_kind))

    assert kept[:4] == [b"1", b"60", b"7", b"3"]
    assert exchange(place).split()[0] == b"0"


def test_abstract_name_survives_a_reload_and_a_reexec(supervise: Supervise) -> None:
    """The socket stays."""
    name = abstract_name()
    supervisor = supervise(f'[service.x]\nlisten = ["unix:{name}"]\nprogram = "cat"\n')
    assert supervisor.place("x") == name
    supervisor.reload()
    supervisor.replace()

    assert exchange(name, b"x") == b"x"


def test_mistakes_about_listeners_are_all_told(tmp_path: Path) -> None:
    """Each under the key that it is about."""
    file = tmp_path / "x.toml"
    file.write_text(
        '[service.x]\nprogram = "cat"\nlisten = [{ address = "unix:@a", mode = "0600" }, '
        '{ address = "unix:/x", nodelay = true }, { address = "fd:web", freebind = true }, '
        '{ address = "tcp:1", keepalive = "1s,0s", interface = "a/b" }]\n'
    )
    done = run_socketd("check", str(file))

    for line in (
        "listen[0].mode: is for the path of a UNIX socket; the abstract name @a has no owner",
        "listen[1].nodelay: is for TCP, and /x is a UNIX socket",
        "listen[2].freebind: is decided when a socket is bound: set it where passed socket 'web",
        "listen[3].keepalive: found '1s,0s'; allowed: up to three values, as in '60s,10s,6'",
        "listen[3].interface: found 'a/b'; allowed: the name of a network interface",
    ):
        assert line in done.stderr


def test_show_prints_what_is_set_of_a_listener(tmp_path: Path) -> None:
    """And what it prints is understood."""
    file = tmp_path / "x.toml"
    listen = '{ address = "tcp:127.0.0.1:1", interface = "lo", keepalive = "1m,10s,6" }'
    file.write_text(f'[service.x]\nprogram = "cat"\nlisten = [{listen}, "unix:@a"]\n')
    shown = run_socketd("show", str(file)).stdout

    assert f'listen = [{listen}, "unix:@a"]\n' in shown
