"""Few descriptors, little memory, no processes: it works, or one line says what to raise."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import scgi
from harness.clients import connect, exchange, read_all
from harness.commands import StartCommand
from harness.fastcgi import Peer, request
from harness.servers import SOCKET, Server
from harness.supervisors import SOCKETD
from socketd.programs.privileges import LEAST_DESCRIPTORS
from socketd.system.products import is_built
from surroundings.conftest import attempt, is_one_line

Serve = Callable[..., Server]
RUN = (SOCKETD, "run", "--log-format", "json")


def limited(**limits: int) -> tuple[str, ...]:
    """Return what runs a command with limits, soft and hard."""
    code = "import os, resource, sys\n" + "".join(
        f"resource.setrlimit(resource.RLIMIT_{name.upper()}, ({limit}, {limit}))\n"
        for name, limit in limits.items()
    )
    return (sys.executable, "-c", f"{code}os.execv(sys.argv[1], sys.argv[1:])")


@pytest.mark.parametrize("count", [5, 8, 14])
@pytest.mark.parametrize(
    "command",
    [
        ("socket", "-p", "cat", "-W", "2", "-s", "0"),
        ("socket", "--worker", "python", "-p", "cat", "-W", "2", "-s", "0"),
        ("socket", "--ready", "read", "-p", "cat", "-W", "2", "-s", "0"),
        ("socketd", "run"),
        ("socketd", "cgi", "--scgi", "127.0.0.1:0", "/bin/true"),
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_too_few_descriptors_refuse_the_start(
    services: Path, command: tuple[str, ...], count: int
) -> None:
    """The reason is named, whichever step came to it, and nothing is left behind."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    more = (str(services),) if command[1] == "run" else ()
    outcome = attempt(*command, *more, prefix=limited(nofile=count))

    assert outcome.status == 71
    assert "Traceback" not in outcome.stderr
    last = outcome.stderr.splitlines()[-1]
    assert last.startswith(f"{command[0]}: ")
    assert "Too many open files" in last
    assert not (services.parent / "echo.sock").exists()


@pytest.mark.parametrize("worker", ["native", "python"])
def test_program_s_limit_that_a_worker_cannot_do_with_is_refused(worker: str) -> None:
    """Not a service that comes up and then fails each connection."""
    limit = f"nofile={LEAST_DESCRIPTORS - 1}"
    pool = ("--worker", worker, "-p", "cat", "-W", "2", "-s", "0")
    outcome = attempt("socket", *pool, "--limit", limit)

    assert outcome.status == 71
    assert is_one_line(outcome.stderr, "socket")
    assert f"{LEAST_DESCRIPTORS - 1} is too low" in outcome.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--ready", "fork"),
        ("--worker", "python"),
        ("--ready", "relay"),
        ("--front", "scgi", "--ready", "fork", "--client-gone", "finish"),
        ("--front", "scgi", "--ready", "load!", "--client-gone", "finish"),
        ("--front", "fcgi", "--ready", "fork"),
        ("--front", "fcgi", "--ready", "load!"),
    ],
    ids=" ".join,
)
def test_program_s_least_limit_is_enough_for_every_worker(
    serve: Serve, options: tuple[str, ...], tmp_path: Path
) -> None:
    """With a request whose body has to be carried, too."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho; echo $(wc -c)\n")
    program.chmod(0o755)
    limit = ("--limit", f"nofile={LEAST_DESCRIPTORS}")
    server = serve(*options, *limit, "-p", str(program), "-W", "2", "-s", "0")
    body = b"x" * 200_000
    with connect(server.place) as connection:
        if "fcgi" in options:
            peer = Peer(connection)
            peer.send(request({"CONTENT_LENGTH": str(len(body))}, body))
            answer = peer.read_answer().stdout
        else:
            asked = scgi.request(body, REQUEST_METHOD="POST") if "scgi" in options else body
            connection.sendall(asked)
            connection.shutdown(socket.SHUT_WR)
            answer = read_all(connection)

    assert answer == b"\n200000\n"


@pytest.mark.parametrize("count", [5, 8, 14, 1024])
@pytest.mark.parametrize("options", [(), ("-p", "exit 3")], ids=str)
def test_client_needs_few_descriptors(options: tuple[str, ...], count: int) -> None:
    """It works, but for a program's pipes where there is no room for them."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        arguments = ("socket", "-q", *options, "127.0.0.1", port)
        outcome = attempt(*arguments, prefix=limited(nofile=count))

    if options and count < 14:
        assert outcome.status == 71
        assert is_one_line(outcome.stderr, "socket")
        assert "Too many open files" in outcome.stderr
    else:
        assert (outcome.status, outcome.stderr) == (3 if options else 0, "")


@pytest.mark.parametrize(
    ("kind", "level"), [("native", "fork"), ("native", "read"), ("python", "fork")]
)
def test_1024_descriptors_are_plenty(serve: Serve, kind: str, level: str) -> None:
    """The usual limit, soft and hard, is none for a service."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    arguments = ("--worker", kind, "--ready", level, "-p", "cat", "-W", "8", "-s", "0")
    server = serve(*arguments, prefix=[*limited(nofile=1024)])

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_more_services_than_descriptors_are_one_line(tmp_path: Path) -> None:
    """Nothing that was bound until then is left."""
    file = tmp_path / "services.toml"
    file.write_text(
        "".join(
            f'[service.s{number}]\nlisten = ["unix:{tmp_path}/{number}"]\nprogram = "cat"\n'
            for number in range(60)
        ),
        "utf-8",
    )
    outcome = attempt("socketd", "run", str(file), prefix=limited(nofile=64))

    assert outcome.status == 71
    assert is_one_line(outcome.stderr, "socketd")
    assert "Too many open files; raise the limit of open files (ulimit -n)" in outcome.stderr
    assert sorted(one.name for one in tmp_path.iterdir()) == ["services.toml"]


@pytest.mark.parametrize("command", ["socket", "socketd"])
def test_limit_that_is_too_low_is_named(services: Path, command: str) -> None:
    """Files in memory count as files: without any there is no board."""
    pool = ("-p", "cat", "-W", "2", "-s", "0")
    arguments = pool if command == "socket" else ("run", str(services))
    outcome = attempt(command, *arguments, prefix=limited(fsize=0))

    assert outcome.status == 71
    assert is_one_line(outcome.stderr, command)
    assert "File too large; raise the limit of file sizes (ulimit -f)" in outcome.stderr


@pytest.mark.usefixtures("reachable")
def test_connection_that_nobody_can_be_forked_for_ends_alone(
    start: StartCommand,
) -> None:
    """A server without a program goes on for the others, and says what it lacks."""
    code = "\n".join(
        [
            "import os, resource, sys",
            "os.setresuid(12345, 12345, 12345)",
            "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))",
            "sys.argv[:] = sys.argv[1:]",
            "from socketd.cli.entry import main",
            "main()",
        ]
    )
    if os.getuid() != 0:
        pytest.skip("only root can change user")
    # What may be read is imported before the user changes: its folders may be root's alone.
    modules = "import encodings.idna, traceback, socketd.cli.socket, socketd.cli.relay_server\n"
    server = start(
        "-c", modules + code, SOCKET, "-v", "-l", "-f", "-B", "127.0.0.1", "-s", "0",
        executable=sys.executable,
    )  # fmt: skip
    for number in (1, 2):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.settimeout(15)
            assert client.recv(1) == b""
        server.wait_stderr(rf"(?s)(cannot fork for a connection.*){{{number}}}")
    assert "raise the limit of processes (ulimit -u)" in server.stderr
