"""Programs: what they find when they start, how they end, and what cannot be run."""

import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from harness.fastcgi import Type, encode, request
from harness.processes import view

from .conftest import Script, Start
from .wrappers import HEAD


def test_a_program_runs_in_its_own_folder(start: Start, tmp_path: Path) -> None:
    """The working directory is where the program lies, not where the service was started."""
    (tmp_path / "folder").mkdir()
    program = tmp_path / "folder" / "program"
    program.write_text(f'#!/bin/sh\n{HEAD}; pwd; echo "$0" "$@"\n')
    program.chmod(0o755)

    answer = start("folder/program", "one", "two words", cwd=tmp_path).ask()

    assert answer.body == f"{program.parent}\n{program} one two words\n".encode()


def test_a_program_is_found_on_path(start: Start) -> None:
    """A name without a slash is looked for where the service looks for programs."""
    assert start("printf", r"Content-Type: a/b\r\n\r\n%s", "x").ask().body == b"x"


def test_a_program_has_three_descriptors(start: Start) -> None:
    """Of ours, and of what we were given, nothing goes on to it."""
    wrapper = start("ls", "/proc/self/fd")

    # The last is the folder that it lists.
    assert wrapper.ask(None, b"").stdout == b"0\n1\n2\n3\n"
    assert wrapper.ask(None, b"x").stdout == b"0\n1\n2\n3\n"


def test_a_program_has_default_signals(start: Start, script: Script) -> None:
    """None is blocked, none is ignored, and its process group is its own."""
    previous = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        wrapper = start(script(f"{HEAD}; grep -E 'Sig(Blk|Ign)' /proc/self/status; cat"))
    finally:
        signal.signal(signal.SIGUSR1, previous)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
    records = request(None, b"x")
    wrapper.peer.send(records[:-1])
    groups = {one.group for one in wrapper.wait_programs(2)}
    own = view(wrapper.pid)
    wrapper.peer.send(records[-1:])

    assert own is not None
    assert len(groups) == 1
    assert own.group not in groups
    values = [line.split(b":\t")[1] for line in wrapper.peer.read_answer().body.splitlines()[:2]]
    assert values == [b"0" * 16] * 2


@pytest.mark.parametrize("status", [0, 1, 77, 255])
def test_the_exit_status_is_told(start: Start, script: Script, status: int) -> None:
    """The request ends with it; once there is an answer, it is nobody else's business."""
    answer = start(script(f"{HEAD}; exit {status}")).ask()

    assert (answer.app_status, answer.stderr, answer.status) == (status, b"", "200 OK")
    assert answer.ended_streams == [Type.STDOUT, Type.STDERR]


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV"])
def test_a_program_that_was_killed_is_reported(start: Start, script: Script, name: str) -> None:
    """A signal is 128 and its number, as in a shell, and a line in the web server's log."""
    program = script(f"ulimit -c 0; {HEAD}; kill -{name} $$")
    number = signal.Signals[f"SIG{name}"].value
    answer = start(program).ask()

    assert answer.app_status == 128 + number
    assert answer.stderr == f"fcgi2cgi: {program} was ended by signal {number}\n".encode()
    assert answer.status == "200 OK"


@pytest.mark.parametrize(
    ("text", "status", "how"),
    [
        ("exit 0", 0, "has ended with status 0"),
        ("exit 3", 3, "has ended with status 3"),
        ("kill -KILL $$", 137, "was ended by signal 9"),
        ("exec >&-; exit 4", 4, "has ended with status 4"),
    ],
)
def test_a_program_without_an_answer_is_a_bad_gateway(
    start: Start, script: Script, text: str, status: int, how: str
) -> None:
    """Where no byte was written the answer is 502, and the log says how the program ended."""
    program = script(text)
    answer = start(program).ask()

    assert answer.status == "502 Bad Gateway"
    assert answer.app_status == status
    assert answer.stderr == f"fcgi2cgi: {program} {how}, without an answer\n".encode()


@pytest.mark.parametrize("end", ["\\n", "\\r\\n"])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_location_without_a_status_is_302(
    start: Start, script: Script, end: str, piece: int
) -> None:
    """Web servers differ there (RFC 3875, section 6.2.3), however the head is written."""
    head = f"Content-Type: a/b{end}LOCATION: /x{end}{end}"
    answer = start(script(f"printf '{head}more' | dd bs={piece} 2>/dev/null")).ask()

    written = head.encode().decode("unicode_escape").encode()
    assert answer.stdout == b"Status: 302 Found\r\n" + written + b"more"


@pytest.mark.parametrize(
    "head",
    [
        r"Location: /x\nStatus: 201 Created\n\n",
        r"status: 201 Created\r\nLocation: /x\r\n\r\n",
        r"HTTP/1.1 200 OK\nLocation: /x\n\n",
        r"Content-Location: /x\nX-Location: /y\n\n",
        r"Content-Type: a/b\n\nLocation: /x\n\n",
        r"Location: /x\n",
        r"Location: /%09000d\n\n",
    ],
    ids=["status", "before", "http", "other names", "body", "no end", "long"],
)
def test_other_heads_are_passed_on_as_they_are(start: Start, script: Script, head: str) -> None:
    """With a Status, without a Location, or if it is no head that can be seen whole."""
    program = script(f"printf '{head}'")

    assert start(program).ask().stdout == subprocess.check_output([program])


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_head_is_answered_without_a_body(start: Start, script: Script, piece: int) -> None:
    """The server drops what a program writes all the same (RFC 3875, section 4.3.3)."""
    program = script(f"({HEAD}; head -c 100000 /dev/zero) | dd bs={piece} 2>/dev/null; echo >&2 x")
    wrapper = start(program)

    answer = wrapper.ask({"REQUEST_METHOD": "HEAD"})
    assert (answer.stdout, answer.stderr) == (b"Content-Type: text/plain\r\n\r\n", b"x\n")
    assert len(wrapper.ask({"REQUEST_METHOD": "GET"}).body) == 100_000


def test_head_for_what_cannot_be_run_has_no_body_either(start: Start) -> None:
    """The refusal is a head then."""
    answer = start("/nowhere/at/all").ask({"REQUEST_METHOD": "HEAD"})

    assert answer.status.startswith("404 ")
    assert answer.stdout.endswith(b"\r\n\r\n")


def test_stderr_has_a_stream_of_its_own(start: Start, script: Script) -> None:
    """What a program complains of is not in its answer, however much it is."""
    program = script(f"{HEAD}; head -c 300000 /dev/zero >&2; echo done; echo last >&2")
    answer = start(program).ask()

    assert answer.body == b"done\n"
    assert answer.stderr == bytes(300_000) + b"last\n"


@pytest.mark.parametrize("where", ["null", "inherit"])
def test_stderr_may_go_elsewhere(start: Start, script: Script, where: str) -> None:
    """With null it goes nowhere; with inherit to what the service has, and not to the client."""
    text = "echo oops >&2" if where == "null" else "readlink /proc/$$/fd/2"
    wrapper = start("--stderr", where, script(f"{HEAD}; {text}"))
    answer = wrapper.ask()

    assert answer.stderr == b""
    assert wrapper.process.stderr is not None
    own = os.readlink(f"/proc/self/fd/{wrapper.process.stderr.fileno()}")
    assert answer.body == (b"" if where == "null" else f"{own}\n".encode())


def test_what_runs_on_in_the_background_is_not_waited_for(start: Start, script: Script) -> None:
    """An answer is complete when its stream and its program have ended; stderr may stay open."""
    wrapper = start(script(f"{HEAD}; sleep 1000 > /dev/null & echo $!; echo oops >&2"))
    answer = wrapper.ask()
    left = int(answer.body)

    assert answer.stderr == b"oops\n"
    assert [one.pid for one in wrapper.programs()] == [left]
    os.kill(left, signal.SIGKILL)


def test_a_program_may_close_its_answer_and_go_on(start: Start, script: Script) -> None:
    """The request ends with the program, with its status."""
    wrapper = start(script(f"{HEAD}; exec >&-; read x; exit 9"))
    records = request(None, b"x\n")
    wrapper.peer.send(records[:3])
    assert (record := wrapper.peer.read_record()) is not None
    assert record.type == Type.STDOUT
    wrapper.peer.send(records[3:])

    assert wrapper.peer.read_answer().app_status == 9


def test_a_script_without_an_interpreter_line_is_the_shells(start: Start, tmp_path: Path) -> None:
    """The rule of execvp(3)."""
    program = tmp_path / "program"
    program.write_text(f'{HEAD}; echo "$0" "$@"\n')
    program.chmod(0o755)

    assert start(str(program), "a").ask().body == f"{program} a\n".encode()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("missing", "404 Not Found"),
        ("interpreter", "404 Not Found"),
        ("mode", "403 Forbidden"),
        ("folder", "403 Forbidden"),
        ("busy", "500 Internal Server Error"),
    ],
)
def test_what_cannot_be_run_is_answered(
    start: Start, tmp_path: Path, kind: str, status: str
) -> None:
    """Each request is refused, with a line in the log; the connection lives."""
    program = tmp_path / "program"
    if kind == "folder":
        program.mkdir()
    elif kind != "missing":
        program.write_text("#!/nowhere/sh\n")
        program.chmod(0o644 if kind == "mode" else 0o755)
    wrapper = start(str(program))
    with open(program, "r+b") if kind == "busy" else open(os.devnull, "rb"):
        answers = [wrapper.ask(None, body) for body in (b"", b"x" * 200_000)]

    assert [answer.status for answer in answers] == [status, status]
    assert all(answer.stderr.startswith(f"fcgi2cgi: {program}: ".encode()) for answer in answers)
    assert [answer.app_status for answer in answers] == [126, 126]


def test_a_system_that_lacks_descriptors_is_answered(start: Start) -> None:
    """The request is refused with 503, and the next one is carried out once there are some."""
    wrapper = start("printf", "x")
    soft, hard = resource.prlimit(wrapper.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(wrapper.pid, resource.RLIMIT_NOFILE, (7, hard))
    refused = wrapper.ask(None, b"body")
    resource.prlimit(wrapper.pid, resource.RLIMIT_NOFILE, (soft, hard))

    assert refused.status == "503 Service Unavailable"
    assert b"Too many open files" in refused.stderr
    assert wrapper.ask(None, b"body").stdout == b"x"


def test_lines_of_our_own_go_where_stderr_goes(fcgi2cgi: Path) -> None:
    """With inherit they are in the service's log, with null nowhere."""
    said = {
        where: subprocess.run(
            [fcgi2cgi, "--stderr", where, "--", "/nowhere"],
            input=encode(request()),
            capture_output=True,
            check=False,
        )
        for where in ("inherit", "null")
    }

    assert said["inherit"].stderr.startswith(b"fcgi2cgi: /nowhere: ")
    assert said["null"].stderr == b""
    assert all(b"fcgi2cgi" not in done.stdout for done in said.values())


def test_a_root_has_a_program_for_each_path(start: Start, tmp_path: Path) -> None:
    """The path names the program, which runs in its folder; what is not there is not found."""
    for name in ("one", "two"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\n{HEAD}; echo {name} "$SCRIPT_NAME" "$PATH_INFO"; pwd\n')
        program.chmod(0o755)
    wrapper = start("--root", str(tmp_path))
    bodies = [wrapper.ask({"PATH_INFO": path}).body for path in ("/one", "/two/more")]

    assert bodies == [f"one /one \n{tmp_path}\n".encode(), f"two /two /more\n{tmp_path}\n".encode()]
    assert wrapper.ask({"PATH_INFO": "/three"}).status == "404 Not Found"
    assert wrapper.ask({}).status == "404 Not Found"
