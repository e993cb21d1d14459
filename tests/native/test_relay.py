"""The bytes of a relay: all of them, both ways, and every way in which a direction ends."""

import contextlib
import os
import random
import select
import shutil
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .fake_master import FakeMaster, exchange, read_to_end, wait_until
from .relaying import instance_of, shell, start_relaying

pytestmark = pytest.mark.slow

MIB = 1 << 20
# What sockets and pipes may hold between the two ends, with room to spare.
_MOST_BUFFERED = 32 * MIB
_LINGER_ZERO = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def connected(listener: socket.socket) -> Iterator[socket.socket]:
    """Connect with buffers that stay small, so that little is under way."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        client.settimeout(20)
        client.connect(listener.getsockname())
        yield client


def send_all(client: socket.socket, request: bytes) -> None:
    """Send a request and shut the sending side down."""
    client.sendall(request)
    client.shutdown(socket.SHUT_WR)


def written(pid: int) -> int:
    """Return how many bytes a process has written."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("wchar: "):
            return int(line.split()[1])
    raise AssertionError("no wchar")


def resident_kib(pid: int) -> int:
    """Return how much memory of its own a process has."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if "Private_" in line)


@pytest.mark.parametrize("size", [0, 1, 4096, 65535, 65536, 65537, MIB, 3 * MIB + 1])
def test_every_size_comes_back_whole(
    master: FakeMaster, listener: socket.socket, size: int
) -> None:
    """A client that shuts its side down gets the whole answer, then the end."""
    request = random.Random(size).randbytes(size)
    start_relaying(master, listener)
    master.spawn(0)

    with socket.create_connection(listener.getsockname(), 20) as client:
        sender = threading.Thread(target=send_all, args=(client, request))
        sender.start()
        assert read_to_end(client) == request
        sender.join()
    assert master.wait_worker_exit(0) == 0


def test_single_bytes_come_back_one_by_one(master: FakeMaster, listener: socket.socket) -> None:
    """Nothing waits for more to come."""
    start_relaying(master, listener)
    master.spawn(0)
    with connected(listener) as client:
        for number in range(2000):
            client.sendall(bytes([number % 256]))
            assert client.recv(2) == bytes([number % 256])


def test_unix_socket_is_relayed_too(master: FakeMaster, tmp_path: Path) -> None:
    """Also where the client is gone before its bytes are read, which are read to the end."""
    request = random.Random(2).randbytes(2 * MIB)
    path, copy, done = str(tmp_path / "socket"), tmp_path / "copy", tmp_path / "done"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        start_relaying(master, listener, shell(f"cat > {copy}; : > {done}"))
        master.spawn(0)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(request)

        assert master.wait_worker_exit(0) == 0
    assert copy.read_bytes() == request


@pytest.mark.shipped
def test_output_for_a_client_that_does_not_read_waits_in_the_program(
    master: FakeMaster, listener: socket.socket
) -> None:
    """Of 100 MiB only what fits into buffers leaves the program; later all of them arrive."""
    size = 100 * MIB
    start_relaying(master, listener, shell(f"exec head -c {size} /dev/zero"))
    master.spawn(0)
    pid = master.board.pid(0)
    instance = instance_of(pid).pid
    with connected(listener) as client:
        wait_until(lambda: master.board.state(0) == 3, "accepted")
        memory = resident_kib(pid)
        seen = [-1]

        def is_stuck() -> bool:
            seen.append(written(instance))
            return seen[-1] == seen[-20:][0] and len(seen) > 20

        wait_until(is_stuck, "the program writes no more")
        assert MIB // 16 < seen[-1] < _MOST_BUFFERED
        assert resident_kib(pid) < memory + 256
        received = 0
        while piece := client.recv(MIB):
            assert not piece.strip(b"\0")
            received += len(piece)
    assert received == size
    assert master.wait_worker_exit(0) == 0


def test_input_of_a_program_that_does_not_read_waits_at_the_client(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """The client cannot send beyond the buffers; when the program reads, all of it arrives."""
    go = tmp_path / "go"
    start_relaying(master, listener, shell(f"while [ ! -e {go} ]; do sleep 0.01; done; exec wc -c"))
    master.spawn(0)
    with connected(listener) as client:
        client.setblocking(False)
        sent = 0
        while select.select([], [client], [], 0.5)[1]:
            sent += client.send(b"x" * 65536)
            assert sent < _MOST_BUFFERED
        go.touch()
        client.setblocking(True)
        client.sendall(b"y" * MIB)
        client.shutdown(socket.SHUT_WR)

        assert int(read_to_end(client)) == sent + MIB


def test_slow_reader_loses_nothing(master: FakeMaster, listener: socket.socket) -> None:
    """An answer that is taken in small pieces is the same in the end."""
    request = random.Random(3).randbytes(2 * MIB)
    start_relaying(master, listener)
    master.spawn(0)
    with connected(listener) as client:
        sender = threading.Thread(target=send_all, args=(client, request))
        sender.start()
        received = bytearray()
        while piece := client.recv(701):
            received += piece
        sender.join()
    assert received == request


def test_program_that_closes_its_output_reads_on(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """The client sees the end of the answer, and what it sends after that arrives all the same."""
    copy = tmp_path / "copy"
    script = f"echo answer; exec >&-; cat > {copy}"
    start_relaying(master, listener, shell(script), stderr="null")
    master.spawn(0)
    with connected(listener) as client:
        assert read_to_end(client) == b"answer\n"
        client.sendall(b"a" * MIB)
    assert master.wait_worker_exit(0) == 0
    assert copy.stat().st_size == MIB


def test_program_that_closes_its_input_writes_on(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """What the client sends then is nobody's, and its answer is complete."""
    go = tmp_path / "go"
    script = f"exec <&-; echo first; while [ ! -e {go} ]; do sleep 0.01; done; echo second"
    start_relaying(master, listener, shell(script))
    master.spawn(0)
    with connected(listener) as client:
        assert client.recv(6) == b"first\n"
        client.sendall(b"unwanted")
        go.touch()
        assert client.recv(7) == b"second\n"
    assert master.wait_worker_exit(0) == 0


def test_program_that_ends_ends_the_connection_of_a_client_that_still_sends(
    master: FakeMaster, listener: socket.socket
) -> None:
    """A connection ends with its program, whatever the client has in mind."""
    start_relaying(master, listener, shell("read line; echo bye; exit 7"))
    master.spawn(0)
    with connected(listener) as client:
        client.sendall(b"line\n")

        assert client.recv(4) == b"bye\n"
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
        assert master.wait_worker_exit(0) == 7


def test_child_of_the_program_may_print_later(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """The connection is open as long as anybody may write to it."""
    go = tmp_path / "go"
    script = (
        f"(while [ ! -e {go} ]; do sleep 0.01; done; echo late) & echo early; read line; exit 6"
    )
    start_relaying(master, listener, shell(script))
    master.spawn(0)
    instance = instance_of(master.board.pid(0)).pid
    with connected(listener) as client:
        client.sendall(b"\n")
        assert client.recv(6) == b"early\n"
        wait_until(lambda: not os.path.exists(f"/proc/{instance}"), "the program has ended")

        go.touch()

        assert read_to_end(client) == b"late\n"
    assert master.wait_worker_exit(0) == 6


@pytest.mark.parametrize(
    ("script", "status"), [("exec cat", 0), ("exec yes", -signal.SIGPIPE)], ids=["reads", "writes"]
)
def test_client_that_resets_ends_the_program(
    master: FakeMaster, listener: socket.socket, script: str, status: int
) -> None:
    """Who reads gets the end of the input, who writes gets SIGPIPE."""
    start_relaying(master, listener, shell(script))
    master.spawn(0)
    with connected(listener) as client:
        client.sendall(b"a")
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)

    assert master.wait_worker_exit(0) == status


def test_relay_that_waits_takes_no_processor_time(
    master: FakeMaster, listener: socket.socket
) -> None:
    """Whatever has ended already, nobody wakes up for it again and again."""
    script = "echo; exec <&- >&-; kill -STOP $$"
    start_relaying(master, listener, shell(script), stderr="null")
    master.spawn(0)
    pid = master.board.pid(0)
    instance = instance_of(pid).pid
    with connected(listener) as client:
        assert read_to_end(client) == b"\n"
        client.sendall(b"unread")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    wait_until(lambda: _field(instance, "State")[0] in "Tt", "the program has stopped")

    before = _switches(pid)
    select.select([], [], [], 0.3)  # the fact under test is what happens in this time: nothing

    assert _switches(pid) - before <= 2
    os.kill(instance, signal.SIGKILL)
    assert master.wait_worker_exit(0) == -signal.SIGKILL


def _field(pid: int, name: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    return text.partition(f"\n{name}:")[2].partition("\n")[0].strip()


def _switches(pid: int) -> int:
    return int(_field(pid, "voluntary_ctxt_switches"))


def test_node_has_its_streams(master: FakeMaster, listener: socket.socket) -> None:
    """What cannot be held, because it has threads, is started before all the same."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    code = "process.stdin.on('data', d => process.stdout.write(String(d).toUpperCase()))"
    start_relaying(master, listener, (node, "node", "-e", code))
    master.spawn(0)

    assert exchange(listener.getsockname(), b"abc" * 100_000) == b"ABC" * 100_000
