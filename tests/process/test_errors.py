"""Every mistake that a user can make with `socket -s -p`: one clear line, the right exit code."""

import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.servers import SOCKET, Outcome, Server, clean_environment, run_socket
from harness.waiting import CAP_SECONDS
from socketd.cli.options import all_options

pytestmark = pytest.mark.slow

IN_USE = "socket: server socket: Address already in use: "
NO_PROGRAM = "socket: cannot run "
NUMBER = "is not a whole number from 1 to "

SERVE = ["-s", "-B", "127.0.0.1", "0"]
CAT = ["-p", "cat", *SERVE]

# What is typed, the exit code, and the line on stderr from its beginning. In both, {tmp} is the
# test's directory and {port} a port that somebody listens on.
MISTAKES = {
    "program not on PATH": (
        ["-p", "no-such-program x", *SERVE], 127,
        NO_PROGRAM + "'no-such-program': it is not on PATH",
    ),
    "program not there": (
        ["-p", "{tmp}/missing", *SERVE], 127,
        NO_PROGRAM + "'{tmp}/missing': there is no such file",
    ),
    "program not executable": (
        ["-p", "{tmp}/plain", *SERVE], 126,
        NO_PROGRAM + "'{tmp}/plain': it is not executable (try: chmod +x {tmp}/plain)",
    ),
    "program is a directory": (
        ["-p", "{tmp}", *SERVE], 126, NO_PROGRAM + "'{tmp}': it is a directory",
    ),
    "no program without a shell": (
        ["-p", " ", "--shell", "never", *SERVE], 127, NO_PROGRAM + "' ': it names no program",
    ),
    "no program": (["-p", " \t", *SERVE], 127, NO_PROGRAM + "' \\t': it names no program"),
    "port in use": (
        ["-p", "cat", "-s", "-B", "127.0.0.1", "{port}"], 1,
        IN_USE + "127.0.0.1 port {port}; stop the process that listens there",
    ),
    "address of nobody": (
        ["-p", "cat", "-s", "-B", "203.0.113.1", "0"], 1,
        "socket: server socket: Cannot assign requested address: 203.0.113.1 port 0; no interface",
    ),
    "host unknown": (
        ["-p", "cat", "-s", "-B", "no-such-host.invalid", "0"], 13,
        "socket: unknown host no-such-host.invalid",
    ),
    "service unknown": (
        ["-p", "cat", "-s", "no-such-service"], 5, "socket: unknown service",
    ),
    "path with a live server": (
        ["-p", "cat", "-s", "{tmp}/live"], 1, IN_USE + "'{tmp}/live' has a live server; stop it",
    ),
    "path is not a socket": (
        ["-p", "cat", "-s", "{tmp}/plain"], 1, IN_USE + "'{tmp}/plain' is not a socket; remove it",
    ),
    "path in no directory": (
        ["-p", "cat", "-s", "{tmp}/missing/s"], 1,
        "socket: server socket: No such file or directory: {tmp}/missing/s; its directory",
    ),
    "path too long": (
        ["-p", "cat", "-s", "/tmp/" + "x" * 103], 1, "socket: server socket: File name too long: ",
    ),
    "pid file in no directory": (
        ["--pidfile", "{tmp}/missing/pid", *CAT], 71,
        "socket: cannot write the pid file '{tmp}/missing/pid': No such file or directory",
    ),
    "pid file is a directory": (
        ["--pidfile", "{tmp}", *CAT], 71, "socket: cannot write the pid file '{tmp}': Is a dir",
    ),
    "pid file in no directory, UNIX": (
        ["--pidfile", "{tmp}/missing/pid", "-p", "cat", "-s", "{tmp}/s"], 71,
        "socket: cannot write the pid file '{tmp}/missing/pid': No such file or directory",
    ),
}  # fmt: skip

NONSENSE = {
    "workers zero": (["-W", "0", *CAT], f"socket: --workers: '0' {NUMBER}32768"),
    "workers too many": (["-W", "100000", *CAT], f"socket: --workers: '100000' {NUMBER}32768"),
    "workers a word": (["-W", "four", *CAT], f"socket: --workers: 'four' {NUMBER}32768"),
    "workers endless": (["-W", "9" * 5000, *CAT], "socket: --workers: '999"),
    "max zero": (["-W", "1", "--max-workers", "0", *CAT], "socket: --max-workers: '0' " + NUMBER),
    "max negative": (["-W1", "--max-workers", "-1", *CAT], "socket: --max-workers: '-1' " + NUMBER),
    "max below min": (
        ["-W", "4", "--max-workers", "3", *CAT],
        "socket: --max-workers: 3 is less than the 4 of -W",
    ),
    "fixed with another max": (
        ["-W", "4", "--strategy", "fixed", "--max-workers", "5", *CAT],
        "socket: --max-workers: a fixed pool has exactly as many workers as -W says (4), not 5",
    ),
    "worker": (["--worker", "x", *CAT], "socket: --worker: 'x' is not one of auto, native, python"),
    "strategy": (
        ["-W", "1", "--strategy", "lazy", *CAT],
        "socket: --strategy: 'lazy' is not one of fixed, eager, adaptive, incremental, surge",
    ),
    "idle time-out": (
        ["--idle-timeout", "soon", *CAT], "socket: --idle-timeout: 'soon' is not a duration",
    ),
    "drain time-out": (
        ["--drain-timeout", "-1s", *CAT], "socket: --drain-timeout: '-1s' is not a duration",
    ),
    "drain time-out of years": (
        ["--drain-timeout", "366d", *CAT], "socket: --drain-timeout: '366d' is not a duration",
    ),
    "ready": (
        ["--ready", "steady", *CAT], "socket: --ready: 'steady' is not one of auto, fork, ",
    ),
    "hold time-out": (
        ["--hold-timeout", "soon", *CAT], "socket: --hold-timeout: 'soon' is not a duration",
    ),
    "renew after": (
        ["--renew-after", "366d", *CAT], "socket: --renew-after: '366d' is not a duration",
    ),
    "front": (["--front", "http", *CAT], "socket: --front: 'http' is not one of none, scgi, fcgi"),
    "root": (
        ["-s", "0", "--front", "scgi", "--root", "/nowhere"],
        "socket: --root: '/nowhere' is not a directory",
    ),
    "head time-out": (
        ["--front", "scgi", "--head-timeout", "soon", *CAT],
        "socket: --head-timeout: 'soon' is not a duration",
    ),
    "keep time-out": (
        ["--front", "fcgi", "--keep-timeout", "soon", *CAT],
        "socket: --keep-timeout: 'soon' is not a duration",
    ),
    "request variables": (
        ["--front", "scgi", "--request-variables", "A,*", *CAT],
        "socket: --request-variables: '*' is not the name of a variable, a prefix of names",
    ),
    "stop-delay": (["--stop-delay", "0", *CAT], "socket: --stop-delay: '0' is not a duration"),
    "linger": (["--linger", "soon", *CAT], "socket: --linger: 'soon' is not a duration"),
    "time limit": (
        ["--time-limit", "soon", *CAT], "socket: --time-limit: 'soon' is not a duration",
    ),
    "backlog zero": (["--backlog", "0", *CAT], "socket: --backlog: '0' " + NUMBER),
    "backlog": (["--backlog", "2147483648", *CAT], f"socket: --backlog: '2147483648' {NUMBER}2147"),
    "shell": (["--shell", "bash", *CAT], "socket: --shell: 'bash' is not one of auto, always, nev"),
    "shared files": (
        ["--shared-files", "x", *CAT], "socket: --shared-files: 'x' is not one of refuse, allow",
    ),
    "trial": (["--trial", "x", *CAT], "socket: --trial: 'x' is not one of prepare, run"),
    "client gone": (["--client-gone", "x", *CAT], "socket: --client-gone: 'x' is not one of"),
    "scripts": (["--scripts", "x", *CAT], "socket: --scripts: replaces -p: give only one of the"),
    "templates": (["--script-templates", "x", *CAT], "socket: --script-templates: 'x' is not a"),
    "index": (["--index", "x/y", *CAT], "socket: --index: 'x/y' is not a list of names of files"),
    "allow": (["--allow", "x", *CAT], "socket: --allow: 'x' is not a list of addresses"),
    "deny": (["--deny", "10.0.0.1/8", *CAT], "socket: --deny: '10.0.0.1/8' is not a list of"),
    "allow file": (["--allow-file", "/x", *CAT], "socket: --allow-file: /x: No such file"),
    "deny file": (["--deny-file", "/x", *CAT], "socket: --deny-file: /x: No such file"),
    "source limit": (["--source-limit", "0", *CAT], "socket: --source-limit: '0' is not a whole"),
    "source prefix ipv4": (
        ["--source-prefix-ipv4", "24", *CAT],
        "socket: --source-prefix-ipv4: needs --source-limit or --source-rate: sources are not",
    ),
    "source prefix ipv6": (
        ["--source-prefix-ipv6", "129", *CAT],
        "socket: --source-prefix-ipv6: '129' is not a whole",
    ),
    "when full": (["--when-full", "wait", *CAT], "socket: --when-full: 'wait' is not queue, refus"),
    "sensor": (["--sensor", "soon", *CAT], "socket: --sensor: 'soon' is not a duration"),
    "rate": (["--rate", "5", *CAT], "socket: --rate: '5' is not a number from 1 to 100000 with"),
    "source rate": (["--source-rate", "1/w", *CAT], "socket: --source-rate: '1/w' is not a numbe"),
    "over rate": (["--over-rate", "wait", *CAT], "socket: --over-rate: 'wait' is not refuse, or"),
    "proxies": (["--proxy-protocol", "all", *CAT], "socket: --proxy-protocol: 'all' is not a list"),
    "refusal text": (["--refusal-text", "x\\y", *CAT], "socket: --refusal-text: 'x\\\\y' is not"),
    "head limit": (["--head-limit", "1", *CAT], "socket: --head-limit: '1' is not a number"),
    "body limit": (["--body-limit", "x", *CAT], "socket: --body-limit: 'x' is not a number"),
    "answer timeout": (["--answer-timeout", "x", *CAT], "socket: --answer-timeout: 'x' is not a"),
    "warm up": (["--warm-up", "/", *CAT], "socket: --warm-up: is for --ready read or stop, where"),
    "stderr": (["--stderr", "x", *CAT], "socket: --stderr: 'x' is not one of socket, inherit,"),
    "log format": (["--log-format", "x", *CAT], "socket: --log-format: 'x' is not one of console,"),
    "log level": (["--log-level", "x", *CAT], "socket: --log-level: 'x' is not one of debug, info"),
    "user empty": (["--user", "", *CAT], "socket: --user: the value is empty; give USER or leave"),
    "user a colon": (["--user", ":", *CAT], "socket: --user: ':' is not USER or USER:GROUP"),
    "user a group": (["--user", ":1", *CAT], "socket: --user: ':1' is not USER or USER:GROUP: a n"),
    "user without its group": (["--user", "nobody:", *CAT], "socket: --user: 'nobody:' is not"),
    "user of three": (["--user", "a:b:c", *CAT], "socket: --user: 'b:c' cannot be a name"),
    "directory empty": (["--directory", "", *CAT], "socket: --directory: the value is empty"),
    "program empty": (["-p", "", *SERVE], "socket: --program: the value is empty; give COMMAND"),
    "host empty": (["-p", "cat", "-s", "-B", "", "0"], "socket: --bind: the value is empty"),
    "root empty": (["-s", "0", "--front", "scgi", "--root", ""], "socket: --root: the value is em"),
    "umask": (["--umask", "8", *CAT], "socket: --umask: '8' is not an octal number from 0 to 777"),
    "kill time-out": (
        ["--kill-timeout", "soon", *CAT], "socket: --kill-timeout: 'soon' is not a duration",
    ),
    "keep children": (
        ["--keep-children", "maybe", *CAT], "socket: --keep-children: 'maybe' is not one of",
    ),
    "idle limit": (
        ["--idle-limit", "soon", *CAT], "socket: --idle-limit: 'soon' is not a duration",
    ),
    "first byte limit": (
        ["--first-byte-limit", "soon", *CAT], "socket: --first-byte-limit: 'soon' is not a durati",
    ),
    "interface": (
        ["--interface", "a/b", *CAT], "socket: --interface: 'a/b' is not the name of a network in",
    ),
    "defer accept": (
        ["--defer-accept", "soon", *CAT], "socket: --defer-accept: 'soon' is not a duration",
    ),
    "keepalive": (["--keepalive", "1s,2s,0", *CAT], "socket: --keepalive: '1s,2s,0' is not up to"),
    "keepalive a day": (["--keepalive", "1d", *CAT], "socket: --keepalive: '1d' is not up to thr"),
    "user time-out": (
        ["--user-timeout", "soon", *CAT], "socket: --user-timeout: 'soon' is not a duration",
    ),
    "mode": (["--mode", "8", *CAT], "socket: --mode: '8' is not an octal number from 0 to 777"),
    "nice": (["--nice", "20", *CAT], "socket: --nice: '20' is not a whole number from -20 to 19"),
    "groups": (["--groups", "a,,b", *CAT], "socket: --groups: the name is empty"),
    "groups without a user": (["--groups", "a", *CAT], "socket: --groups: needs --user"),
    "root directory empty": (["--chroot", "", *CAT], "socket: --chroot: the value is empty"),
    "root directory absent": (
        ["--chroot", "/no/such", *CAT], "socket: --chroot: '/no/such' is not a directory",
    ),
    "paths to read": (["--read-paths", "/usr,,", *CAT], "socket: --read-paths: '/usr,,' is not a"),
    "paths to write": (["--write-paths", ",", *CAT], "socket: --write-paths: ',' is not a list of"),
    "ports": (["--tcp-connect", "0", *CAT], "socket: --tcp-connect: '0' is not numbers from 1 to"),
    "port beyond all": (
        ["--tcp-connect", "443,65536", *CAT], "socket: --tcp-connect: '443,65536' is not numbers f",
    ),
    "group": (["--cgroup", "", *CAT], "socket: --cgroup: the value is empty"),
    "memory": (["--memory-max", "much", *CAT], "socket: --memory-max: 'much' is not a number of"),
    "processor": (["--cpu-max", "0", *CAT], "socket: --cpu-max: '0' is not a whole number from 1"),
    "processes": (["--pids-max", "0", *CAT], "socket: --pids-max: '0' is not a whole number from"),
    "variable": (["--env", "x", *CAT], "socket: --env: 'x' is not NAME=VALUE"),
    "variable without a name": (["--env", "=x", *CAT], "socket: --env: '' is not names without ="),
    "limit": (["--limit", "nofile", *CAT], "socket: --limit: 'nofile' is not NAME=LIMIT or NAME=S"),
    "limit of what": (["--limit", "x=1", *CAT], "socket: --limit: 'x' is not one of as, core, cpu"),
    "port too high": (["-p", "cat", "-s", "65536"], "socket: port 65536 is out of range: 0 to 65"),
    "port negative": (["-p", "cat", "-s", "--", "-1"], "socket: port -1 is out of range: 0 to 65"),
    "port doubly negative": (["-p", "cat", "-s", "--", "--5"], "socket: port --5 is out of range"),
    "port endless": (["-p", "cat", "-s", "1" * 5000], "socket: port 111"),
    "port empty": (["-p", "cat", "-s", ""], "socket: the port is empty"),
    "address beside a path": (
        ["-p", "cat", "-s", "-B", "localhost", "{tmp}/s"],
        "socket: -B 'localhost' does not apply to the UNIX path '{tmp}/s'",
    ),
}  # fmt: skip

CLASSIC = {
    "read only and write only": (["-r", "-w", *CAT], "It does not make sense to set -r and -w."),
    "loop without server": (
        ["-l", "localhost", "1"], "It does not make sense to set -l and not -s.",
    ),
    "background without server": (
        ["-b", "localhost", "1"], "It does not make sense to set -b and not -s.",
    ),
}  # fmt: skip


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Set the scene: a plain file, a live server on a path and on a port; all are unharmed."""
    plain = tmp_path / "plain"
    plain.write_text("precious")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"{tmp_path}/live")
        unix.listen()
        yield {"tmp": str(tmp_path), "port": str(tcp.getsockname()[1])}
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{tmp_path}/live")
    assert plain.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["live", "plain"]


def fill(text: str, scene: dict[str, str]) -> str:
    """Put the scene's values into a text."""
    return text.replace("{tmp}", scene["tmp"]).replace("{port}", scene["port"])


def check(outcome: Outcome, status: int, line: str) -> None:
    """Check that a command has failed with one line that begins so, and nothing else."""
    before, _, last = outcome.stderr.removesuffix("\n").rpartition("\n")
    assert last.startswith(line)
    assert before == "" or (status == 15 and before.startswith("Usage: socket "))
    assert "Traceback" not in outcome.stderr
    assert (outcome.status, outcome.stdout) == (status, "")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_told_in_one_line(scene: dict[str, str], mistake: str) -> None:
    """The line names what was attempted, on what, and why it failed; nothing is left behind."""
    arguments, status, line = MISTAKES[mistake]

    outcome = run_socket(*(fill(argument, scene) for argument in arguments))

    check(outcome, status, fill(line, scene))


@pytest.mark.parametrize("mistake", NONSENSE)
def test_nonsense_is_a_usage_error(scene: dict[str, str], mistake: str) -> None:
    """The line names the option and the value, and what would be right: exit 15."""
    arguments, line = NONSENSE[mistake]

    outcome = run_socket(*(fill(argument, scene) for argument in arguments))

    check(outcome, 15, fill(line, scene))


@pytest.mark.parametrize("mistake", CLASSIC)
def test_contradiction_is_refused_in_the_classic_words(mistake: str) -> None:
    """To the letter, exit 15."""
    arguments, line = CLASSIC[mistake]

    outcome = run_socket(*arguments)

    assert (outcome.status, outcome.stdout) == (15, "")
    assert outcome.stderr == f"{line}\n"


@pytest.mark.parametrize("arguments", [[], ["-s"], ["-s", "-p", "cat"], ["-s", "1", "2"], ["a"]])
def test_wrong_number_of_arguments_shows_the_usage(arguments: list[str]) -> None:
    """Too few and too many operands end in the usage text, exit 15."""
    outcome = run_socket(*arguments)

    assert (outcome.status, outcome.stdout) == (15, "")
    assert re.match(r"(socket: .*\n)?Usage: socket ", outcome.stderr)


@pytest.mark.parametrize("arguments", [["-x"], ["--nonsense"], ["-s", "-p"], ["--ver"]])
def test_unknown_option_shows_the_usage(arguments: list[str]) -> None:
    """The usage text, then one line about the option, exit 15."""
    outcome = run_socket(*arguments)

    check(outcome, 15, "socket: ")
    assert "Usage: socket " in outcome.stderr


def test_every_option_with_a_limited_value_has_its_nonsense() -> None:
    """An option that is added is tested here too."""
    # Any text is allowed.
    free = {"program", "bind", "pidfile", "log-file", "directory", "user", "owner", "group"}
    free |= {"control"}
    client = {"connect-timeout", "completion", "send-proxy"}  # not for servers
    tried = {line.removeprefix("socket: --").partition(":")[0] for _, line in NONSENSE.values()}

    assert {option.name for option in all_options() if option.metavar} - free - client <= tried


def test_stale_path_is_no_mistake(tmp_path: Path) -> None:
    """A socket that a killed server has left is replaced, and removed at the end."""
    path = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
        stale.listen()
    server = Server(["-p", "cat", "-W", "1", "-s", str(path)])
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(server.place))
    finally:
        server.close()

    assert not path.exists()


def test_pid_file_of_a_running_server_is_refused(tmp_path: Path) -> None:
    """The second server says so and leaves; the first keeps its file."""
    pid_file = tmp_path / "pid"
    first = Server(["--pidfile", str(pid_file), *CAT, "-W", "1"])
    try:
        first.wait_event("service_ready")

        outcome = run_socket("--pidfile", str(pid_file), *CAT)

        line = f"socket: pid file '{pid_file}' belongs to a running server; stop it or choose"
        check(outcome, 71, line)
        assert pid_file.read_text() == f"{first.pid}\n"
    finally:
        first.close()
    assert not pid_file.exists()


def test_mistake_of_the_background_server_is_told_too(scene: dict[str, str]) -> None:
    """With -b the reason still stands on the terminal, and the exit code is the same."""
    for mistake in ("port in use", "pid file in no directory, UNIX", "program not on PATH"):
        arguments, status, line = MISTAKES[mistake]

        outcome = run_socket("-b", *(fill(argument, scene) for argument in arguments))

        check(outcome, status, fill(line, scene))


def test_vanished_reader_of_stderr_does_not_change_the_end() -> None:
    """Whoever has read the port and left does not turn a stop into a failure."""
    with subprocess.Popen(
        [SOCKET, "-v", "-l", "-f", *CAT], stderr=subprocess.PIPE, env=clean_environment("")
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"inet: listening on port ")
        process.stderr.close()

        process.terminate()

        assert process.wait(CAP_SECONDS) == 256 - signal.SIGTERM
