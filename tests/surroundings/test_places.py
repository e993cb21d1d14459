"""A machine without /proc, a working directory that was deleted: it works, or one line says why."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.servers import Server
from harness.supervisors import SOCKETD
from socketd.system.products import is_built
from surroundings.conftest import attempt, is_one_line

Serve = Callable[..., Server]
RUN = (SOCKETD, "run", "--log-format", "json")
CGI = (SOCKETD, "cgi", "--log-format", "json")


@pytest.mark.parametrize("kind", ["native", "python"])
def test_pool_serves_without_proc(serve: Serve, no_proc: tuple[str, ...], kind: str) -> None:
    """Nothing that a worker of either kind needs is in /proc."""
    if kind == "native" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    server = serve("--worker", kind, "-p", "cat", "-W", "2", "-s", "0", prefix=[*no_proc])

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_relaying_worker_serves_without_proc(serve: Serve, no_proc: tuple[str, ...]) -> None:
    """A worker that relays closes what it has no use for, whoever lists it."""
    server = serve("-c", "-p", "cat", "-W", "2", "-s", "0", prefix=[*no_proc])

    assert exchange(server.place, b"hello\r\n") == b"hello\r\n"
    assert server.stop() == 0


def test_supervisor_serves_without_proc(
    serve: Serve, no_proc: tuple[str, ...], services: Path
) -> None:
    """`socketd run` starts, reloads nothing it could not have before, and stops."""
    server = serve(str(services), command=RUN, prefix=[*no_proc])

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_program_is_not_held_without_proc(serve: Serve, no_proc: tuple[str, ...]) -> None:
    """Nobody can see whether a program reads: it is run as ever, at once, and the log says why."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    arguments = ("--ready", "read", "-p", "cat", "-W", "2", "-s", "0")
    server = serve(*arguments, prefix=[*no_proc], is_quiet=False)

    assert "/proc is not mounted" in server.wait_event("template_fell_back")["reason"]
    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


@pytest.mark.parametrize("command", [("check",), ("show",)])
def test_file_is_read_without_proc(
    no_proc: tuple[str, ...], services: Path, command: tuple[str, ...]
) -> None:
    """What a file says has nothing to do with /proc."""
    outcome = attempt("socketd", *command, str(services), prefix=no_proc)

    assert (outcome.status, outcome.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["native", "python"])
def test_pool_serves_in_a_deleted_directory(
    serve: Serve, no_directory: tuple[str, ...], kind: str
) -> None:
    """A program found on PATH, a port: neither begins at the working directory."""
    if kind == "native" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    arguments = ("--worker", kind, "-p", "cat", "-W", "2", "-s", "0")
    server = serve(*arguments, prefix=[*no_directory])

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_supervisor_serves_in_a_deleted_directory(
    serve: Serve, no_directory: tuple[str, ...], services: Path
) -> None:
    """So do a file and sockets of absolute paths."""
    server = serve(str(services), command=RUN, prefix=[*no_directory])

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_cgi_is_served_in_a_deleted_directory(
    serve: Serve, no_directory: tuple[str, ...], tmp_path: Path
) -> None:
    """The folder of a CGI program is its own."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    server = serve("--scgi", f"{tmp_path}/c", "/bin/true", command=CGI, prefix=[*no_directory])

    server.wait_event("service_ready")
    assert server.stop() == 0


@pytest.mark.parametrize(
    "command",
    [
        ("socket", "-b", "-p", "cat", "-s", "./a"),
        ("socket", "-b", "-s", "./a"),
        ("socket", "-p", "cat", "--directory", "a", "-s", "0"),
        ("socket", "-p", "cat", "--pidfile", "a", "-s", "0"),
        ("socket", "-p", "cat", "--log-file", "a", "-s", "0"),
        ("socket", "--pidfile", "a", "-s", "0"),
        ("socketd", "run", "a"),
        ("socketd", "run", "--log-file", "a", "/dev/null"),
        ("socketd", "cgi", "--scgi", "4000", "--root", "./a"),
    ],
    ids=" ".join,
)
def test_relative_path_in_a_deleted_directory_is_one_line(
    no_directory: tuple[str, ...], command: tuple[str, ...]
) -> None:
    """What cannot be found is named, with the reason, and nothing was begun."""
    outcome = attempt(*command, prefix=no_directory)

    assert outcome.status == 71
    assert is_one_line(outcome.stderr, command[0])
    assert "the working directory does not exist any more" in outcome.stderr


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("socket", "-p", "cat", "-s", "./a"), 1),
        (("socket", "-s", "./a"), 1),
        (("socket", "-p", "./a", "-s", "0"), 127),
        (("socket", "./a"), 2),
        (("socketd", "check", "a"), 1),
        (("socketd", "show", "a"), 1),
        (("socketd", "cgi", "--scgi", "4000", "./a"), 127),
    ],
    ids=str,
)
def test_what_is_not_there_is_said_in_a_deleted_directory(
    no_directory: tuple[str, ...], command: tuple[str, ...], status: int
) -> None:
    """A path that is only used as it is gets the system's word."""
    outcome = attempt(*command, prefix=no_directory)

    assert outcome.status == status
    assert is_one_line(outcome.stderr, command[0])


def test_program_gets_no_other_descriptor_without_proc(
    serve: Serve, no_proc: tuple[str, ...]
) -> None:
    """What the server was started with is closed for programs though nobody lists it."""
    with open("/dev/null", "rb") as given:
        fd = given.fileno()
        look = f"import os, sys; os.write(1, b'open' if os.path.sameopenfile({fd}, {fd}) else b'')"
        program = f'{sys.executable} -c "{look}"'
        arguments = ("--stderr", "null", "-p", program, "-W", "1", "-s", "0")
        server = serve(*arguments, prefix=[*no_proc], pass_fds=(fd,))

        assert exchange(server.place, b"") == b""
        assert server.stop() == 0
