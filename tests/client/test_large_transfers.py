"""Large transfers: memory stays bounded, and a slow side blocks only itself."""

import os
import socket
import threading
from pathlib import Path

import pytest

from harness.commands import StartCommand
from harness.extent import by_extent

pytestmark = pytest.mark.slow

# Enough to see a growth that goes with the length, by far.
LENGTH = by_extent(128 << 20, 1 << 30)
MOST_GROWTH_KIB = 4096


def test_large_streams_each_way_at_once_do_not_grow(start: StartCommand, tmp_path: Path) -> None:
    """A client sends and receives up to 1 GiB at the same time, whole, in bounded memory."""
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.truncate(LENGTH)
    received: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with open(tmp_path / "sparse", "rb") as sparse:
            port = str(listener.getsockname()[1])
            client = start("-N", "127.0.0.1", port, stdin=sparse)
        with listener.accept()[0] as connection:
            sender = threading.Thread(target=_send_zeros, args=(connection, LENGTH))
            counter = threading.Thread(target=_count, args=(connection, received))
            sender.start()
            assert client.process.stdout is not None
            size = _count_pipe(client.process.stdout.fileno(), 1 << 20)
            before = _peak_kib(client.pid)
            counter.start()
            size += _count_pipe(client.process.stdout.fileno(), LENGTH - size)
            sender.join()
            counter.join()
            after = _peak_kib(client.pid)
            connection.shutdown(socket.SHUT_WR)
            assert client.drain() == (b"", 0)

    assert (size, received) == (LENGTH, [LENGTH])
    assert after - before < MOST_GROWTH_KIB


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _send_zeros(connection: socket.socket, size: int) -> None:
    block = bytes(1 << 20)
    for _ in range(size // len(block)):
        connection.sendall(block)


def _count(connection: socket.socket, counts: list[int]) -> None:
    size, room = 0, bytearray(1 << 20)
    while step := connection.recv_into(room):
        size += step
    counts.append(size)


def _count_pipe(fd: int, least: int) -> int:
    size, room = 0, bytearray(1 << 16)
    while size < least and (step := os.readv(fd, [room])):
        size += step
    return size


def test_random_bytes_come_whole_both_ways_at_once(start: StartCommand, tmp_path: Path) -> None:
    """16 MiB of random bytes each way, at the same time, arrive as they were."""
    ours, theirs = os.urandom(16 << 20), os.urandom(16 << 20)
    (tmp_path / "theirs").write_bytes(theirs)
    with open(tmp_path / "theirs", "rb") as file:
        server = start("-sN", f"{tmp_path}/s", stdin=file)
    client = start("-N", "--wait", f"{tmp_path}/s")
    outputs: list[bytes] = []
    reader = threading.Thread(target=lambda: outputs.append(server.drain()[0]))
    reader.start()

    assert client.finish(ours) == (theirs, 0)

    reader.join()
    assert outputs == [ours]


def test_output_that_nobody_reads_does_not_stop_the_sending(start: StartCommand) -> None:
    """A client whose stdout is full still sends all of its stdin."""
    payload = os.urandom(4 << 20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("-N", "127.0.0.1", str(listener.getsockname()[1]))
        with listener.accept()[0] as connection:
            flood = threading.Thread(target=_send_zeros, args=(connection, 8 << 20))
            flood.start()
            sender = threading.Thread(target=client.write, args=(payload,))
            sender.start()
            parts = bytearray()
            while len(parts) < len(payload):
                parts += connection.recv(1 << 20)
            sender.join()
            assert parts == payload
            client.end_input()
            assert client.read(8 << 20) == bytes(8 << 20)
            flood.join()
            connection.shutdown(socket.SHUT_WR)
            assert client.drain() == (b"", 0)


def test_peer_that_does_not_read_does_not_stop_the_receiving(start: StartCommand) -> None:
    """A client whose peer does not read still prints all that the peer sends."""
    payload = os.urandom(16 << 20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("-N", "127.0.0.1", str(listener.getsockname()[1]))
        with listener.accept()[0] as connection:
            sender = threading.Thread(target=client.finish_input, args=(payload,))
            sender.start()
            flood = threading.Thread(target=_send_zeros, args=(connection, 8 << 20))
            flood.start()
            assert client.read(8 << 20) == bytes(8 << 20)
            flood.join()
            assert sender.is_alive()
            received: list[int] = []
            _count(connection, received)
            sender.join()
    assert received == [len(payload)]
    assert client.wait() == 0
