"""Errors and exit codes: a line for every case that socket 1.1 has, to the letter."""

import os
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.commands import Command, StartCommand, run_command
from harness.servers import SOCKET
from socketd import __version__

pytestmark = pytest.mark.slow

USAGE = "Usage: socket [-cqrvwN] [-p command] [-B local-address] host port\n"


class Case(NamedTuple):
    """A command line, how stderr begins, whether that is all of it, and the exit code."""

    name: str
    line: str
    stderr: str
    status: int
    is_whole: bool = True


CASES = (
    Case("no arguments", "", USAGE, 15, is_whole=False),
    Case("too few arguments", "localhost", USAGE, 15, is_whole=False),
    Case("too many arguments", "localhost 1 2", USAGE, 15, is_whole=False),
    Case("too many for a server", "-s 1 2", USAGE, 15, is_whole=False),
    Case("none for a server", "-s", USAGE, 15, is_whole=False),
    Case("-r with -w", "-rw x 1", "It does not make sense to set -r and -w.\n", 15),
    Case("-l without -s", "-l x 1", "It does not make sense to set -l and not -s.\n", 15),
    Case("-b without -s", "-b x 1", "It does not make sense to set -b and not -s.\n", 15),
    Case("-W without -s", "-W 2 x 1", "It does not make sense to set -W and not -s.\n", 15),
    Case(
        "-f without -s goes on",
        "-f /nonexistent/s",
        "It does not make sense to set -f and not -s.\n"
        "socket: client socket: No such file or directory: /nonexistent/s\n",
        2,
    ),
    Case("unknown service", "localhost no-such", "socket: unknown service", 5, is_whole=False),
    Case("unknown service, server", "-s no-such", "socket: unknown service", 5, is_whole=False),
    Case("unknown host", "no.such.invalid 1", "socket: unknown host no.such.invalid\n", 13),
    Case(
        "unknown local address",
        "-B no.such.invalid localhost 1",
        "socket: unknown host no.such.invalid\n",
        13,
    ),
    Case(
        "unknown local address, server",
        "-B no.such.invalid -s 0",
        "socket: unknown host no.such.invalid",
        13,
        is_whole=False,
    ),
    Case(
        "connection refused",
        "127.0.0.1 1",
        "socket: client socket: Connection refused: 127.0.0.1 port 1\n",
        111,
    ),
    Case("no such path", "./none", "socket: client socket: No such file or directory: ./none\n", 2),
    Case(
        "path too long",
        f"./{'x' * 200}",
        "socket: client socket: File name too long: ./xxx",
        36,
        is_whole=False,
    ),
    Case(
        "local address not ours",
        "-B 192.0.2.1 127.0.0.1 1",
        "socket: client socket: Cannot assign requested address: 127.0.0.1 port 1 from 192.0.2.1\n",
        99,
    ),
    Case(
        "server cannot bind",
        "-s /nonexistent/s",
        "socket: server socket: No such file or directory",
        1,
        is_whole=False,
    ),
    Case(
        "port out of range",
        "localhost 65536",
        "socket: port 65536 is out of range: 1 to 65535\n",
        15,
    ),
    Case("port 0, client", "localhost 0", "socket: port 0 is out of range: 1 to 65535\n", 15),
    Case(
        "port out of range, server",
        "-s 65536",
        "socket: port 65536 is out of range: 0 to 65535\n",
        15,
    ),
    Case(
        "port of a thousand digits",
        f"localhost {'9' * 5000}",
        f"socket: port {'9' * 5000} is out of range: 1 to 65535\n",
        15,
    ),
    Case(
        "-W without a program",
        "-s -W 2 0",
        "socket: -W needs -p: without a program all connections share one stdin and stdout\n",
        15,
    ),
    Case(
        "a front without a program",
        "-s -W 2 --front scgi 0",
        "socket: --front needs -p COMMAND or --root FOLDER: the programs to run\n",
        15,
    ),
    Case(
        "native workers do not relay",
        "-s -l -c --worker native -p cat 0",
        "socket: --worker native: cannot relay, which -c, -r and -w need; "
        "use python or leave it out\n",
        15,
    ),
    Case(
        "-B with a path",
        "-B localhost ./s",
        "socket: -B localhost does not apply to the UNIX path './s'\n",
        15,
    ),
    Case(
        "time limit that is none",
        "--connect-timeout soon localhost 1",
        "socket: --connect-timeout: 'soon' is not a duration",
        15,
        is_whole=False,
    ),
    Case(
        "shell without completions",
        "--completion csh",
        "socket: --completion: 'csh' is not one of bash, zsh, fish\n",
        15,
    ),
    Case(
        "program not found",
        "-p /nonexistent/program localhost 1",
        "socket: cannot run '/nonexistent/program': there is no such file\n",
        127,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_error_has_its_line_and_its_exit_code(case: Case, tmp_path: Path) -> None:
    """What socket 1.1 refuses is refused in its words and with its exit code."""
    outcome = run_command(*case.line.split(), cwd=tmp_path)

    if case.is_whole:
        assert outcome.stderr == case.stderr
    assert outcome.stderr.startswith(case.stderr)
    assert (outcome.status, outcome.stdout) == (case.status, "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("-Z", "invalid option -- 'Z'"),
        ("--zzz", "unrecognized option '--zzz'"),
        ("--strateggy=x", "unrecognized option '--strateggy=x'; did you mean '--strategy'?"),
        ("-sp", "option requires an argument -- 'p'"),
        ("--loop=yes", "option '--loop' doesn't allow an argument"),
    ],
)
def test_reason_stands_below_the_usage(arguments: str, reason: str) -> None:
    """In getopt's words, where a terminal still shows it."""
    outcome = run_command(*arguments.split())

    assert outcome.stderr.startswith(USAGE)
    assert outcome.stderr.endswith(f"\nsocket: {reason}\n")
    assert (outcome.status, outcome.stdout) == (15, "")


def test_version_as_first_argument_is_printed() -> None:
    """`-version` prints the classic beginning with our name and version; later it is no option."""
    outcome = run_command("-version")

    assert outcome.stdout == (
        f"Socket-{__version__} (socketd {__version__}, successor of socket 1.1)\n"
    )
    assert (outcome.status, outcome.stderr) == (0, "")
    assert run_command("-q", "-version").status == 15


def test_output_that_cannot_be_written_is_one_line() -> None:
    """A help text that nobody can read ends in a line and a non-zero exit, not in a traceback."""
    with open("/dev/full", "wb") as full:
        command = Command("--help", stdout=full)
        try:
            assert command.wait() == 71
            assert command.stderr == ("socket: cannot write to stdout: No space left on device\n")
        finally:
            command.close()


SIGNALS = (
    (signal.SIGTERM, "Termination signal", 241),
    (signal.SIGINT, "Interrupt", 254),
    (signal.SIGHUP, "Hangup signal", 255),
)


@pytest.mark.parametrize(("number", "name", "status"), SIGNALS)
@pytest.mark.parametrize("mode", ["client", "client with program", "server", "loop", "waiting"])
def test_signal_ends_in_an_empty_line_and_the_classic_words(
    start: StartCommand, mode: str, number: signal.Signals, name: str, status: int, tmp_path: Path
) -> None:
    """Whatever it does at the time, a signal ends the command in 256 minus its number."""
    path = f"{tmp_path}/s"
    if mode.startswith("client"):
        server = start("-slv", path)
        server.wait_stderr("bound to")
        program = ["-p", "sleep 1000"] if mode.endswith("program") else []
        command = start("-v", *program, path)
        server.wait_stderr("connection from")
        ready = "connected to"
    elif mode == "waiting":
        command, ready = start("-v", "--wait", path), "waiting for the server"
    else:
        command, ready = start("-slv" if mode == "loop" else "-sv", path), "bound to"
    command.wait_stderr(ready)
    before = command.stderr

    command.signal(number)

    assert command.wait() == status
    assert command.stderr == f"{before}\n{name} occured, exiting\n"
    if "client" not in mode:
        assert not os.path.exists(path)


def test_signal_ignored_on_entry_stays_ignored(start: StartCommand, tmp_path: Path) -> None:
    """Under nohup a client survives the hangup."""
    server = start("-sv", f"{tmp_path}/s")
    server.wait_stderr("bound to")
    client = start(SOCKET, "-v", f"{tmp_path}/s", executable="nohup")
    client.wait_stderr("connected to")

    client.signal(signal.SIGHUP)

    client.write(b"still here\n")
    assert server.read(11) == b"still here\n"
