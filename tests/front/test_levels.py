"""A front at every level: what the program of a pool finds, and what clients see."""

import contextlib
import os
import shlex
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from harness import scgi
from harness.clients import connect, read_all
from harness.processes import marked
from harness.servers import run_socket
from harness.supervisors import Supervisor
from harness.waiting import wait_for
from socketd.system.products import HOLD_SCRIPT, is_built

from .conftest import SHOW, Script, Start

pytestmark = pytest.mark.slow

# The same answers at each level: a shell script, at stop with a stop before its first line.
LEVELS = pytest.mark.parametrize("level", ["fork", "load!", "stop!"])
PYTHON = f"{shlex.quote(sys.executable)} {HOLD_SCRIPT} --cgi"


def stopping(level: str, text: str) -> str:
    """Return a script that says itself where its start ends, if the level wants that."""
    return text.replace("#!/bin/sh\n", "#!/bin/bash\nkill -STOP $$\n") if "stop" in level else text


@LEVELS
def test_program_gets_exactly_its_request(start: Start, script: Script, level: str) -> None:
    """No variable of the server or of the connection is there, and the body is whole."""
    program = script(stopping(level, SHOW))
    server = start("--ready", level, "-p", program, SECRET="of the server")
    whole = scgi.request(b"the body", REQUEST_METHOD="POST", REMOTE_ADDR="192.0.2.7")

    lines = scgi.ask(server.place, whole).decode().replace("\r\n", "\n").splitlines()

    assert lines == [
        "Content-Type: text/plain",
        "",
        "CONTENT_LENGTH=8",
        "GATEWAY_INTERFACE=CGI/1.1",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "REMOTE_ADDR=192.0.2.7",
        "REQUEST_METHOD=POST",
        "SCGI=1",
        f"UNIQUE_ID={server.wait_event('connection_closed')['id']}",
        f"in {os.path.dirname(program)}",
        "body the body",
    ]


@LEVELS
def test_name_of_a_request_is_taken_over(start: Start, script: Script, level: str) -> None:
    """A web server may have one, as Apache has; the log has it, too."""
    server = start("--ready", level, "-p", script(stopping(level, SHOW)))
    answer = scgi.ask(server.place, scgi.request(UNIQUE_ID="of-the-web-server"))

    assert b"\nUNIQUE_ID=of-the-web-server\n" in answer
    assert server.wait_event("connection_closed")["id"] == "of-the-web-server"


@LEVELS
def test_two_requests_never_see_each_other(start: Start, script: Script, level: str) -> None:
    """Variables, body and working directory of one request are gone with it."""
    text = f"{SHOW}cd /; export LEFT=behind; LATER=1\n"
    server = start("--ready", level, "-p", script(stopping(level, text)))

    first = scgi.ask(server.place, scgi.request(b"first", HTTP_COOKIE="secret", ONLY="here"))
    others = [scgi.ask(server.place, scgi.request(b"second")) for _ in range(6)]

    assert b"secret" in first
    for other in others:
        assert b"secret" not in other
        assert b"first" not in other
        assert b"LEFT" not in other
        assert b"ONLY" not in other


@LEVELS
def test_many_requests_at_once_get_their_own_answers(
    start: Start, script: Script, level: str
) -> None:
    """Each client finds its own body, whatever comes at the same time."""
    server = start("--ready", level, "-p", script(stopping(level, SHOW)))
    bodies = [b"body of %d" % number for number in range(60)]
    answers: dict[bytes, bytes] = {}

    def ask(body: bytes) -> None:
        answers[body] = scgi.ask(server.place, scgi.request(body, NUMBER=body.decode()))

    threads = [threading.Thread(target=ask, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for body in bodies:
        assert answers[body].endswith(b"body " + body + b"\n")
        assert b"NUMBER=" + body + b"\n" in answers[body]
    server.wait_settled(idle=2)


@LEVELS
def test_refused_request_is_answered_and_told(start: Start, script: Script, level: str) -> None:
    """The program is not started; the end of the connection has a status of its own."""
    server = start("--ready", level, "-p", script(stopping(level, SHOW)))

    text = scgi.ask(server.place, scgi.REFUSED)

    assert text.startswith(b"Status: 400 Bad Request\r\n")
    assert b"PATH=" not in text
    assert server.wait_event("connection_closed")["status"] == 65
    server.wait_settled(idle=2)


@LEVELS
def test_answer_reaches_a_client_that_still_sends(start: Start, script: Script, level: str) -> None:
    """A program that does not read its body is answered whole: the connection is not reset."""
    text = "#!/bin/sh\nprintf 'Status: 413 Content Too Large\\r\\n\\r\\n'\n"
    server = start("--ready", level, "-p", script(stopping(level, text)))

    for _ in range(5):
        answer = scgi.ask(server.place, scgi.request(bytes(100_000)))
        assert answer == b"Status: 413 Content Too Large\r\n\r\n"


@LEVELS
def test_slow_client_keeps_nobody_else_waiting(start: Start, script: Script, level: str) -> None:
    """As long as a head is on its way, others are served; then its request is too."""
    server = start("--ready", level, "-p", script(stopping(level, SHOW)))
    slow = scgi.request(b"slow")
    with connect(server.place) as connection:
        connection.sendall(slow[:30])
        for _ in range(5):
            assert scgi.ask(server.place, scgi.request(b"quick")).endswith(b"body quick\n")
        connection.sendall(slow[30:])

        assert read_all(connection).endswith(b"body slow\n")


@LEVELS
def test_head_has_its_time(start: Start, script: Script, level: str) -> None:
    """A client that stops in the midst of a head is told so after the time limit."""
    server = start("--ready", level, "--head-timeout", "200ms", "-p", script(stopping(level, SHOW)))

    assert scgi.ask(server.place, scgi.request()[:20]).startswith(b"Status: 408 Request Timeout")


@LEVELS
def test_worker_that_reads_a_head_keeps_no_listener(
    start: Start, script: Script, level: str
) -> None:
    """A server that is stopped meanwhile takes no more clients, and waits for this one."""
    server = start("--ready", level, "-p", script(stopping(level, SHOW)))
    place = server.place
    whole = scgi.request(b"late")
    with connect(place) as connection:
        connection.sendall(whole[:30])
        server.wait_event("connection_accepted")
        server.signal(signal.SIGTERM)
        server.wait_event("stopping")
        wait_for(lambda: is_refused(place), "nobody listens any more")
        connection.sendall(whole[30:])

        assert read_all(connection).endswith(b"body late\n")
    assert server.wait() == 0


def is_refused(place: object) -> bool:
    """Tell whether a connection to a place is refused at once."""
    assert isinstance(place, tuple)
    with socket.socket() as client:
        client.settimeout(0.2)
        try:
            client.connect(place)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False
    return False


@LEVELS
def test_worker_that_reads_a_head_can_be_ended(start: Start, script: Script, level: str) -> None:
    """No client can keep a worker: its signals act while it waits."""
    server = start("--ready", level, "-p", script(stopping(level, SHOW)))
    with connect(server.place) as connection:
        connection.sendall(scgi.request()[:20])
        pid = int(server.wait_event("connection_accepted")["pid"])
        # It reads: the part that was sent is gone from its socket.
        wait_for(lambda: waits_for_input(pid), "the worker waits for the rest")
        os.kill(pid, signal.SIGTERM)

        assert read_all(connection) == b""
    assert server.wait_event("connection_closed")["status"] == -signal.SIGTERM


def waits_for_input(pid: int) -> bool:
    """Tell whether a process sits in poll()."""
    with open(f"/proc/{pid}/wchan") as file:
        return "poll" in file.read()


@LEVELS
def test_no_descriptor_of_ours_reaches_the_program(
    start: Start, script: Script, level: str
) -> None:
    """Beside the connection and standard error there is nothing."""
    # The shell's own: $$ is that of a template.
    text = "#!/bin/sh\nsh -c 'ls /proc/$PPID/fd'; :\n"
    server = start("--ready", level, "-p", script(stopping(level, text)))
    for whole in (scgi.request(), scgi.request(b"body")):
        found = set(scgi.ask(server.place, whole).split())
        # A shell keeps its script open, far up.
        assert found - {b"10", b"255"} == {b"0", b"1", b"2"}


def test_standard_error_is_not_in_the_answer(start: Start, script: Script) -> None:
    """What a CGI program complains of goes where the server's own messages go."""
    server = start("-p", script("#!/bin/sh\necho complaint >&2; printf '\\r\\n'\n"), is_quiet=False)

    assert scgi.ask(server.place, scgi.request()) == b"\r\n"
    wait_for(lambda: "complaint" in server.noise, "the complaint is on standard error")


def test_program_that_says_nothing_closes_the_connection(start: Start, script: Script) -> None:
    """Whoever asked makes its own answer of that; the status is in the log."""
    server = start("-p", script("#!/bin/sh\nexit 3\n"))

    assert scgi.ask(server.place, scgi.request()) == b""
    assert server.wait_event("connection_closed")["status"] == 3


@pytest.mark.parametrize("body", [b"", b"body"])
def test_program_behind_a_parent_is_ended_with_it(
    start: Start, script: Script, body: bytes
) -> None:
    """A stop that has to use force reaches the program, whatever stands before it."""
    server = start("--drain-timeout", "100ms", "-p", script("#!/bin/sh\necho up; sleep 1000\n"))
    with connect(server.place) as connection:
        connection.sendall(scgi.request(body))
        assert scgi.read_some(connection, 3) == b"up\n"
        assert server.stop() == 0
    assert marked(server.mark) == []


def test_worker_that_is_killed_as_it_reads_is_replaced(start: Start, script: Script) -> None:
    """The client sees the end, and others are served."""
    server = start("-p", script())
    with connect(server.place) as connection:
        connection.sendall(scgi.request()[:20])
        os.kill(int(server.wait_event("connection_accepted")["pid"]), signal.SIGKILL)
        assert read_to_reset(connection) == b""

    assert scgi.ask(server.place, scgi.request(b"next")).endswith(b"body next\n")
    server.wait_settled(idle=2)


def read_to_reset(connection: socket.socket) -> bytes:
    """Read to the end; a reset is one too, since what was sent may not have been read."""
    try:
        return read_all(connection)
    except ConnectionResetError:
        return b""


def test_end_of_the_master_ends_idle_workers_and_no_request(start: Start, script: Script) -> None:
    """A request whose head is on its way is carried out though nobody is left to tell."""
    server = start("-p", script())
    whole = scgi.request(b"orphan")
    with connect(server.place) as connection:
        connection.sendall(whole[:30])
        server.wait_event("connection_accepted")
        server.process.kill()
        server.wait()
        connection.sendall(whole[30:])

        assert read_all(connection).endswith(b"body orphan\n")
    wait_for(lambda: not marked(server.mark), "everybody is gone")


def test_folder_of_programs_behind_a_front(start: Start, script: Script, tmp_path: Path) -> None:
    """The path chooses; what is not there is an answer, and no failure of the service."""
    script('#!/bin/sh\nprintf "\\r\\n%s" "$SCRIPT_NAME"\n', "bin/a")
    script("#!/nowhere/sh\n", "bin/broken")
    server = start("--root", str(tmp_path / "bin"))
    paths = ["/a", "/b", "/broken", "/broken", "/broken", "/a"]

    answers = [scgi.ask(server.place, scgi.request(PATH_INFO=path))[:12] for path in paths]

    assert answers == [
        b"\r\n/a", b"Status: 404 ", b"Status: 404 ", b"Status: 404 ", b"Status: 404 ", b"\r\n/a"
    ]  # fmt: skip
    assert server.events("worker_failed") == []
    server.wait_settled(idle=2)


def test_python_script_is_prepared_and_sees_its_request(start: Start, script: Script) -> None:
    """The interpreter and the imports are there; os.environ is the request's."""
    path = script(
        "import json, os, sys\n"
        "print('Content-Type: text/plain\\n')\n"
        "body = sys.stdin.read(int(os.environ['CONTENT_LENGTH']))\n"
        "print(body, os.getcwd(), sys.argv, json.dumps(dict(os.environ)))\n"
    )
    server = start("--ready", "stop!", "-p", f"{PYTHON} {path} word")

    for body in ("one", "two"):
        whole = scgi.request(body.encode(), HTTP_LANG=f"<{body}>")
        answer = scgi.ask(server.place, whole).decode()
        assert answer.startswith(f"Content-Type: text/plain\n\n{body} {os.path.dirname(path)} ")
        assert f"['{path}', 'word']" in answer
        assert f'"HTTP_LANG": "<{body}>"' in answer
        assert "SOCKETD" not in answer
    assert server.wait_event("service_ready")["ready"] == "stop"


def test_what_a_script_remembers_is_of_its_request_alone(start: Start, script: Script) -> None:
    """Neither its memory nor a file that its start has opened tells of others."""
    path = script(
        "import os\nfrom notes import notes, file\n"
        "notes.append(os.environ['HTTP_WHO'])\n"
        "print(notes, file.read())\n"
    )
    script("notes = []\nfile = open(__file__)\nfile.readline()\n", "notes.py")
    server = start("--ready", "stop!", "-p", f"{PYTHON} {path}")

    answers = [
        scgi.ask(server.place, scgi.request(HTTP_WHO=who)).decode() for who in ("ann", "bob", "eve")
    ]

    for who, answer in zip(("ann", "bob", "eve"), answers, strict=True):
        assert answer.startswith(f"['{who}'] file = open(__file__)\n")


def test_c_environment_of_a_held_script_is_the_request_s(start: Start, script: Script) -> None:
    """What a copy starts inherits the request, too, with values of any length."""
    path = script("import subprocess\nsubprocess.run(['env'])\n")
    server = start("--ready", "stop!", "-p", f"{PYTHON} {path}")
    value = "v" * 50_000

    assert f"HTTP_LONG={value}\n" in scgi.ask(server.place, scgi.request(HTTP_LONG=value)).decode()


def test_request_that_is_too_large_to_be_passed_on_delays_nobody(
    script: Script, tmp_path: Path
) -> None:
    """That the program cannot be executed then is the request's affair, and answered."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    file = tmp_path / "services.toml"
    program = [script('#!/bin/sh\nprintf "\\r\\nserved"\n'), "x" * 100_000]
    file.write_text(
        f'[service.a]\nlisten = ["tcp:127.0.0.1:0"]\nfront = "scgi"\nprogram = {program!r}\n'
        "ready = 'fork'\nlimits = { stack = 524288 }\n"
    )
    supervisor = Supervisor(file)
    with contextlib.closing(supervisor.server):
        for _ in range(5):
            answer = scgi.ask(supervisor.place("a"), scgi.request(A="x" * 60_000))
            assert answer.startswith(b"Status: 431 ")
        assert scgi.ask(supervisor.place("a"), scgi.request()) == b"\r\nserved"
        assert supervisor.server.events("backing_off") == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--ready", "read", "-p", "cat"), "at the level read the program reads its"),
        (("--worker", "python", "-p", "cat"), "only native workers read requests"),
        (("-c", "-p", "cat"), "-c, -r and -w would change a request's bytes"),
        (("--ready", "load", "--root", "/bin"), "a request names the program"),
        (("--root", "/bin", "-p", "cat"), "--root: replaces -p"),
        (("--root", "/nowhere"), "--root: '/nowhere' is not a directory"),
        (("--head-timeout", "soon", "-p", "cat"), "--head-timeout: 'soon' is not a duration"),
        (("--keep-timeout", "1m", "-p", "cat"), "--keep-timeout: needs --front fcgi"),
        ((), "--front needs -p COMMAND or --root FOLDER"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    arguments: tuple[str, ...], complaint: str
) -> None:
    """One line says what, before anything is bound."""
    outcome = run_socket("--front", "scgi", "-W", "1", "-s", "0", *arguments)

    assert outcome.status == 15
    assert complaint in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("-W", "1", "-s", "--root", "/bin", "0"), "--front scgi or fcgi"),
        (("-W", "1", "-s", "-p", "cat", "--head-timeout", "1s", "0"), "--front scgi or fcgi"),
        (("-W", "1", "-s", "-p", "cat", "--keep-timeout", "1m", "0"), "needs --front fcgi"),
        (("--keep-timeout", "1m", "localhost", "1"), "--keep-timeout needs -s"),
        (("--front", "scgi", "-p", "cat", "localhost", "1"), "--front needs -s"),
        (("--front", "http", "-W", "1", "-s", "-p", "cat", "0"), "is not one of none, scgi, fcgi"),
        (
            ("--front", "fcgi", "--ready", "read", "-W", "1", "-s", "-p", "cat", "0"),
            "reads its variables before there is a request",
        ),
    ],
)
def test_front_where_there_can_be_none_is_a_usage_error(
    arguments: tuple[str, ...], complaint: str
) -> None:
    """One line says what is missing."""
    outcome = run_socket(*arguments)

    assert outcome.status == 15
    assert complaint in outcome.stderr


def test_request_of_the_protocol_s_document_comes_back(start: Start) -> None:
    """The example request is answered with its body."""
    body = b"What is the answer to life?"
    whole = scgi.head(
        {
            "CONTENT_LENGTH": "27",
            "SCGI": "1",
            "REQUEST_METHOD": "POST",
            "REQUEST_URI": "/deepthought",
        }
    )
    assert whole.startswith(b"70:CONTENT_LENGTH\00027\0SCGI\0001\0")
    server = start("-p", "head -c 27")

    assert scgi.ask(server.place, whole + body) == body
