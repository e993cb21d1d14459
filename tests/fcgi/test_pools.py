"""--to: requests that are passed on to a pool with an SCGI front."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clients import read_all
from harness.fastcgi import Record, Type, begin, encode_pairs, request, stream

from .conftest import Start

Serve = Callable[[Callable[[socket.socket], None]], str]


def _read_head(connection: socket.socket) -> list[tuple[str, str]]:
    length = b""
    while (digit := connection.recv(1)) != b":":
        assert digit.isdigit()
        length += digit
    head = connection.recv(int(length) + 1, socket.MSG_WAITALL)
    assert len(head) == int(length) + 1
    assert head[-2:] == b"\0,"
    words = head[:-2].decode().split("\0")
    return list(zip(words[::2], words[1::2], strict=True))


@pytest.fixture(params=["unix", "tcp", "tcp6"])
def serve(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serve]:
    """Serve connections one after another by a function; return the place as --to has it."""
    with contextlib.ExitStack() as stack:

        def begin_to_serve(answer: Callable[[socket.socket], None]) -> str:
            if request.param == "unix":
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(f"{tmp_path}/pool")
                listener.listen()
                place = f"unix:{tmp_path}/pool"
            elif request.param == "tcp":
                listener = socket.create_server(("127.0.0.1", 0))
                place = f"tcp:localhost:{listener.getsockname()[1]}"
            else:
                if not socket.has_ipv6:
                    pytest.skip("no IPv6 on this machine")
                try:
                    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
                except OSError:
                    pytest.skip("no IPv6 on this machine")
                place = f"tcp:[::1]:{listener.getsockname()[1]}"

            def run() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        with connection, contextlib.suppress(OSError):
                            answer(connection)

            server = threading.Thread(target=run)
            server.start()

            def stop() -> None:
                listener.shutdown(socket.SHUT_RDWR)
                server.join()
                listener.close()

            stack.callback(stop)
            return place

        yield begin_to_serve


def _mirror(connection: socket.socket) -> None:
    """Answer with the variables and the body."""
    head = _read_head(connection)
    body = read_all(connection)
    text = "".join(f"{name}={value}\n" for name, value in head)
    connection.sendall(b"Content-Type: text/plain\r\n\r\n" + text.encode() + body)


def test_a_request_is_passed_on(serve: Serve, start: Start) -> None:
    """CONTENT_LENGTH comes first, then SCGI, then the rest in order; then the body to its end."""
    wrapper = start("--env", "OWN=own", "--to", serve(_mirror))
    params = {"A": "b", "CONTENT_LENGTH": "4", "OWN": "x", "SCGI": "2", "PATH": "/evil", "C": ""}
    first = wrapper.ask(params, b"body")
    second = wrapper.ask({"A": "c"})

    assert first.body == b"CONTENT_LENGTH=4\nSCGI=1\nA=b\nC=\nbody"
    assert second.body == b"CONTENT_LENGTH=0\nSCGI=1\nA=c\n"
    assert (first.app_status, first.stderr) == (0, b"")


def test_a_large_request_is_passed_on(serve: Serve, start: Start) -> None:
    """The longest head, and a body and an answer that are larger than every buffer."""
    wrapper = start("--to", serve(_mirror))
    longest = "x" * (64 * 1024 - 4)
    body = bytes(range(256)) * 10_000
    wrapper.peer.send(request({"A": longest}, body))
    answer = wrapper.peer.read_answer()

    # A body without a length goes to the end of what is sent.
    assert answer.body == f"CONTENT_LENGTH={'9' * 18}\nSCGI=1\nA={longest}\n".encode() + body


def test_a_pool_may_answer_without_reading(serve: Serve, start: Start) -> None:
    """The rest of the body is dropped, and the next request is passed on."""

    def refuse(connection: socket.socket) -> None:
        _read_head(connection)
        connection.sendall(b"Status: 413 Too Large\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)

    wrapper = start("--to", serve(refuse))
    wrapper.peer.send(request(None, bytes(5_000_000), keep=True))

    assert wrapper.peer.read_answer().status == "413 Too Large"
    assert wrapper.ask().status == "413 Too Large"


def test_a_pool_that_says_nothing_is_a_bad_gateway(serve: Serve, start: Start) -> None:
    """One line in the log says so."""
    answer = start("--to", serve(socket.socket.close)).ask(None, b"body")

    assert answer.status == "502 Bad Gateway"
    assert answer.stderr == b"fcgi2cgi: the pool has closed without an answer\n"


@pytest.mark.parametrize("place", ["unix:/nowhere/pool", "tcp:127.0.0.1:1"])
def test_a_pool_that_is_not_there_is_a_bad_gateway(start: Start, place: str) -> None:
    """The answer is 502 with the system's reason in the log; the connection lives."""
    wrapper = start("--to", place)
    answers = [wrapper.ask(None, bytes(100_000)), wrapper.ask()]

    assert [answer.status for answer in answers] == ["502 Bad Gateway"] * 2
    assert b"the pool cannot be reached: " in answers[0].stderr


def test_an_abort_closes_the_pools_connection(serve: Serve, start: Start) -> None:
    """The pool sees the end, the request is over, the next one is passed on."""
    seen: list[bytes] = []

    def wait_for_end(connection: socket.socket) -> None:
        _read_head(connection)
        if not seen:
            seen.append(read_all(connection))
        connection.sendall(b"\r\nnext")

    wrapper = start("--to", serve(wait_for_end))
    wrapper.peer.send([*request(None, b"body", keep=True)[:-1], Record(Type.ABORT_REQUEST, 1)])

    assert wrapper.peer.read_answer().app_status == 0
    assert wrapper.ask().stdout == b"\r\nnext"
    assert seen == [b"body"]


def test_a_refused_request_reaches_no_pool(serve: Serve, start: Start) -> None:
    """A request whose variables are refused is not passed on."""
    calls: list[socket.socket] = []
    wrapper = start("--to", serve(calls.append))
    wrong = encode_pairs([(b"A", b"1\0")])
    wrapper.peer.send([begin(), *stream(Type.PARAMS, 1, wrong), Record(Type.STDIN, 1)])

    assert wrapper.peer.read_answer().status == "400 Bad Request"
    assert calls == []
