"""Standard streams that are full, closed or a folder, and a machine without /dev/null."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.servers import Server
from harness.supervisors import SOCKETD
from harness.waiting import wait_for
from socketd.system.products import is_built
from surroundings.conftest import attempt, is_one_line

Serve = Callable[..., Server]
FULL = "/dev/full"
CLOSED = ("<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-")


def redirecting(how: str) -> tuple[str, ...]:
    """Return what runs a command with streams that a shell redirects."""
    return ("sh", "-c", f'exec "$@" {how}', "sh")


@pytest.fixture
def no_null(no_proc: tuple[str, ...]) -> tuple[str, ...]:
    """Return what runs a command where /dev is empty."""
    assert no_proc  # it may make a mount namespace
    return ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev && exec "$@"', "sh")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("socket", "--help"), 71),
        (("socket", "--version"), 71),
        (("socket", "-version"), 71),
        (("socket", "--completion", "bash"), 71),
        (("socketd", "--help"), 71),
        (("socketd", "--version"), 71),
        (("socketd", "run", "--help"), 71),
        (("socketd", "cgi", "--help"), 71),
        (("socketd", "show", "{file}"), 1),
    ],
    ids=str,
)
def test_full_output_is_one_line(services: Path, command: tuple[str, ...], status: int) -> None:
    """What was asked for could not be shown: that is no success, and no bug."""
    if not os.path.exists(FULL):
        pytest.skip(f"{FULL} is missing")
    with open(FULL, "wb") as full:
        words = [word.format(file=services) for word in command]
        outcome = attempt(*words, stdout=full.fileno())

    assert outcome.status == status
    assert outcome.stderr == f"{command[0]}: cannot write to stdout: No space left on device\n"


def test_check_needs_no_output(services: Path) -> None:
    """It shows nothing where nothing is wrong."""
    with open(FULL, "wb") as full:
        outcome = attempt("socketd", "check", str(services), stdout=full.fileno())

    assert (outcome.status, outcome.stderr) == (0, "")


@pytest.mark.parametrize("stream", ["2>&-", f"2>{FULL}"])
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("socket", "--nope"), 15),
        (("socket", "-p", "cat", "-s", "no-such-service"), 5),
        (("socket", "/nonexistent/s"), 2),
        (("socketd", "nope"), 15),
        (("socketd", "run", "/nonexistent/file"), 78),
        (("socketd", "check", "/nonexistent/file"), 1),
    ],
    ids=str,
)
def test_code_is_told_where_a_complaint_cannot_be(
    command: tuple[str, ...], status: int, stream: str
) -> None:
    """A stderr that takes nothing changes no exit code, and nothing goes elsewhere."""
    outcome = attempt(*command, prefix=redirecting(stream))

    assert (outcome.status, outcome.stdout, outcome.stderr) == (status, "", "")


@pytest.mark.parametrize("how", CLOSED)
@pytest.mark.parametrize("command", ["pool", "python", "relay", "run"])
def test_server_serves_with_closed_streams(
    serve: Serve, services: Path, tmp_path: Path, command: str, how: str
) -> None:
    """No connection and no file of ours gets the number of a stream."""
    path = str(tmp_path / "echo.sock")
    arguments = {
        "pool": ("-p", "cat", "-W", "2", "-s", path),
        "python": ("--worker", "python", "-p", "cat", "-W", "2", "-s", path),
        "relay": ("-c", "-p", "cat", "-W", "2", "-s", path),
        "run": (str(services),),
    }[command]
    kind = {"command": (SOCKETD, "run", "--log-format", "json")} if command == "run" else {}
    log = tmp_path / "log"
    server = serve("--log-file", str(log), *arguments, prefix=[*redirecting(how)], **kind)
    wait_for(lambda: log.exists() and "service_ready" in log.read_text("utf-8"), "it is up")
    assert exchange(path, b"hello") == b"hello"
    assert server.stop() == 0


@pytest.mark.parametrize("how", CLOSED)
def test_client_works_with_closed_streams(how: str) -> None:
    """What it would write goes nowhere, what it would read has ended."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        outcome = attempt("socket", "-q", "127.0.0.1", port, prefix=redirecting(how))

    assert (outcome.status, outcome.stderr) == (0, "")


def test_server_needs_no_null_device(serve: Serve, no_null: tuple[str, ...]) -> None:
    """Where 0, 1 and 2 are open nobody asks for it."""
    server = serve("-p", "cat", "-W", "2", "-s", "0", prefix=[*no_null])

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("command", "how"),
    [
        (("socket", "-p", "cat", "-s", "0"), "<&-"),
        (("socket", "-b", "-p", "cat", "-s", "0"), ""),
        (("socketd", "run", "{file}"), ">&-"),
    ],
    ids=str,
)
def test_missing_null_device_is_named(
    no_null: tuple[str, ...], services: Path, command: tuple[str, ...], how: str
) -> None:
    """Where a stream is closed, or let go of, something has to take its place."""
    words = [word.format(file=services) for word in command]
    outcome = attempt(*words, prefix=(*no_null, *redirecting(how)))

    assert outcome.status == 71
    assert is_one_line(outcome.stderr, command[0])
    assert "'/dev/null': No such file or directory" in outcome.stderr


def test_folder_as_stdin_is_refused_by_python() -> None:
    """Python does not start then: it says so before any code of ours runs, and ends with 1."""
    fd = os.open("/", os.O_RDONLY)
    try:
        outcome = attempt("socket", "--version", stdin=fd)
    finally:
        os.close(fd)

    assert outcome.status == 1
    assert "<stdin> is a directory" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_folder_for_a_socket_of_our_own_is_missed_in_one_line(no_proc: tuple[str, ...]) -> None:
    """Where no temporary file can be made, TMPDIR says where one can."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    # What is in the folders stays to be seen: the project may lie in one of them.
    lock = "mount --bind $d $d && mount -o remount,bind,ro $d"
    steps = f"for d in /tmp /var/tmp /usr/tmp; do [ -d $d ] && {lock}; done; "
    prefix = ("unshare", "-m", "sh", "-c", f'{steps} cd /proc; exec "$@"', "sh")
    assert no_proc
    outcome = attempt("socketd", "explain", "--", "cat", prefix=prefix)

    assert outcome.status == 71
    assert is_one_line(outcome.stderr, "socketd")
    assert "set TMPDIR" in outcome.stderr
