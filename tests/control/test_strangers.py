"""Whoever comes to the control socket, and whatever he does: the server goes on."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control.asking import connected, listening, path_of, say, state
from harness.clients import connect, exchange
from harness.supervisors import Supervisor, run_socketd
from harness.waiting import wait_for
from socketd.control.client import ControlError, state_of
from socketd.system.products import is_built

CAT = '[service.s]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\n'
NOBODY = 65534
MOST_CLIENTS = 16
# Connects as another user and says what comes of it: the error, or how many bytes it was told.
STRANGER = """
import os, socket, sys
folder, name = os.path.split(sys.argv[1])
os.chdir(folder)
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(name)
    s.shutdown(socket.SHUT_WR)
    print(len(s.recv(1 << 16)))
except OSError as error:
    print(error.strerror)
"""

Serve = Callable[..., Supervisor]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """Return one server for all that strangers do to it; it has survived it all at the end."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    folder = tmp_path_factory.mktemp("c")
    file = folder / "0.toml"
    file.write_text(f'control = "{folder / "0.control"}"\n{CAT}')
    found = Supervisor(file)
    found.wait_ready()
    yield found
    assert state(found).server.faults == 0
    found.server.close()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=9000),
        st.lists(
            st.one_of(
                st.just(b'{"get":"state"}'),
                st.dictionaries(
                    st.sampled_from(["get", "do", "service", "from", "pid", "min", "max", "x"]),
                    st.one_of(st.integers(), st.text(max_size=9), st.none(), st.booleans()),
                ).map(lambda one: repr(one).replace("'", '"').encode()),
                st.just(b"[" * 4000),
            ),
            max_size=6,
        ).map(b"\n".join),
    )
)
def test_any_bytes_are_answered_or_refused(server: Supervisor, words: bytes) -> None:
    """Whatever is said, the connection ends with whole lines, and the next client is answered."""
    with contextlib.suppress(ConnectionError):
        answer = say(path_of(server), words)
        assert answer == b"" or answer.endswith(b"\n")
    assert state(server).server.pid == server.pid


def test_line_without_end_is_refused(server: Supervisor) -> None:
    """What has no end within 4096 bytes is refused in one line, and not read further."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        answer = say(path_of(server), b"x" * 100_000)
        assert b'"error"' in answer


def test_who_does_not_read_keeps_nobody_waiting(server: Supervisor) -> None:
    """Clients that ask for ever and read nothing: others are answered, and connections served."""
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_CLIENTS - 1):
            client = stack.enter_context(connected(path_of(server)))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while client.send(b'{"get":"state"}\n' * 100):
                    pass
        assert state(server).server.pid == server.pid
        assert exchange(server.place("s"), b"hello") == b"hello"


def test_flood_of_clients_locks_nobody_out(server: Supervisor) -> None:
    """With more clients than there may be, the longest silent is the one that has to go."""
    with contextlib.ExitStack() as stack:
        flood = []
        for _ in range(3 * MOST_CLIENTS):
            flood.append(stack.enter_context(connected(path_of(server))))
            flood[-1].sendall(b"{")  # not silent, and no request
        assert state(server).server.pid == server.pid
        assert flood[0].recv(1) == b""


def test_server_is_asleep_when_nobody_asks(serve: Serve) -> None:
    """A client that was told everything leaves no timer behind that would wake the server."""
    server = serve(CAT)
    say(path_of(server), b"")

    def status() -> dict[str, str]:
        lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines)

    wait_for(lambda: status()["State"].startswith("S"), "it sleeps")
    before = status()["voluntary_ctxt_switches"]
    with pytest.raises(AssertionError):
        wait_for(lambda: status()["voluntary_ctxt_switches"] != before, "it wakes up", 0.5)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_is_refused(server: Supervisor) -> None:
    """Nobody else may connect; if the mode of the file is changed, nobody else is told a thing."""
    path = path_of(server)

    def come() -> str:
        return subprocess.run(
            [sys.executable, "-c", STRANGER, path, str(NOBODY)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert os.stat(path).st_mode & 0o777 == 0o600
    assert come() == "Permission denied"
    Path(path).parent.chmod(0o711)
    os.chmod(path, 0o666)
    assert come() in ("0", "Connection reset by peer")
    os.chmod(path, 0o600)


def test_socket_moves_with_the_file(serve: Serve, tmp_path: Path) -> None:
    """A reload that names another path has the socket there, "off" nowhere, and back again."""
    first = serve(CAT)
    text = first.file.read_text()
    second = tmp_path / "second"
    first.reload(text.replace(path_of(first), str(second)))
    wait_for(lambda: not os.path.exists(path_of(first)), "it has moved")
    assert say(second, b"")

    first.reload(text.replace(f'"{path_of(first)}"', '"off"'))
    wait_for(lambda: not second.exists(), "it is gone")
    first.reload(text)
    wait_for(lambda: os.path.exists(path_of(first)), "it is back")
    assert state(first).server.control == path_of(first)
    first.replace()
    assert state(first).server.control == path_of(first)


def test_path_that_cannot_be_had_leaves_the_socket_where_it_is(serve: Serve) -> None:
    """A reload with a path that is in use says so; it is there when its owner has gone."""
    first, second = serve(CAT, is_quiet=False), serve(CAT, is_quiet=False)
    text = second.file.read_text()
    assert second.reload(text.replace(path_of(second), path_of(first)))["event"] == "reloaded"
    (line,) = second.wait_events("control_unavailable", 1)
    assert "live server" in line["reason"]
    assert state(first).server.pid == first.pid
    assert state(second).server.pid == second.pid

    def answering() -> int:
        with contextlib.suppress(ControlError):  # a file is there before somebody listens
            return state(first).server.pid
        return 0

    first.server.stop()
    assert wait_for(answering, "it is there") == second.pid
    assert len(second.server.events("control_unavailable")) == 1


def test_stale_socket_is_replaced(serve: Serve, tmp_path: Path) -> None:
    """What a killed server has left behind is no obstacle."""
    path = tmp_path / "0.control"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    server = serve(CAT)

    assert state(server).server.control == str(path)


def test_lost_socket_comes_back_with_a_reload(serve: Serve) -> None:
    """If somebody removes the file, a reload makes it again."""
    server = serve(CAT)
    os.unlink(path_of(server))
    server.reload()
    wait_for(lambda: os.path.exists(path_of(server)), "it is there again")
    assert state(server).server.pid == server.pid


def test_control_socket_is_nobody_elses(serve: Serve) -> None:
    """No worker and no program has the socket or a client of it."""
    server = serve(CAT)
    with connected(path_of(server)) as asking, connect(server.place("s")):
        asking.sendall(b"{")
        one = wait_for(lambda: listening(server), "it is told")
        assert one.template.pid is not None
        wait_for(lambda: listening(server).workers.busy == 1, "it is served")
        ours = {
            os.readlink(f"/proc/{server.pid}/fd/{fd}")
            for fd in os.listdir(f"/proc/{server.pid}/fd")
        }
        inodes = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
        here = {f"socket:[{f[6]}]" for f in inodes if f[-1] == path_of(server)}
        assert here & ours
        for pid in server.server.workers():
            theirs = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            assert not theirs & here


def test_path_that_is_no_text_can_be_told(tmp_path: Path) -> None:
    """A file whose name holds any bytes, and what is wrong in it, are told as text."""
    folder = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.mkdir(folder)
    file = Path(os.fsdecode(folder)) / "0.toml"
    file.write_text(f'control = "{tmp_path / "0.control"}"\n{CAT}')
    server = Supervisor(file, is_quiet=False)
    try:
        server.wait_ready()
        server.reload(file.read_text() + "nothing = 1\n")
        found = state_of(str(tmp_path / "0.control")).server
        assert "\\udcff\\udcfe/0.toml" in (found.file or "")
        assert found.reloads.last is not None
        assert "\\udcff" in found.reloads.last.errors[0]
        assert run_socketd("reload", "--control", str(tmp_path / "0.control")).status == 78
    finally:
        server.server.close()
