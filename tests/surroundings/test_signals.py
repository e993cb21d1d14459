"""Signals as whoever starts a command leaves them: ignored, blocked, meant for other servers."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.commands import StartCommand
from harness.servers import SOCKET, Server
from harness.supervisors import SOCKETD
from harness.terminals import BackgroundJob
from socketd.system.products import is_built
from surroundings.conftest import attempt, is_one_line

Serve = Callable[..., Server]
RUN = (SOCKETD, "run", "--log-format", "json")
CGI = (SOCKETD, "cgi", "--log-format", "json")
ECHO = ("-p", "cat", "-W", "2", "-s", "0")


def starting(change: str) -> tuple[str, ...]:
    """Return what runs a command after a change to its signals."""
    code = f"import os, signal, sys; {change}; os.execvp(sys.argv[1], sys.argv[1:])"
    return (sys.executable, "-c", code)


def ignoring(*numbers: signal.Signals) -> tuple[str, ...]:
    """Return what runs a command with signals ignored."""
    changes = [f"signal.signal({int(number)}, signal.SIG_IGN)" for number in numbers]
    return starting("; ".join(changes))


ALL_BLOCKED = starting("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())")


@pytest.fixture
def listener() -> socket.socket:
    """Return a listening socket for one connection of a client."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(15)
    return listening


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_server_survives_what_was_ignored(serve: Serve, number: signal.Signals) -> None:
    """Under nohup, or as a job of a script in the background, a server goes on and stops later."""
    server = serve(*ECHO, prefix=[*ignoring(number)])
    place = server.place
    server.signal(number)

    assert exchange(place, b"hello") == b"hello"
    assert server.stop() == 0
    assert [line["signal"] for line in server.events("stopping")] == ["SIGTERM"]


def test_server_stops_at_a_termination_that_was_ignored(serve: Serve) -> None:
    """No terminal sends SIGTERM: it is how a server is stopped, whoever has started it."""
    server = serve(*ECHO, prefix=[*ignoring(signal.SIGTERM)])
    assert exchange(server.place, b"hello") == b"hello"

    assert server.stop() == 0


def test_program_of_such_a_server_starts_with_defaults(serve: Serve) -> None:
    """A program that is to be ended by a hangup is, whatever the server was started with."""
    program = "grep SigIgn /proc/self/status"
    server = serve(
        "-p", program, "-W", "1", "-s", "0", prefix=[*ignoring(signal.SIGHUP, signal.SIGINT)]
    )
    ignored = int(exchange(server.place, b"").split()[1], 16)

    assert ignored & (1 << (signal.SIGHUP - 1) | 1 << (signal.SIGINT - 1)) == 0
    assert server.stop() == 0


@pytest.mark.parametrize("kind", ["run", "cgi"])
def test_supervisor_survives_what_was_ignored(
    serve: Serve, services: Path, tmp_path: Path, kind: str
) -> None:
    """SIGHUP is no order to reload then: the log says so, and SIGUSR2 still reads the file."""
    if kind == "cgi" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    arguments = [str(services)] if kind == "run" else ["--scgi", f"{tmp_path}/c", "/bin/true"]
    command = RUN if kind == "run" else CGI
    prefix = [*ignoring(signal.SIGHUP, signal.SIGINT)]
    server = serve(*arguments, command=command, prefix=prefix)
    server.wait_event("reload_unavailable")
    server.wait_event("service_ready")
    server.signal(signal.SIGHUP)
    server.signal(signal.SIGINT)
    server.signal(signal.SIGUSR2)
    server.wait_event("reexec_done")

    assert len(server.events("reloaded")) == 0
    assert server.stop() == 0


@pytest.mark.parametrize("options", [(), ("-l",), ("-l", "-f")], ids=str)
def test_server_without_a_program_survives_what_was_ignored(
    start: StartCommand, options: tuple[str, ...]
) -> None:
    """So does one that relays to its own streams, and each of its children."""
    server = start(
        *ignoring(signal.SIGHUP, signal.SIGINT)[1:], SOCKET, "-v", *options, "-s", "0",
        executable=sys.executable,
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(15)
        client.sendall(b"before\n")
        assert server.read(7) == b"before\n"
        os.killpg(server.pid, signal.SIGHUP)
        os.killpg(server.pid, signal.SIGINT)
        client.sendall(b"after\n")
        assert server.read(6) == b"after\n"
    server.signal(signal.SIGTERM)
    server.wait()


@pytest.mark.parametrize("options", [(), ("-p", "cat")], ids=str)
def test_client_survives_what_was_ignored(
    start: StartCommand, listener: socket.socket, options: tuple[str, ...]
) -> None:
    """A client, and the program that it runs in its own group, go on after a hangup."""
    port = str(listener.getsockname()[1])
    client = start(
        *ignoring(signal.SIGHUP, signal.SIGINT)[1:], SOCKET, *options, "127.0.0.1", port,
        executable=sys.executable,
    )  # fmt: skip
    with listener, listener.accept()[0] as connection:
        connection.settimeout(15)
        connection.sendall(b"before\n")
        if options:
            assert connection.recv(100) == b"before\n"
        else:
            assert client.read(7) == b"before\n"
        os.killpg(client.pid, signal.SIGHUP)
        os.killpg(client.pid, signal.SIGINT)
        connection.sendall(b"after\n")
        if options:
            assert connection.recv(100) == b"after\n"
        else:
            assert client.read(6) == b"after\n"
        connection.shutdown(socket.SHUT_WR)
        client.end_input()
        assert client.wait() == 0


@pytest.mark.parametrize("options", [("-p", "cat"), ()], ids=str)
def test_background_start_that_fails_where_children_are_ignored(options: tuple[str, ...]) -> None:
    """A parent that ignores SIGCHLD hides no exit code from us."""
    arguments = ("socket", "-b", *options, "-s", "/nonexistent/socket")
    outcome = attempt(*arguments, prefix=ignoring(signal.SIGCHLD))

    assert outcome.status == 1
    assert is_one_line(outcome.stderr, "socket")


@pytest.mark.parametrize(
    "prefix", [ignoring(signal.SIGCHLD), ALL_BLOCKED], ids=["ignored", "blocked"]
)
def test_client_tells_how_its_program_has_ended(
    listener: socket.socket, prefix: tuple[str, ...]
) -> None:
    """Its exit code is ours, whatever our parent does with SIGCHLD."""
    port = str(listener.getsockname()[1])
    with listener:
        outcome = attempt("socket", "-p", "exit 3", "127.0.0.1", port, prefix=prefix)

    assert (outcome.status, outcome.stderr) == (3, "")


def test_server_serves_where_children_are_ignored(serve: Serve) -> None:
    """The ends of workers are seen, and told with their status."""
    arguments = ("-p", "exit 3", "-W", "2", "-s", "0")
    server = serve(*arguments, prefix=[*ignoring(signal.SIGCHLD)])
    exchange(server.place, b"")

    assert server.wait_statuses(1) == [3]
    assert server.stop() == 0


def test_client_ends_at_a_signal_that_was_blocked(
    start: StartCommand, listener: socket.socket
) -> None:
    """A parent that starts us with signals blocked has not made us deaf."""
    port = str(listener.getsockname()[1])
    client = start(*ALL_BLOCKED[1:], SOCKET, "127.0.0.1", port, executable=ALL_BLOCKED[0])
    with listener, listener.accept()[0]:
        client.signal(signal.SIGTERM)

        assert client.wait() == 241


@pytest.mark.parametrize("command", ["socket", "socketd"])
def test_server_ends_at_a_signal_that_was_blocked(
    serve: Serve, services: Path, command: str
) -> None:
    """So do servers; and their programs have none blocked."""
    arguments = ECHO if command == "socket" else (str(services),)
    kind = {} if command == "socket" else {"command": RUN}
    server = serve(*arguments, prefix=[*ALL_BLOCKED], **kind)

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


@pytest.mark.parametrize("command", ["socket", "socketd"])
def test_no_terminal_stops_a_server(
    mark: str, services: Path, tmp_path: Path, command: str
) -> None:
    """`stty tostop` stops jobs that write to the terminal: a server would serve nobody then.

    Where other servers grow or shrink at SIGTTIN and SIGTTOU, ours goes on.
    """
    path = str(tmp_path / "echo.sock")
    words: tuple[str, ...] = (SOCKET, "-v", "-l", "-f", "-p", "cat", "-s", path)
    if command == "socketd":
        words = (SOCKETD, "run", str(services))
    with BackgroundJob(mark, *words) as job:
        job.wait_text(b"bound to")
        os.kill(job.pid, signal.SIGTTIN)
        os.kill(job.pid, signal.SIGTTOU)
        assert exchange(path, b"hello") == b"hello"
        job.wait_text(b"connection closed")
        assert not job.is_stopped
        os.kill(job.pid, signal.SIGTERM)
        job.wait_end()


@pytest.mark.parametrize("kind", ["native", "python", "held"])
def test_no_terminal_stops_a_program(mark: str, tmp_path: Path, kind: str) -> None:
    """A program has no terminal: it cannot ask for ours, and neither signal stops it."""
    if kind != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    path = str(tmp_path / "echo.sock")
    program = tmp_path / "asks"
    program.write_text(
        "#!/bin/sh\nread word\nkill -TTIN $$; kill -TTOU $$\n"
        "(read answer </dev/tty) 2>/dev/null || echo none\n",
        "utf-8",
    )
    program.chmod(0o755)
    options = ("--ready", "load!") if kind == "held" else ("--worker", kind)
    words = (SOCKET, "-v", "-l", "-f", *options, "-p", str(program), "-s", path)
    with BackgroundJob(mark, *words) as job:
        job.wait_text(b"bound to")

        assert exchange(path, b"hello\n") == b"none\n"
        os.kill(job.pid, signal.SIGTERM)
        job.wait_end()
