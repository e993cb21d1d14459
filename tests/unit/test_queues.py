"""The queue of a listening socket, as the kernel tells it."""

import socket
from pathlib import Path

from socketd.system.queues import Queues, inode_of


def test_queue_of_a_unix_socket_is_told(tmp_path: Path) -> None:
    """Three who wait at a UNIX socket are three, of as many as it was given."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        assert Queues().of_unix(inode_of(listening)) == (0, 64)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in waiting:
            client.connect(path)
        assert Queues().of_unix(inode_of(listening)) == (3, 64)
        for client in waiting:
            client.close()


def test_queue_of_a_tcp_socket_is_told() -> None:
    """The same of a TCP socket."""
    queues = Queues()
    with socket.create_server(("127.0.0.1", 0), backlog=32) as listening:
        assert queues.of_tcp(listening) == (0, 32)
        with socket.create_connection(listening.getsockname()):
            assert queues.of_tcp(listening) == (1, 32)


def test_a_closed_socket_has_no_queue() -> None:
    """What the kernel does not tell is None, and no error."""
    listening = socket.socket(socket.AF_UNIX)
    listening.close()
    assert Queues().of_unix(inode_of(listening)) is None


def test_each_of_many_unix_sockets_has_its_queue() -> None:
    """More sockets than the kernel tells of in one part of its answer are all told apart."""
    listening = [socket.socket(socket.AF_UNIX) for _ in range(900)]
    for count, one in enumerate(listening):
        one.bind("")  # the kernel chooses a name
        one.listen(1 + count)
    queues = Queues()
    assert [queues.of_unix(inode_of(one)) for one in listening] == [
        (0, 1 + count) for count in range(900)
    ]
    for one in listening:
        one.close()
