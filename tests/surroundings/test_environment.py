"""Variables of Python's or none at all, odd locales, bytes that are no text: no harm is done."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.servers import Server
from harness.supervisors import SOCKETD
from surroundings.conftest import attempt

Serve = Callable[..., Server]

ENVIRONMENTS = {
    "optimized": {"PYTHONOPTIMIZE": "2"},
    "warnings": {"PYTHONWARNINGS": "error"},
    "developer": {"PYTHONDEVMODE": "1"},
    "inspecting": {"PYTHONINSPECT": "1"},
    "path": {"PYTHONPATH": "/nonexistent", "PYTHONSTARTUP": "/nonexistent"},
    "no bytecode": {"PYTHONDONTWRITEBYTECODE": "1"},
    "no locale": {"LC_ALL": "xx_YY.none"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "zone": {"TZ": ":/nonexistent"},
    "no text": {"ODD": os.fsdecode(b"\xff\xfe")},
    "long": {f"LONG_{number}": "x" * 100_000 for number in range(8)},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("command", ["socket", "socketd"])
def test_server_serves_in_any_environment(
    serve: Serve, services: Path, command: str, name: str
) -> None:
    """Whatever the variables are for, they do no harm to us: start, service and stop are silent."""
    arguments = ("-p", "cat", "-W", "2", "-s", "0") if command == "socket" else (str(services),)
    kind = {} if command == "socket" else {"command": (SOCKETD, "run", "--log-format", "json")}
    server = serve(*arguments, environment=ENVIRONMENTS[name], is_measured=False, **kind)

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("socket", "--version"), 0),
        (("socket", "/nonexistent/s"), 2),
        (("socketd", "show", "{file}"), 0),
        (("socketd", "check", "/nonexistent/file"), 1),
    ],
    ids=str,
)
def test_command_ends_in_any_environment(
    services: Path, command: tuple[str, ...], status: int, name: str
) -> None:
    """With its own exit code and at most one line."""
    words = [word.format(file=services) for word in command]
    outcome = attempt(*words, environment=ENVIRONMENTS[name])

    assert outcome.status == status
    assert outcome.stderr.count("\n") == (1 if status else 0)


def test_signal_ends_an_inspected_server_without_a_prompt(serve: Serve) -> None:
    """PYTHONINSPECT has Python wait for a person at the end; a server has none."""
    server = serve("-p", "cat", "-s", "0", environment={"PYTHONINSPECT": "1"})
    server.wait_event("service_ready")

    assert server.stop() == 241


def test_server_needs_no_variable_at_all(serve: Serve, tmp_path: Path) -> None:
    """Neither HOME nor PATH: a program is found where the standard has it."""
    path = str(tmp_path / "s")
    kept = "{'SOCKETD_TEST_MARK': os.environ['SOCKETD_TEST_MARK']}"
    code = f"import os, sys; os.execve(sys.argv[1], sys.argv[1:], {kept})"
    prefix = [sys.executable, "-c", code]
    server = serve("-p", "printenv", "-W", "2", "-s", path, prefix=prefix)
    names = {line.partition(b"=")[0] for line in exchange(server.place, b"").splitlines()}

    assert b"PROTO" in names
    assert b"HOME" not in names
    assert server.stop() == 0


@pytest.mark.parametrize("path", ["", ":", "relative", "/nonexistent"])
def test_program_is_not_found_on_an_odd_path(path: str) -> None:
    """An empty PATH, or one that leads nowhere, is no reason to look elsewhere."""
    code = "import os, sys; os.environ['PATH'] = sys.argv[1]; os.execv(sys.argv[2], sys.argv[2:])"
    prefix = (sys.executable, "-c", code, path)
    outcome = attempt("socket", "-p", "cat", "-W", "2", "-s", "0", prefix=prefix)

    assert outcome.status == 127
    assert outcome.stderr == "socket: cannot run 'cat': it is not on PATH\n"


@pytest.mark.parametrize("umask", ["0777", "0"])
def test_server_serves_with_any_umask(serve: Serve, services: Path, umask: str) -> None:
    """What a file of ours may be used for is not left to it, where the file says so."""
    prefix = ["sh", "-c", f'umask {umask}; exec "$@"', "sh"]
    command = (SOCKETD, "run", "--log-format", "json")
    server = serve(str(services), prefix=prefix, command=command)

    assert exchange(server.place, b"hello") == b"hello"
    assert (services.parent / "echo.sock").stat().st_mode & 0o777 == 0o660
    assert server.stop() == 0


def test_name_that_we_are_called_by_does_not_matter(serve: Serve) -> None:
    """The kernel passes the path of a script; the first word of the caller is lost."""
    code = "import os, sys; os.execv(sys.argv[1], ['another', *sys.argv[2:]])"
    server = serve("-p", "cat", "-W", "2", "-s", "0", prefix=[sys.executable, "-c", code])

    assert exchange(server.place, b"hello") == b"hello"
    assert server.stop() == 0


def test_arguments_that_are_no_text_are_shown(serve: Serve, tmp_path: Path) -> None:
    """A path may hold any bytes, in any locale, and is escaped where it is shown."""
    path = str(tmp_path / os.fsdecode(b"\xff\xc3.sock"))
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    server = serve("-p", "cat", "-W", "2", "-s", path, environment=environment)
    server.wait_event("service_ready")

    assert exchange(path, b"hello") == b"hello"
    assert server.stop() == 0
    outcome = attempt("socket", path)
    assert outcome.status == 2
