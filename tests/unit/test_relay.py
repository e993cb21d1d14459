"""The relay on real descriptors: ends, half-close, back-pressure and failures."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from harness.waiting import wait_for
from socketd.errors import RelayError
from socketd.relay.relay import Relay, RelaySettings, Sink, Source

LARGE = bytes(range(256)) * 8192  # 2 MiB: more than every buffer on the way


class Bench:
    """A relay in a thread, between a connection and two pipes whose other ends the test holds."""

    def __init__(self, *, program: bool = False, sink_fd: int | None = None, **flags: bool) -> None:
        self.settings = RelaySettings(**flags)
        self.peer, self._connection = socket.socketpair()
        self.peer.settimeout(10)
        self._source_fd, self.input_fd = os.pipe()
        self.output_fd, own_sink_fd = os.pipe()
        self._sink_fd = own_sink_fd if sink_fd is None else sink_fd
        self._open = {self._source_fd, self.input_fd, self.output_fd, own_sink_fd}
        self._is_program = program
        self.said: list[str] = []
        self.error: RelayError | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Let the relay run."""
        self._thread.start()

    def wait_end(self) -> list[str]:
        """Wait until the relay is over and return what it said."""
        self._thread.join(10)
        assert not self._thread.is_alive(), "the relay goes on"
        return self.said

    def send_input(self, payload: bytes) -> None:
        """Write to what the relay reads, and end it."""
        os.write(self.input_fd, payload)
        self.close(self.input_fd)

    def read_output(self) -> bytes:
        """Read what the relay writes, to its end."""
        parts = []
        while part := os.read(self.output_fd, 65536):
            parts.append(part)
        return b"".join(parts)

    def close(self, fd: int) -> None:
        """Close a descriptor once."""
        if fd in self._open:
            self._open.discard(fd)
            os.close(fd)

    def undo(self) -> None:
        """Close everything and end the thread."""
        self.peer.close()
        self.close(self.input_fd)
        self.close(self.output_fd)
        if self._thread.ident is not None:
            self.wait_end()
        self._connection.close()
        for fd in list(self._open):
            self.close(fd)

    def _run(self) -> None:
        if self._is_program:
            os.set_blocking(self._sink_fd, False)
        source = None if self.settings.read_only else Source(self._source_fd, "stdin")
        sink = None if self.settings.write_only else Sink(self._sink_fd, "stdout")
        close_stdin = (lambda: self.close(self._sink_fd)) if self._is_program else None
        try:
            Relay(
                self._connection, source, sink, self.settings, self.said.append, close_stdin
            ).run()
        except RelayError as error:
            self.error = error
        finally:
            if sink is not None:
                sink.close()
            self.close(self._sink_fd)


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    """Collect benches that are undone at the end."""
    collected: list[Bench] = []
    yield collected
    for bench in collected:
        bench.undo()


def make(benches: list[Bench], *, program: bool = False, **flags: bool) -> Bench:
    """Start a relay."""
    bench = Bench(program=program, **flags)
    benches.append(bench)
    bench.start()
    return bench


def test_end_of_input_is_not_told_to_the_peer(benches: list[Bench]) -> None:
    """By default the sending side stays open after the input's end, until the peer closes."""
    bench = make(benches)
    bench.send_input(b"question")
    assert bench.peer.recv(100) == b"question"
    wait_for(lambda: bench.said == ["end of input on stdin"], "the end of input")

    bench.peer.sendall(b"answer")
    bench.peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        bench.peer.recv(1)
    bench.peer.close()

    assert bench.wait_end() == ["end of input on stdin", "connection closed by peer"]
    assert bench.read_output() == b"answer"


def test_half_close_tells_the_end_and_reads_on(benches: list[Bench]) -> None:
    """With -N the peer sees the end of the input, and its answer is still read."""
    bench = make(benches, half_close=True)
    bench.send_input(b"question")

    assert bench.peer.makefile("rb").read() == b"question"
    bench.peer.sendall(b"answer")
    bench.peer.close()

    bench.wait_end()
    assert bench.read_output() == b"answer"


def test_quit_closes_at_the_end_of_input(benches: list[Bench]) -> None:
    """With -q the end of the input, once sent whole, is the end of the connection."""
    bench = make(benches, quits=True)
    bench.send_input(b"last words")

    assert bench.peer.makefile("rb").read() == b"last words"
    assert bench.wait_end() == ["connection closed"]


def test_read_only_sends_nothing(benches: list[Bench]) -> None:
    """With -r the input is not even read."""
    bench = make(benches, read_only=True)
    os.write(bench.input_fd, b"never sent")

    bench.peer.sendall(b"received")
    bench.peer.shutdown(socket.SHUT_WR)

    assert bench.wait_end() == ["connection closed by peer"]
    assert (bench.read_output(), bench.peer.recv(1)) == (b"received", b"")


def test_write_only_reads_nothing_and_ends_with_the_input(benches: list[Bench]) -> None:
    """With -w nothing of the peer's comes out, and the end of the input is the end."""
    bench = make(benches, write_only=True)
    bench.peer.sendall(b"unheard")
    bench.send_input(b"spoken")

    assert bench.peer.makefile("rb").read() == b"spoken"
    assert bench.wait_end() == ["end of input on stdin"]
    assert bench.read_output() == b""


def test_write_only_notices_that_the_peer_has_gone(benches: list[Bench]) -> None:
    """With -w and an input that says nothing, a peer that goes is the end too."""
    bench = make(benches, write_only=True)

    bench.peer.close()

    assert bench.wait_end() == ["connection closed by peer"]


def test_peer_that_ends_stops_the_reading_of_endless_input(benches: list[Bench]) -> None:
    """The end of the peer's stream is the end, though our own input is still open."""
    bench = make(benches)

    bench.peer.close()

    assert bench.wait_end() == ["connection closed by peer"]


def test_input_that_is_a_file_is_sent_whole_after_the_peer_has_ended(
    benches: list[Bench], tmp_path: object
) -> None:
    """A peer that has shut down its sending side still gets all of a file."""
    path = f"{tmp_path}/file"
    with open(path, "wb") as file:
        file.write(LARGE)
    bench = Bench()
    benches.append(bench)
    with open(path, "rb") as file:
        os.dup2(file.fileno(), bench._source_fd)  # noqa: SLF001  the bench is the test's own
    bench.peer.shutdown(socket.SHUT_WR)
    bench.start()

    assert bench.peer.makefile("rb").read() == LARGE
    bench.wait_end()
    assert bench.error is None


def test_sink_that_is_not_read_does_not_stop_the_sending(benches: list[Bench]) -> None:
    """While nobody reads our output, the input still goes out whole."""
    bench = make(benches, half_close=True)
    flooding = threading.Thread(target=bench.peer.sendall, args=(LARGE,))
    flooding.start()
    sending = threading.Thread(target=_write_all, args=(bench, LARGE))
    sending.start()

    received = bench.peer.makefile("rb").read(len(LARGE))

    assert received == LARGE
    sending.join()
    assert flooding.is_alive()  # its direction is full, and it alone waits
    output = os.read(bench.output_fd, 1)
    rest = threading.Thread(target=lambda: outputs.append(bench.read_output()))
    outputs: list[bytes] = []
    rest.start()
    flooding.join()
    bench.peer.close()
    rest.join()
    assert output + outputs[0] == LARGE


def test_peer_that_does_not_read_does_not_stop_the_receiving(benches: list[Bench]) -> None:
    """While the peer does not read, what it sends still comes out whole."""
    bench = make(benches)
    sending = threading.Thread(target=_write_all, args=(bench, LARGE))
    sending.start()
    flooding = threading.Thread(target=bench.peer.sendall, args=(LARGE,))
    flooding.start()
    parts, size = [], 0
    while size < len(LARGE):
        parts.append(os.read(bench.output_fd, 65536))
        size += len(parts[-1])

    assert b"".join(parts) == LARGE
    assert sending.is_alive()
    flooding.join()
    assert bench.peer.makefile("rb").read(len(LARGE)) == LARGE
    sending.join()


def _write_all(bench: Bench, payload: bytes) -> None:
    view = memoryview(payload)
    while view:
        view = view[os.write(bench.input_fd, view) :]
    bench.close(bench.input_fd)


def test_output_without_a_reader_is_an_error(benches: list[Bench]) -> None:
    """When our output is gone, the relay says so and closes the connection."""
    bench = make(benches)
    bench.close(bench.output_fd)

    bench.peer.sendall(b"nobody listens")

    bench.wait_end()
    assert str(bench.error) == "write to stdout: Broken pipe"
    assert bench.peer.recv(1) == b""


def test_peer_that_goes_while_we_send_is_an_error(benches: list[Bench]) -> None:
    """When the peer is gone with bytes of ours unread, the relay says so."""
    bench = make(benches, read_only=False)
    os.write(bench.input_fd, b"unread")
    bench.peer.recv(1)

    bench.peer.close()

    bench.wait_end()
    assert str(bench.error) == "read from connection: Connection reset by peer"


def test_program_gets_the_end_and_its_answer_is_delivered(benches: list[Bench]) -> None:
    """With a program the peer's half-close closes its stdin, and its output still goes out."""
    bench = make(benches, program=True)
    bench.peer.sendall(b"question")
    bench.peer.shutdown(socket.SHUT_WR)
    assert bench.read_output() == b"question"

    bench.send_input(b"answer")

    assert bench.peer.makefile("rb").read() == b"answer"
    assert bench.wait_end() == ["connection closed by peer", "end of input on stdin"]


def test_program_that_has_ended_ends_the_connection(benches: list[Bench]) -> None:
    """Output ended and stdin closed: the peer sees the end though it has not closed."""
    bench = make(benches, program=True)

    bench.close(bench.output_fd)
    bench.send_input(b"all there is")

    assert bench.peer.makefile("rb").read() == b"all there is"
    bench.wait_end()
    assert bench.error is None


def test_program_that_does_not_read_is_no_error(benches: list[Bench]) -> None:
    """What the peer sends to a program that has closed its stdin is dropped; its output goes on."""
    bench = make(benches, program=True)
    bench.close(bench.output_fd)

    bench.peer.sendall(b"unwanted")
    bench.send_input(b"wanted")

    assert bench.peer.makefile("rb").read() == b"wanted"
    bench.wait_end()
    assert bench.error is None


def test_crlf_is_translated_both_ways(benches: list[Bench]) -> None:
    """With -c lines end in CRLF on the wire and in LF here; a last CR is not lost."""
    bench = make(benches, crlf=True, half_close=True)
    bench.send_input(b"one\ntwo\n")
    bench.peer.sendall(b"three\r\nfour\r")
    assert bench.peer.makefile("rb").read() == b"one\r\ntwo\r\n"

    bench.peer.close()

    bench.wait_end()
    assert bench.read_output() == b"three\nfour\r"


def fill(sink: Sink) -> None:
    """Write until there is no room."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sink.write(memoryview(LARGE))


def test_sink_that_is_a_pipe_is_written_without_waiting() -> None:
    """A stdout that is a pipe takes what fits, and stays blocking for whoever shares it."""
    reading, writing = os.pipe()
    try:
        sink = Sink(writing, "stdout")
        fill(sink)
        sink.close()
        assert os.get_blocking(writing)
    finally:
        os.close(reading)
        os.close(writing)


def test_sink_that_is_a_socket_is_written_without_waiting() -> None:
    """A stdout that is a socket takes what fits, and keeps its own blocking mode."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Sink(ours.fileno(), "stdout")
        fill(sink)
        sink.close()
        assert ours.getblocking()
