"""The options of socket 1.1 with real processes: one test for each line of its manual."""

import os
import signal
import socket
from pathlib import Path

import pytest

from harness.clients import connect, exchange, read_all
from harness.commands import StartCommand
from harness.waiting import wait_for

pytestmark = pytest.mark.slow


def test_server_without_loop_ends_after_one_connection(start: StartCommand) -> None:
    """-s alone: one connection to our own streams, then the command is done."""
    server = start("-s", "-B", "localhost", "0")
    with connect(("127.0.0.1", server.port)) as connection:
        server.write(b"from stdin")
        assert connection.recv(100) == b"from stdin"
        connection.sendall(b"to stdout")

    assert server.drain() == (b"to stdout", 0)


def test_loop_serves_one_connection_after_another(start: StartCommand) -> None:
    """-l without -f: the second waits in the queue until the first has ended."""
    server = start("-slv", "-B", "localhost", "0")
    place = ("127.0.0.1", server.port)
    with connect(place) as first, connect(place) as second:
        first.sendall(b"1")
        assert server.read(1) == b"1"
        second.sendall(b"2")
        server.wait_stderr("connection from")
        assert server.stderr.count("connection from") == 1

        first.close()

        assert server.read(1) == b"2"


def test_loop_goes_on_after_a_connection_was_reset(start: StartCommand) -> None:
    """A reset is one clear line, and the next connection is served."""
    server = start("-slv", "-B", "localhost", "0")
    place = ("127.0.0.1", server.port)
    with connect(place) as connection:
        server.wait_stderr("connection from")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.wait_stderr("^socket: read from connection: Connection reset by peer$")

    with connect(place) as connection:
        connection.sendall(b"next")
        assert server.read(4) == b"next"


def test_fork_serves_connections_at_the_same_time(start: StartCommand) -> None:
    """-l -f without a program: every connection has a process, and they share our stdout."""
    server = start("-slfrv", "-B", "localhost", "0")
    place = ("127.0.0.1", server.port)
    with connect(place) as first, connect(place) as second:
        second.sendall(b"second")
        assert server.read(6) == b"second"
        first.sendall(b"first")
        assert server.read(5) == b"first"


def test_quit_closes_the_connection_at_the_end_of_input(start: StartCommand) -> None:
    """-q on the server: the peer sees the end when our stdin ends."""
    server = start("-sq", "-B", "localhost", "0")
    with connect(("127.0.0.1", server.port)) as connection:
        server.write(b"all")
        server.end_input()

        assert read_all(connection) == b"all"
    assert server.wait() == 0


def test_client_without_quit_reads_until_the_peer_closes(start: StartCommand) -> None:
    """Without -q the end of stdin is not told, and what comes later is still printed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("127.0.0.1", str(listener.getsockname()[1]))
        connection = listener.accept()[0]
        with connection:
            client.write(b"question")
            client.end_input()
            assert connection.recv(100) == b"question"
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
            connection.sendall(b"late answer")
        assert client.drain() == (b"late answer", 0)


def test_half_close_tells_the_end_and_reads_on(start: StartCommand) -> None:
    """-N shuts the sending side down, and the answer that only then begins is printed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("-N", "127.0.0.1", str(listener.getsockname()[1]))
        connection = listener.accept()[0]
        with connection:
            client.write(b"question")
            client.end_input()
            assert read_all(connection) == b"question"
            connection.sendall(b"answer")
        assert client.drain() == (b"answer", 0)


def test_read_only_sends_nothing(start: StartCommand) -> None:
    """-r: stdin is not read, the socket is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("-r", "127.0.0.1", str(listener.getsockname()[1]))
        connection = listener.accept()[0]
        with connection:
            client.write(b"never sent")
            connection.sendall(b"received")
            connection.shutdown(socket.SHUT_WR)
            assert client.drain() == (b"received", 0)
            assert read_all(connection) == b""


def test_write_only_prints_nothing(start: StartCommand) -> None:
    """-w: the socket is not read, stdin is sent whole."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("-w", "127.0.0.1", str(listener.getsockname()[1]))
        connection = listener.accept()[0]
        with connection:
            connection.sendall(b"unheard")
            assert client.finish(b"spoken") == (b"", 0)
            assert read_all(connection) == b"spoken"


def test_crlf_is_translated_both_ways(start: StartCommand) -> None:
    """-c: LF to CRLF towards the socket; CRLF to LF towards stdout, a lone CR stays."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("-cN", "127.0.0.1", str(listener.getsockname()[1]))
        connection = listener.accept()[0]
        with connection:
            client.write(b"one\ntwo\n")
            client.end_input()
            assert read_all(connection) == b"one\r\ntwo\r\n"
            connection.sendall(b"three\r")
            connection.sendall(b"\nfo\rur\r")
        assert client.drain() == (b"three\nfo\rur\r", 0)


def test_without_crlf_every_byte_is_kept(start: StartCommand) -> None:
    """Without -c all 256 bytes pass, in any order."""
    payload = bytes(range(256)) * 64 + b"\r\n\r\r\n\n"
    server = start("-s", "-B", "localhost", "0")
    client = start("-q", "127.0.0.1", str(server.port))

    assert client.finish(payload) == (b"", 0)

    assert server.drain() == (payload, 0)


def test_program_of_a_client_takes_the_place_of_our_streams(start: StartCommand) -> None:
    """-p on a client: the program reads the socket and writes it, and its status is ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        client = start("-p", "read line; echo got $line; echo error >&2; exit 3", "localhost", port)
        connection = listener.accept()[0]
        with connection:
            connection.sendall(b"this\n")
            assert read_all(connection) == b"got this\nerror\n"
        assert client.drain() == (b"", 3)


@pytest.mark.parametrize(
    ("where", "on_socket", "on_stderr"),
    [("socket", b"out\nerr\n", ""), ("inherit", b"out\n", "err\n"), ("null", b"out\n", "")],
)
def test_stderr_of_a_client_s_program_goes_where_it_was_told(
    start: StartCommand, where: str, on_socket: bytes, on_stderr: str
) -> None:
    """--stderr means the same for a client as for a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        client = start("-p", "echo out; echo err >&2", "--stderr", where, "localhost", port)
        connection = listener.accept()[0]
        with connection:
            assert read_all(connection) == on_socket
        assert client.wait() == 0
        assert client.stderr == on_stderr


def test_bind_gives_a_client_its_local_address(start: StartCommand) -> None:
    """-B on a client: the peer sees that address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("-q", "-B", "127.0.0.9", "127.0.0.1", str(listener.getsockname()[1]))
        connection, peer = listener.accept()
        connection.close()
        assert peer[0] == "127.0.0.9"
        client.end_input()
        assert client.wait() == 0


def test_bind_keeps_a_server_to_its_address(start: StartCommand) -> None:
    """-B on a server: it listens there and nowhere else."""
    server = start("-slv", "-B", "127.0.0.8", "0")

    connect(("127.0.0.8", server.port)).close()
    with pytest.raises(ConnectionRefusedError):
        connect(("127.0.0.1", server.port))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_server_without_bind_listens_on_both_families(start: StartCommand, host: str) -> None:
    """Without -B a server of our own streams answers over IPv4 and IPv6."""
    server = start("-srv", "0")

    with connect((host, server.port)) as connection:
        connection.sendall(b"dual")

    assert server.drain() == (b"dual", 0)
    assert f"connection from {host}\n" in server.stderr


def test_client_tries_all_addresses_of_a_name(start: StartCommand) -> None:
    """A name with IPv6 and IPv4 reaches a server that has only the one or only the other."""
    found = {entry[0] for entry in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)}
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        if family not in found:
            continue
        with socket.create_server((host, 0), family=family) as listener:
            client = start("-q", "localhost", str(listener.getsockname()[1]))
            listener.accept()[0].close()
            client.end_input()
            assert client.wait() == 0


def test_stale_unix_path_is_replaced_and_a_live_one_is_not(
    start: StartCommand, tmp_path: Path
) -> None:
    """A socket that nobody listens on gives way; one with a server, or a file, does not."""
    path = f"{tmp_path}/s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    server = start("-slv", path)
    server.wait_stderr("bound to")
    second = start("-s", path)

    assert second.wait() == 1
    assert second.stderr.startswith("socket: server socket: Address already in use")
    Path(f"{tmp_path}/file").write_text("kept")
    third = start("-s", f"{tmp_path}/file")
    assert third.wait() == 1
    assert Path(f"{tmp_path}/file").read_text() == "kept"


def test_port_can_be_used_again_at_once(start: StartCommand) -> None:
    """SO_REUSEADDR: a connection in TIME_WAIT does not keep a server from starting."""
    server = start("-sq", "-B", "localhost", "0")
    port = server.port
    with connect(("127.0.0.1", port)) as connection:
        server.end_input()
        assert read_all(connection) == b""
    assert server.wait() == 0

    again = start("-sv", "-B", "localhost", str(port))

    assert again.port == port


def test_reply_to_a_half_closed_client_is_delivered_whole(
    start: StartCommand, tmp_path: Path
) -> None:
    """A client that shuts its sending side down gets all of a file on our stdin."""
    payload = os.urandom(1 << 20)
    (tmp_path / "page").write_bytes(payload)
    with open(tmp_path / "page", "rb") as page:
        server = start("-sq", "-B", "localhost", "0", stdin=page)

    assert exchange(("127.0.0.1", server.port)) == payload


def test_background_returns_once_the_server_is_up(start: StartCommand, tmp_path: Path) -> None:
    """-b without a program: the command is back, the server answers, and SIGTERM ends it."""
    pid_file = tmp_path / "pid"
    with open(tmp_path / "out", "wb") as out:
        command = start("-bslr", "--pidfile", "pid", "./s", stdout=out, cwd=tmp_path)
    assert command.process.wait(15) == 0

    exchange(f"{tmp_path}/s", b"to a file")

    wait_for(lambda: (tmp_path / "out").read_bytes() == b"to a file", "the bytes in the file")
    os.kill(int(pid_file.read_text()), signal.SIGTERM)
    wait_for(lambda: not pid_file.exists() and not (tmp_path / "s").exists(), "all is undone")


def test_background_reports_a_failure_with_its_status(start: StartCommand) -> None:
    """-b ends with the error and the exit code of a server that could not start."""
    command = start("-bs", "/nonexistent/s")

    assert command.wait() == 1
    assert command.stderr.startswith("socket: server socket: No such file or directory")


def test_wait_connects_as_soon_as_the_server_is_there(start: StartCommand, tmp_path: Path) -> None:
    """--wait: a client that comes too early waits for its server."""
    client = start("-qv", "--wait", f"{tmp_path}/s")
    client.wait_stderr("^waiting for the server: client socket: No such file or directory: .*/s$")

    server = start("-sr", f"{tmp_path}/s")

    assert client.finish(b"at last") == (b"", 0)
    assert server.drain() == (b"at last", 0)


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_connect_timeout_gives_up(start: StartCommand, family: str, tmp_path: Path) -> None:
    """--connect-timeout: a server whose queue is full is given up in the system's words."""
    kind = socket.AF_INET if family == "tcp" else socket.AF_UNIX
    with socket.socket(kind) as listener:
        listener.bind(("127.0.0.1", 0) if family == "tcp" else f"{tmp_path}/s")
        listener.listen(0)
        name = listener.getsockname()
        fillers = [socket.socket(kind) for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(name)
        place = [name[0], str(name[1])] if family == "tcp" else [name]
        client = start("--connect-timeout", "200ms", *place)

        assert client.wait() == 110

        for filler in fillers:
            filler.close()
    assert client.stderr == f"socket: client socket: Connection timed out: {' port '.join(place)}\n"


def test_client_whose_output_is_gone_says_so(start: StartCommand) -> None:
    """EPIPE on stdout is one clear line and the errno, no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("127.0.0.1", str(listener.getsockname()[1]), stdout=writing)
        os.close(writing)
        with listener.accept()[0] as connection:
            connection.sendall(b"nobody listens")
            assert client.wait() == 32
    assert client.stderr == "socket: write to stdout: Broken pipe\n"


def test_client_whose_connection_is_reset_says_so(start: StartCommand) -> None:
    """A reset is one clear line and the errno; what came before it is printed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("127.0.0.1", str(listener.getsockname()[1]))
        with listener.accept()[0] as connection:
            connection.sendall(b"before")
            assert client.read(6) == b"before"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert client.wait() == 104
    assert client.stderr == "socket: read from connection: Connection reset by peer\n"


def test_closed_standard_descriptors_are_no_trap(start: StartCommand, tmp_path: Path) -> None:
    """Started with stdin and stdout closed, a client does not mistake its socket for them."""
    server = start("-srv", f"{tmp_path}/s")
    server.wait_stderr("bound to")
    script = f"exec {server.arguments[0]} -q {tmp_path}/s <&- >&-"
    client = start("-c", script, executable="/bin/sh")

    assert client.drain() == (b"", 0)
    assert server.drain() == (b"", 0)
