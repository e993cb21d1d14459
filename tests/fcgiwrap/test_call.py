"""The call of fcgiwrap: its options, and the ways by which it gets its socket."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import Command
from harness.waiting import wait_for
from socketd.system.products import is_built

from .conftest import OURS, ROOT, Wrap, running

pytestmark = pytest.mark.slow

ANALYZE = shutil.which("systemd-analyze")
UNITS = ROOT / "contrib" / "fcgiwrap"
PROGRAM = "#!/bin/sh\nprintf '\\r\\n'; echo said; echo complaint >&2\n"


@pytest.fixture(autouse=True)
def built() -> None:
    """Skip where nothing native was built."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Return a program."""
    path = tmp_path / "cgi" / "a.cgi"
    path.parent.mkdir()
    path.write_text(PROGRAM)
    path.chmod(0o755)
    return str(path)


def test_stderr_is_ours_without_f(tmp_path: Path, program: str) -> None:
    """And the web server's with it."""
    with running(OURS, tmp_path / "a.sock") as one:
        answer = one.ask(SCRIPT_FILENAME=program)
        one.command.wait_stderr("^complaint$")
    assert (answer.stdout, answer.stderr) == (b"\r\nsaid\n", b"")


def test_only_what_p_says_is_run(tmp_path: Path, program: str) -> None:
    """A program, several, or a folder."""
    with running(OURS, tmp_path / "a.sock", "-p", "/bin/sh", "-p", "/bin/true") as one:
        assert one.ask(SCRIPT_FILENAME=program).status == "403 Forbidden"
    for allowed in (program, os.path.dirname(program)):
        with running(OURS, tmp_path / "b.sock", "-p", "/bin/sh", "-p", allowed) as one:
            assert one.ask(SCRIPT_FILENAME=program).stdout == b"\r\nsaid\n"


def test_number_of_processes_is_that_of_c(tmp_path: Path) -> None:
    """So many connections are served at once, and no more, however many come."""
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(running(OURS, tmp_path / "a.sock", "-f -c 3"))
        one.ask()
        workers = f"/proc/{one.command.pid}/task/{one.command.pid}/children"
        for _ in range(5):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(one.place))

        def names() -> list[str]:
            pids = Path(workers).read_text().split()
            return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]

        wait_for(lambda: names().count("socketd-fastcgi") == 3, "three connections are served")
        assert names().count("socketd-worker") == 0


def test_mode_of_the_path_is_that_of_the_umask(tmp_path: Path) -> None:
    """As for the other."""
    with running(OURS, tmp_path / "a.sock") as one:
        one.ask()
        assert one.place.stat().st_mode & 0o777 == 0o755


@contextlib.contextmanager
def passed(path: Path, *command: str, fd: int) -> Iterator[Wrap]:
    """Run a command with a listening socket at a descriptor."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        os.set_inheritable(listener.fileno(), True)
        wrap = (
            f"import os; os.dup2({listener.fileno()}, {fd});"
            f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1') if {fd} else 0;"
            f"os.execv({command[0]!r}, {list(command)!r})"
        )
        one = subprocess.Popen(
            [sys.executable, "-c", wrap],
            pass_fds=(listener.fileno(),),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with one:
            try:
                yield Wrap(path, None)  # type: ignore[arg-type]  # it is not asked about
            finally:
                one.terminate()
                one.wait(30.0)


@pytest.mark.parametrize("fd", [0, 3])
def test_socket_may_be_passed(tmp_path: Path, program: str, fd: int) -> None:
    """As descriptor 0, by spawn-fcgi, and by systemd with the variables for that."""
    with passed(tmp_path / "a.sock", OURS, "-f", fd=fd) as one:
        answer = one.ask(SCRIPT_FILENAME=program)
    assert (answer.stdout, answer.stderr) == (b"\r\nsaid\n", b"complaint\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-x"], "option -x not recognized"),
        (["-c"], "option -c requires argument"),
        (["-s", "tcp:9000"], "is not unix:PATH"),
        (["-s", "http://localhost"], "is not unix:PATH"),
        (["-p", "a.cgi", "-s", "unix:/x"], "is not an absolute path"),
        ([], "there is no socket"),
    ],
)
def test_wrong_call_is_explained(words: list[str], said: str) -> None:
    """In one line."""
    command = Command(*words, executable=OURS)
    try:
        _, status = command.finish()
        assert status == 15
        assert re.fullmatch(rf"fcgiwrap: .*{said}.*\n", command.stderr)
    finally:
        command.close()


def test_help_has_all_options() -> None:
    """And ends well."""
    done = subprocess.run([OURS, "-h"], capture_output=True, text=True, check=True)
    assert re.findall(r"^  -(\w)", done.stdout, re.MULTILINE) == ["c", "f", "s", "p", "h"]


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_units_have_no_mistake(tmp_path: Path) -> None:
    """They take the names and the variable of Debian's units, and call the command."""
    for path in UNITS.iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace("/usr/local/bin/fcgiwrap", OURS))
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", "fcgiwrap.service", "fcgiwrap.socket"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    service = (UNITS / "fcgiwrap.service").read_text()

    assert (done.returncode, "fcgiwrap" in done.stderr) == (0, False), done.stderr
    assert "ExecStart=/usr/local/bin/fcgiwrap ${DAEMON_OPTS}\n" in service
    assert "EnvironmentFile=-/etc/default/fcgiwrap\n" in service
