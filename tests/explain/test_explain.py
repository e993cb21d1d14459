"""`socketd explain`: what a program is at each level, found out by starting it."""

import os
import pty
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.servers import Server
from harness.supervisors import SOCKETD

from .conftest import Begin, Explain

pytestmark = pytest.mark.slow

LEVEL_KEYS = {
    "level", "works", "reason", "first_byte_ms", "end_ms", "connections", "answer_bytes",
    "same_answer", "statuses", "private_kib", "shares",
}  # fmt: skip
SHARED_KEYS = {
    "files", "more_files", "random_state", "address_layout", "time_limits", "renew_after_s",
    "stack_canary", "canary_reason",
}  # fmt: skip
IMPATIENT = "read -t 5 line; echo $line"


@pytest.fixture(autouse=True)
def _bash() -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that writes an executable script and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "script"
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def fallen_back() -> Iterator[Callable[[str], str]]:
    """Return a function that returns the reason a server gives for a lower level than `read`."""
    servers: list[Server] = []

    def reason(program: str) -> str:
        arguments = ["--ready", "read", "-p", program, "-W", "1", "-B", "127.0.0.1", "-s", "0"]
        servers.append(Server(arguments, is_quiet=False, is_measured=False))
        return str(servers[-1].wait_event("template_fell_back")["reason"])

    yield reason
    for server in servers:
        server.close()


def test_filter_is_held_at_every_level(explain: Explain) -> None:
    """All names of the JSON are there, and what was measured are numbers."""
    told = explain("--send", "hello", "--", "cat")

    assert told.keys() == {
        "format", "command", "program", "auto", "auto_reason", "cgi", "cgi_reason", "levels",
    }  # fmt: skip
    assert (told["format"], told["command"]) == (1, ["cat"])
    assert told["program"] == shutil.which("cat")
    assert (told["auto"], told["auto_reason"]) == ("load", None)
    assert list(told["levels"]) == ["fork", "load", "read", "relay"]
    for name, level in told["levels"].items():
        assert level.keys() == LEVEL_KEYS
        assert level["shares"].keys() == SHARED_KEYS
        assert (level["works"], level["reason"]) == (True, None), name
        assert 0 < level["first_byte_ms"] <= level["end_ms"]
        assert level["private_kib"] > 0
        assert (level["connections"], level["statuses"]) == (3, [0, 0, 0])
        assert (level["answer_bytes"], level["same_answer"]) == (len("hello\n"), True)
    layouts = {name: one["shares"]["address_layout"] for name, one in told["levels"].items()}
    assert layouts == {"fork": "fresh", "load": "shared", "read": "shared", "relay": "fresh"}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (IMPATIENT, "its first wait for input has a time limit"),
        ("date; exit 3", "it has ended with status 3 before it was held"),
        ("cat | cat", "a program that it has started reads its input (cat)"),
        ("sleep 1000 & read line", "it has started other programs"),
        ("exec 9>>/dev/shm/socketd-test-$$; flock 9; rm /dev/shm/socketd-test-$$; read x", "lock"),
    ],
)
def test_refusal_is_told_in_the_words_of_the_log(
    explain: Explain,
    fallen_back: Callable[[str], str],
    script: Callable[[str], str],
    command: str,
    why: str,
) -> None:
    """Of a level that cannot be had there is the reason that a server would log, and no number."""
    path = script(f"#!{shutil.which('bash')}\n{command}\n")

    told = explain("--level", "read", "--no-connection", "--", path)

    read = told["levels"]["read"]
    assert why in read["reason"]
    assert _without_numbers(read["reason"]) == _without_numbers(fallen_back(path))
    assert read["works"] is False
    assert [read[name] for name in ("first_byte_ms", "private_kib", "shares")] == [None] * 3


def _without_numbers(reason: str) -> str:
    return re.sub(r"\d+", "N", reason)


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (("no-such-program",), 127, "cannot run 'no-such-program': it is not on PATH"),
        (("/etc/passwd",), 126, "it is not executable"),
        ((), 15, "Missing argument"),
        (("--level", "soon", "cat"), 15, "'soon' is not one of"),
        (("--send", "a", "--input", "b", "cat"), 15, "give only one of the two"),
        (("--input", "/no/such/file", "cat"), 15, "--input: cannot read '/no/such/file'"),
        (("--user", "no-such-user", "cat"), 71, "no-such-user"),
        (("--connections", "0", "cat"), 15, "--connections"),
    ],
)
def test_what_cannot_be_explained_has_its_exit_code(
    begin: Begin, words: tuple[str, ...], status: int, complaint: str
) -> None:
    """A program that is not there, or options that make no sense, are said in one line."""
    command = begin(*words)

    assert command.finish() == (b"", status)
    assert complaint in command.stderr
    assert "Traceback" not in command.stderr


def test_without_a_connection_nothing_runs_that_is_held_before_main(
    explain: Explain, script: Callable[[str], str], tmp_path: Path
) -> None:
    """--no-connection only sees whether it is held; each connection runs the program once."""
    mark = tmp_path / "mark"
    path = script(f"#!{shutil.which('bash')}\necho ran >>{mark}\n")
    levels = ("--level", "fork", "--level", "load")

    without = explain(*levels, "--no-connection", "--", path)

    assert not mark.exists()
    assert [one["works"] for one in without["levels"].values()] == [True, True]
    assert {one["first_byte_ms"] for one in without["levels"].values()} == {None}
    explain(*levels, "--connections", "2", "--", path)
    assert mark.read_text() == "ran\n" * 4


def test_files_that_copies_share_are_listed(explain: Explain, tmp_path: Path) -> None:
    """Each with its descriptor, and what it is for a copy; refused unless it is allowed."""
    file = tmp_path / "file"
    text = f"exec 8</etc/passwd 9>>{file}; flock 9; read line; echo $line"

    refused = explain("--level", "read", "--", "bash", "-c", text)
    allowed = explain("--level", "read", "--shared-files", "allow", "--", "bash", "-c", text)

    assert str(file) in refused["levels"]["read"]["reason"]
    assert allowed["levels"]["read"]["shares"]["files"] == [
        {"fd": 8, "target": "/etc/passwd", "access": "own", "locked": False},
        {"fd": 9, "target": str(file), "access": "append", "locked": True},
    ]


def test_program_runs_as_the_options_say(explain: Explain, tmp_path: Path) -> None:
    """Variables, limits, directory and input are those of the command line."""
    file = tmp_path / "input"
    file.write_bytes(b"x" * 300_000)
    text = "ulimit -n; pwd; echo $WHO; wc -c"

    told = explain(
        "--input", str(file), "--env", "WHO=somebody", "--limit", "nofile=77", "--directory",
        str(tmp_path), "--level", "fork", "--level", "load", "--", "bash", "-c", text,
    )  # fmt: skip

    expected = len(f"77\n{tmp_path}\nsomebody\n300000\n")
    assert [one["answer_bytes"] for one in told["levels"].values()] == [expected] * 2


@pytest.mark.usefixtures("reachable")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_program_runs_as_its_user(explain: Explain) -> None:
    """With --user it is held as that user."""
    told = explain("--user", "nobody", "--send", "x", "--", "bash", "-c", "read line; id -un")

    for level in told["levels"].values():
        assert level["answer_bytes"] == len("nobody\n"), level


def test_another_answer_is_noticed(explain: Explain) -> None:
    """A program whose answers differ from level to level, or each time, is told so."""
    told = explain("--", "bash", "-c", "read line; echo $BASHPID $RANDOM")

    assert not told["levels"]["read"]["same_answer"]


def test_table_is_for_people(begin: Begin) -> None:
    """Without --json it is a table, the reasons in it, the level of auto below."""
    command = begin("--level", "load", "--level", "read", "--", "bash", "-c", IMPATIENT)

    output, status = command.finish()

    lines = output.decode().splitlines()
    assert status == 0
    assert lines[0] == f"bash -c '{IMPATIENT}'"
    assert lines[2].split() == ["level", "first", "byte", "memory", "state"]
    assert lines[3].startswith("load")
    assert lines[3].endswith("held before main()")
    assert lines[4].startswith("read")
    assert lines[4].endswith("not held: its first wait for input has a time limit")
    assert "auto takes load" in lines


def test_program_that_stops_itself_is_looked_at_if_asked(explain: Explain) -> None:
    """At stop a program that never does would be waited for in vain, so it is no usual level."""
    told = explain("--level", "stop", "--send", "x", "--", "bash", "-c", "kill -STOP $$; cat")

    assert list(told["levels"]) == ["stop"]
    assert told["levels"]["stop"]["works"]
    assert told["levels"]["stop"]["answer_bytes"] == len("x\n")
    assert told["auto"] == "load"


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("cat", ["cat"]),
        ("cat -u", ["cat", "-u"]),
        ("cat | tr a-z A-Z", ["sh", "-c", "cat | tr a-z A-Z"]),
    ],
)
def test_single_word_is_what_socket_would_run(
    explain: Explain, word: str, command: list[str]
) -> None:
    """It is taken as by -p: with a shell only if it needs one."""
    assert explain("--level", "fork", "--no-connection", word)["command"] == command


def test_level_that_is_looked_at_is_shown_on_a_terminal(open_folder: Path) -> None:
    """It may take long; nothing of that remains, and none is printed where nobody looks."""
    terminal, other_end = pty.openpty()
    words = [SOCKETD, "explain", "--no-connection", "--level", "load", "--level", "fork", "cat"]
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(open_folder)}
    try:
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=other_end, env=environment, check=True
        )
        shown = os.read(terminal, 4096)
    finally:
        os.close(terminal)
        os.close(other_end)

    assert shown == b"\r\x1b[Klooking at load ...\r\x1b[Klooking at fork ...\r\x1b[K"
    assert b"held before main()" in done.stdout


def test_program_that_cannot_be_executed_fails_at_every_level(
    explain: Explain, script: Callable[[str], str]
) -> None:
    """A script whose interpreter is not there is found, and only fails when it is run."""
    told = explain("--", script("#!/no/such/interpreter\n"))

    assert {one["works"] for one in told["levels"].values()} == {False}
    assert "No such file or directory" in told["levels"]["fork"]["reason"]
    assert told["auto"] == "fork"
    assert told["auto_reason"] == told["levels"]["load"]["reason"]


def test_program_that_ends_its_server_is_told(explain: Explain) -> None:
    """Where it kills who has started it that is the reason, and other levels are told."""
    text = "if [ -z $IPCLOCALPATH ]; then kill -KILL $PPID; fi; read line; echo $line"
    told = explain("--level", "load", "--level", "read", "--", "bash", "-c", text)

    assert told["levels"]["load"]["works"]
    assert told["levels"]["read"]["reason"] == "the server has been ended by signal 9"
