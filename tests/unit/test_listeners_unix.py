"""Listening on a path: nobody else's file is touched, and ours is gone afterwards."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from socketd.errors import ExitCode, ListenError
from socketd.loop.listeners import listen
from socketd.settings.address import UnixAddress


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where to listen: short enough, whatever the directory's own length."""
    monkeypatch.chdir(tmp_path)
    return Path("s")


@pytest.fixture
def live(path: Path) -> Iterator[socket.socket]:
    """Lend a server that somebody else runs there."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(0)
        yield server


def make_stale(path: Path) -> None:
    """Leave a socket file without a server behind."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()


def is_reachable(path: Path) -> bool:
    """Tell whether somebody listens on a path."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_path_is_listened_on_and_removed(path: Path) -> None:
    """A path is served until the listener is closed; closing twice is harmless."""
    listener = listen(UnixAddress(str(path)), 4)

    assert (listener.host, listener.port, str(listener)) == ("s", None, "unix:s")
    assert is_reachable(path)

    listener.close()
    assert not path.exists()
    listener.close()


def test_stale_socket_is_replaced(path: Path) -> None:
    """What a killed server has left is no obstacle."""
    make_stale(path)

    listener = listen(UnixAddress(str(path)), 4)

    assert is_reachable(path)
    listener.close()
    assert not path.exists()


def test_live_socket_is_left_alone(path: Path, live: socket.socket) -> None:
    """A path with a server is in use: exit 1, and that server goes on."""
    with pytest.raises(ListenError) as caught:
        listen(UnixAddress(str(path)), 4)

    assert str(caught.value) == (
        "server socket: Address already in use: 's' has a live server; "
        "stop it or choose another path"
    )
    assert caught.value.exit_code == ExitCode.CANNOT_LISTEN
    live.accept()[0].close()  # the probe
    assert is_reachable(path)


def test_live_socket_with_a_full_queue_is_left_alone(path: Path, live: socket.socket) -> None:
    """A server too busy to accept is a server."""
    clients = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        clients.append(client)
        if client.connect_ex(str(path)):
            break

    with pytest.raises(ListenError, match="has a live server"):
        listen(UnixAddress(str(path)), 4)

    assert len(clients) > 1
    live.accept()[0].close()
    for client in clients:
        client.close()


def test_socket_of_another_type_is_left_alone(path: Path) -> None:
    """A datagram server is somebody too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))

        with pytest.raises(ListenError, match="has a live server"):
            listen(UnixAddress(str(path)), 4)

    assert path.is_socket()


@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "link", "dangling"])
def test_what_is_no_socket_is_left_alone(path: Path, kind: str) -> None:
    """Only sockets are ever removed; a symbolic link is none, whatever it points to."""
    other = path.with_name("other")
    match kind:
        case "file":
            path.write_text("precious")
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "link":
            make_stale(other)
            path.symlink_to(other)
        case _:
            path.symlink_to(other)
    before = path.lstat()

    with pytest.raises(ListenError, match="Address already in use: 's' is not a socket"):
        listen(UnixAddress(str(path)), 4)

    assert path.lstat() == before
    assert kind != "link" or other.exists()


def test_107_bytes_fit(path: Path) -> None:
    """The longest path that the kernel takes works."""
    longest = path.with_name("x" * 107)

    listener = listen(UnixAddress(str(longest)), 4)

    assert is_reachable(longest)
    listener.close()
    assert not longest.exists()


@pytest.mark.parametrize("name", ["x" * 108, "é" * 54, "x" * 5000])
def test_more_than_107_bytes_are_refused(path: Path, name: str) -> None:
    """The error says how long the path is and how long it may be, in bytes."""
    with pytest.raises(ListenError) as caught:
        listen(UnixAddress(name), 4)

    assert str(caught.value) == (
        f"server socket: File name too long: {name!r} has {len(name.encode())} bytes, "
        "a UNIX path at most 107"
    )
    assert list(path.parent.iterdir()) == []


def test_missing_directory_is_an_error(path: Path) -> None:
    """The system's words, the path, and why."""
    with pytest.raises(ListenError) as caught:
        listen(UnixAddress("missing/s"), 4)

    assert str(caught.value) == (
        "server socket: No such file or directory: missing/s; its directory does not exist"
    )
    assert not path.exists()


def test_refusing_unlinks_the_path_and_keeps_the_queue(path: Path) -> None:
    """New clients find nobody, those in the queue are still there to be served."""
    listener = listen(UnixAddress(str(path)), 4)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert not listener.is_queue_empty()

        listener.refuse_new()

        assert not path.exists()
        connection, _ = listener.socket.accept()
        with connection:
            client.sendall(b"still here")
            assert connection.recv(16) == b"still here"
        assert listener.is_queue_empty()
    listener.close()


@pytest.mark.parametrize("after", ["refuse_new", "nothing"])
def test_path_of_the_next_server_is_left_alone(path: Path, after: str) -> None:
    """Closing removes our own path only, not that of whoever has come since."""
    listener = listen(UnixAddress(str(path)), 4)
    if after == "refuse_new":
        listener.refuse_new()
    else:
        path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        successor.listen()

        listener.close()

        assert is_reachable(path)
    path.unlink()


@pytest.mark.parametrize("name", ["no-such-name", "", "a\0b", "4294967295"])
@pytest.mark.parametrize("key", ["owner", "group"])
def test_owner_that_there_is_not_is_named(path: Path, key: str, name: str) -> None:
    """Nothing is bound then."""
    with pytest.raises(ListenError, match=r"server socket 's': unknown (user|group) "):
        listen(UnixAddress(str(path), **{key: name}), 4)  # type: ignore[arg-type]  # one of two texts

    assert not path.exists()


def test_path_that_is_gone_already_is_no_error(path: Path) -> None:
    """Somebody has cleaned up before us."""
    listener = listen(UnixAddress(str(path)), 4)
    path.unlink()

    listener.close()

    assert not path.exists()
