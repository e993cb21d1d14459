"""Addresses, numbers and variables as scripts hand them over: what is none is one line."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.servers import Server
from harness.supervisors import SOCKETD
from harness.waiting import CAP_SECONDS
from surroundings.conftest import attempt, is_one_line

Serve = Callable[..., Server]
RUN = (SOCKETD, "run", "--log-format", "json")
# Arabic-Indic, superscript, full-width and Bengali digits: decimal for a person, and for int().
DIGITS = ("\u0663", "\u00b2", "\uff17\uff10\uff10\uff10", "\u09e7\u09e8")
LINK_LOCAL = "fe80::1"
LONG_PATH = "/tmp/" + "x" * 103


def file_with(folder: Path, listen: str) -> Path:
    """Return a file with a service at an address."""
    file = folder / "services.toml"
    file.write_text(f'[service.a]\nlisten = ["{listen}"]\nprogram = "cat"\n', "utf-8")
    return file


@pytest.mark.parametrize("port", DIGITS)
@pytest.mark.parametrize("options", [("-p", "cat", "-s"), ("-s",), ("localhost",)], ids=str)
def test_port_in_other_digits_is_unknown(options: tuple[str, ...], port: str) -> None:
    """No service has such a name, and no other port is taken for it."""
    outcome = attempt("socket", *options, port)

    assert outcome.status == 5
    assert is_one_line(outcome.stderr, "socket")


@pytest.mark.parametrize("port", DIGITS)
@pytest.mark.parametrize("command", ["check", "show", "run"])
def test_port_in_other_digits_is_a_mistake_of_a_file(
    tmp_path: Path, command: str, port: str
) -> None:
    """Each command says where it stands and what may stand there."""
    file = file_with(tmp_path, f"tcp:localhost:{port}")
    outcome = attempt("socketd", command, str(file))

    assert outcome.status == (78 if command == "run" else 1)
    assert is_one_line(outcome.stderr, "socketd")
    assert f"service.a.listen[0]: found 'tcp:localhost:{port}'" in outcome.stderr


@pytest.mark.parametrize(
    "arguments",
    [("-W", "\u0663"), ("--max-workers", "1_0"), ("--ready-fd", "\u0663"), ("--ready-fd", "+1")],
    ids=ascii,
)
def test_count_in_other_digits_is_refused(arguments: tuple[str, ...]) -> None:
    """A count of `socketd` is written in the digits of ASCII, as everywhere else."""
    outcome = attempt("socketd", "cgi", "--scgi", "4000", *arguments, "cat")

    assert outcome.status == 15
    assert "is not a whole number" in outcome.stderr


@pytest.mark.parametrize("options", [("-p", "cat"), ()], ids=str)
def test_link_local_address_of_a_server_needs_its_interface(options: tuple[str, ...]) -> None:
    """The system would only say that an argument is invalid."""
    outcome = attempt("socket", *options, "-B", LINK_LOCAL, "-s", "0")

    assert outcome.status == 1
    assert is_one_line(outcome.stderr, "socket")
    assert "needs its interface, as in fe80::1%eth0" in outcome.stderr


@pytest.mark.parametrize("command", ["check", "run"])
def test_link_local_address_in_a_file_needs_its_interface(tmp_path: Path, command: str) -> None:
    """A check finds it without binding anything."""
    outcome = attempt("socketd", command, str(file_with(tmp_path, f"tcp:[{LINK_LOCAL}]:7000")))

    assert outcome.status == 1
    assert is_one_line(outcome.stderr, "socketd")
    assert "needs its interface" in outcome.stderr


@pytest.mark.parametrize(
    "arguments", [(LINK_LOCAL, "7"), ("-B", LINK_LOCAL, "::1", "7"), ("-p", "cat", LINK_LOCAL, "7")]
)
def test_link_local_address_of_a_client_needs_its_interface(arguments: tuple[str, ...]) -> None:
    """The exit code is the system's error number, the line says what is missing."""
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 on this machine")
    outcome = attempt("socket", *arguments)

    assert outcome.status == 22
    assert is_one_line(outcome.stderr, "socket")
    assert "needs its interface" in outcome.stderr


def test_path_that_is_too_long_is_found_by_a_check(tmp_path: Path) -> None:
    """A check says what a start would, with the length that there may be."""
    file = file_with(tmp_path, f"unix:{LONG_PATH}")
    checked = attempt("socketd", "check", str(file))
    started = attempt("socketd", "run", str(file))

    assert (checked.status, started.status) == (1, 1)
    assert is_one_line(checked.stderr, "socketd")
    assert "has 108 bytes, a UNIX path at most 107" in checked.stderr
    assert "has 108 bytes, a UNIX path at most 107" in started.stderr


@pytest.mark.parametrize(
    "name",
    ["NOTIFY_SOCKET", "LISTEN_PID", "JOURNAL_STREAM", "SOCKETD_SNAPSHOT_FD", "WATCHDOG_USEC"],
)
@pytest.mark.parametrize("command", ["socket", "socketd"])
def test_empty_variable_counts_as_unset(
    serve: Serve, services: Path, tmp_path: Path, command: str, name: str
) -> None:
    """A script that has nothing to hand over sets a variable to nothing."""
    path = str(tmp_path / "echo.sock")
    arguments = ("-p", "cat", "-W", "2", "-s", path) if command == "socket" else (str(services),)
    kind = {} if command == "socket" else {"command": RUN}
    manager = {"NOTIFY_SOCKET": f"@{tmp_path}"} if name == "WATCHDOG_USEC" else {}
    server = serve(*arguments, environment=manager | {name: ""}, is_quiet=not manager, **kind)

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_empty_pid_of_a_manager_leaves_the_port_missing() -> None:
    """Nothing was passed then, so a server without a port is called wrongly."""
    outcome = attempt("socket", "-p", "cat", "-W", "2", "-s", environment={"LISTEN_PID": ""})

    assert outcome.status == 15
    assert outcome.stderr.startswith("Usage: ")


@pytest.mark.parametrize("value", ["x", "-1", "99999999999999999999", "0", "77"])
def test_snapshot_of_nobody_is_one_line(services: Path, value: str) -> None:
    """The variable is for the next version of ourselves; nobody else has anything to leave."""
    outcome = attempt("socketd", "run", str(services), environment={"SOCKETD_SNAPSHOT_FD": value})

    assert outcome.status == 71
    assert is_one_line(outcome.stderr, "socketd")
    assert "SOCKETD_SNAPSHOT_FD" in outcome.stderr


@pytest.mark.parametrize("fd", [0, 1, 7])
def test_ready_descriptor_gets_one_newline(serve: Serve, services: Path, fd: int) -> None:
    """Stdout is the custom of other supervisors; stdin will do where it can be written to."""
    reading, writing = os.pipe()
    code = f"import os, sys; os.dup2({writing}, {fd}); os.close({writing}); "
    code += "os.execv(sys.argv[1], sys.argv[1:])"
    command = (sys.executable, "-c", code, *RUN)
    server = serve("--ready-fd", str(fd), str(services), command=command, pass_fds=(writing,))
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read(1) == b"\n"
        assert exchange(server.place, b"hello") == b"hello"
        if fd != 7:
            assert os.readlink(f"/proc/{server.pid}/fd/{fd}") == os.devnull
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("fd", "reason"),
    [
        ("2", "is for error messages"),
        ("0", "is not open for writing"),
        ("500", "is not open"),
        ("99999999999", "is not open"),
    ],
)
def test_ready_descriptor_that_will_not_do_is_refused(services: Path, fd: str, reason: str) -> None:
    """Before anything is opened: a number that is free must not become one of ours."""
    with open(os.devnull, "rb") as readable:
        outcome = attempt(
            "socketd", "run", str(services), "--ready-fd", fd, stdin=readable.fileno()
        )

    assert outcome.status == 15
    assert is_one_line(outcome.stderr, "socketd")
    assert reason in outcome.stderr


def test_ready_descriptor_is_no_passed_socket(tmp_path: Path) -> None:
    """The first socket of a manager and the usual descriptor have one number."""
    file = file_with(tmp_path, "fd:web")
    code = 'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec 3<&0; exec "$@"'
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(CAP_SECONDS)
        outcome = attempt(
            "socketd", "run", str(file), "--ready-fd", "3",
            prefix=("sh", "-c", code, "sh"), stdin=listening.fileno(),
        )  # fmt: skip

    assert outcome.status == 15
    assert is_one_line(outcome.stderr, "socketd")
    assert "is a socket that was passed" in outcome.stderr
