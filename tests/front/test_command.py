"""`socketd cgi`: one command, by either protocol, at the level that fits."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import fastcgi, scgi
from harness.clients import Place, connect
from harness.servers import Server
from harness.supervisors import SOCKETD, run_socketd
from harness.waiting import wait_for
from socketd.system.products import is_built

from .conftest import Script

pytestmark = pytest.mark.slow

COMMAND = (SOCKETD, "cgi", "--log-format", "json", "-W", "2")
PYTHON = f"""#!{sys.executable}
import os, sys
print("Content-Type: text/plain\\n")
print(os.getpid(), os.environ["HTTP_WHO"], sys.argv[1:], os.getcwd())
"""
Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `socketd cgi`; it must leave nothing behind."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    with contextlib.ExitStack() as stack:

        def start_server(*arguments: str, is_quiet: bool = True, **variables: str) -> Server:
            server = Server(
                [*arguments],
                variables,
                command=COMMAND,
                is_quiet=is_quiet,
                is_measured=not arguments[-1].endswith(".py"),
            )
            stack.callback(server.close)
            return server

        yield start_server


def level_of(server: Server, listener: str) -> str:
    """Return the level that a listener says it is served at."""
    line = server.wait_event("service_ready", lambda one: listener in str(one["listener"]))
    return str(line["ready"])


def place_of(server: Server, listener: str) -> Place:
    """Return where a listener is reached."""
    line = server.wait_event("service_ready", lambda one: listener in str(one["listener"]))
    return str(line["address"]) if line["port"] is None else (line["address"], line["port"])


def ask_fcgi(place: Place, **variables: str) -> bytes:
    """Return the answer to a FastCGI request."""
    params = {"REQUEST_METHOD": "GET", "CONTENT_LENGTH": "0", **variables}
    with connect(place) as connection:
        peer = fastcgi.Peer(connection)
        peer.send(fastcgi.request(params))
        return peer.read_answer().stdout


def test_shell_script_is_loaded_ahead(start: Start, script: Script) -> None:
    """Whatever is linked dynamically bears that, and the log says which level it is."""
    server = start("--scgi", "127.0.0.1:0", script(), SECRET="of the server")

    answer = scgi.ask(place_of(server, "tcp:"), scgi.request(b"body", HTTP_A="b"))

    assert level_of(server, "tcp:") == "load"
    assert b"HTTP_A=b\n" in answer
    assert b"SECRET" not in answer
    assert answer.endswith(b"body body\n")


def test_python_script_is_prepared_ahead(start: Start, script: Script) -> None:
    """Its interpreter is found in its first line, and each request has a process of its own."""
    path = script(PYTHON, "hello.py")
    server = start("--scgi", "127.0.0.1:0", path, "word")
    place = place_of(server, "tcp:")

    answers = [
        scgi.ask(place, scgi.request(HTTP_WHO=who)).decode().split("\n\n")[1].split(maxsplit=2)
        for who in ("ann", "bob")
    ]

    assert level_of(server, "tcp:") == "stop"
    assert [who for _, who, _ in answers] == ["ann", "bob"]
    assert answers[0][0] != answers[1][0]
    assert answers[0][2] == f"['word'] {path.rpartition('/')[0]}\n"


def test_static_program_falls_back_by_itself(start: Start) -> None:
    """What nothing can be preloaded into is executed for each request, and the log says why."""
    from socketd.system.products import ZYGOTE as EXECUTABLE

    server = start("--scgi", "127.0.0.1:0", EXECUTABLE, is_quiet=False)

    assert level_of(server, "tcp:") == "fork"
    assert "linked statically" in server.wait_event("ready_chosen")["reason"]


def test_fastcgi_is_answered_by_copies_too(start: Start, script: Script, tmp_path: Path) -> None:
    """Workers that speak FastCGI are copies of the program themselves: there is one service."""
    path = str(tmp_path / "s")
    server = start("--fcgi", path, script(PYTHON, "hello.py"))

    assert level_of(server, path) == "stop"
    for who in ("ann", "bob"):
        assert f" {who} " in ask_fcgi(place_of(server, path), HTTP_WHO=who).decode()
    assert len(server.events("service_ready")) == 1
    assert server.stop() == 0


def test_folder_of_programs_by_both_protocols(start: Start, script: Script, tmp_path: Path) -> None:
    """The path of a request names the program, and nothing is started ahead."""
    script('#!/bin/sh\nprintf "\\r\\n%s" "$SCRIPT_NAME$MODE"\n', "bin/a")
    path = str(tmp_path / "s")
    root = str(tmp_path / "bin")
    server = start("--scgi", "127.0.0.1:0", "--fcgi", path, "--env", "MODE=x", "--root", root)

    assert level_of(server, "tcp:") == "fork"
    assert scgi.ask(place_of(server, "tcp:"), scgi.request(PATH_INFO="/a")) == b"\r\n/ax"
    assert ask_fcgi(place_of(server, path), PATH_INFO="/a") == b"\r\n/ax"
    assert ask_fcgi(place_of(server, path), PATH_INFO="/b").startswith(b"Status: 404 ")


@pytest.mark.parametrize("ready", ["fork", "load"])
@pytest.mark.parametrize("protocol", ["scgi", "fcgi"])
def test_list_of_names_holds_for_both_protocols(
    start: Start, script: Script, tmp_path: Path, protocol: str, ready: str
) -> None:
    """Whether the program is started for the request, or a copy of it goes on."""
    path = str(tmp_path / "s")
    names = ("--request-variables", "standard,HTTPS")
    server = start(f"--{protocol}", path, "--ready", ready, *names, script())
    sent = {"HTTPS": "on", "DOCUMENT_ROOT": "out", "PYTHONPATH": "out", "REMOTE_USER": "ann"}

    place = place_of(server, path)
    if protocol == "scgi":
        answer = scgi.ask(place, scgi.request(**sent))
    else:
        answer = ask_fcgi(place, **sent)

    assert b"\nHTTPS=on\n" in answer
    assert b"\nREMOTE_USER=ann\n" in answer
    assert b"out" not in answer


def test_stop_answers_what_kept_connections_have_asked(
    start: Start, script: Script, tmp_path: Path
) -> None:
    """What is between two requests ends at once, and what is at work after its answer."""
    slow = PYTHON.replace("import os, sys\n", "import os, sys\nsys.stdin.read()\n")
    path = str(tmp_path / "s")
    server = start("--fcgi", path, script(slow, "hello.py"))
    params = {"REQUEST_METHOD": "GET", "CONTENT_LENGTH": "4", "HTTP_WHO": "ann"}
    with connect(place_of(server, path)) as busy, connect(place_of(server, path)) as idle:
        peer, other = fastcgi.Peer(busy), fastcgi.Peer(idle)
        other.send(fastcgi.request({**params, "CONTENT_LENGTH": "0"}, keep=True))
        assert b" ann " in other.read_answer().stdout
        records = fastcgi.request(params, b"body", keep=True)
        peer.send(records[:-2])
        wait_for(lambda: len(server.events("connection_accepted")) == 2, "both are served")
        server.signal(signal.SIGTERM)

        assert other.is_at_end()
        peer.send(records[-2:])
        assert b" ann " in peer.read_answer().stdout
        assert peer.is_at_end()
    assert server.wait() == 0


def test_request_that_takes_too_long_is_ended(start: Start, script: Script, tmp_path: Path) -> None:
    """The limit is that of a request, also where the web server keeps its connection."""
    text = "#!/bin/sh\nprintf 'X: y\\r\\n\\r\\n'; test $WAIT = no || exec sleep 1000\n"
    path = str(tmp_path / "s")
    server = start("--fcgi", path, "--time-limit", "1s", "--ready", "fork", script(text))
    with connect(place_of(server, path)) as connection:
        peer = fastcgi.Peer(connection)
        for wait in ("no", "yes", "no"):
            params = {"REQUEST_METHOD": "GET", "CONTENT_LENGTH": "0", "WAIT": wait}
            peer.send(fastcgi.request(params, keep=True))
            answer = peer.read_answer()
            assert answer.stdout == b"X: y\r\n\r\n"
            assert (b"not ended within the time limit" in answer.stderr) == (wait == "yes")


def test_reload_starts_the_program_afresh(start: Start, script: Script) -> None:
    """After SIGHUP a changed script answers; no request is lost meanwhile."""
    path = script(PYTHON, "hello.py")
    server = start("--scgi", "127.0.0.1:0", path)
    place = place_of(server, "tcp:")
    assert b"ann" in scgi.ask(place, scgi.request(HTTP_WHO="ann"))
    Path(path).write_text(PYTHON.replace("print(os.getpid()", 'print("changed"'))

    server.signal(signal.SIGHUP)

    def is_changed() -> bool:
        answer = scgi.ask(place, scgi.request(HTTP_WHO="bob"))
        assert b"bob" in answer
        return b"changed" in answer

    wait_for(is_changed, "the changed script answers")


@pytest.mark.parametrize("protocol", ["--scgi", "--fcgi"])
def test_next_version_takes_over(
    start: Start, script: Script, tmp_path: Path, protocol: str
) -> None:
    """After SIGUSR2 the same process serves on, at the same places, and cleans up in the end."""
    path = str(tmp_path / "s")
    server = start(protocol, path, script(PYTHON, "hello.py"))
    place = place_of(server, path)

    def ask(who: str) -> bytes:
        if protocol == "--fcgi":
            return ask_fcgi(place, HTTP_WHO=who)
        return scgi.ask(place, scgi.request(HTTP_WHO=who))

    assert b"ann" in ask("ann")
    server.signal(signal.SIGUSR2)
    server.wait_event("reexec_done")

    assert b"bob" in ask("bob")
    assert server.stop() == 0
    assert not Path(path).exists()
    for line in server.events("service_ready"):
        assert not Path(line["address"]).exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "no address to listen on: give --scgi ADDRESS or --fcgi ADDRESS"),
        (("--scgi", "4000"), "give either a PROGRAM, --root FOLDER or --scripts PATH"),
        (
            ("--scgi", "4000", "--root", "/bin", "cat"),
            "give either a PROGRAM, --root FOLDER or --scripts PATH",
        ),
        (("--scgi", "4000", "--root", "/nowhere"), "--root: '/nowhere' is not a directory"),
        (("--scgi", "4000", "--ready", "load", "--root", "/bin"), "--ready load: a request names"),
        (("--scgi", "70000", "cat"), "'70000' is no address to listen on: give HOST:PORT"),
        (("--scgi", "x.sock", "cat"), "'x.sock' is no address to listen on: give HOST:PORT"),
        (("--scgi", "4000", "/nowhere/cat"), "cannot run '/nowhere/cat': there is no such file"),
        (("--scgi", "4000", "--ready", "read", "cat"), "--ready read: at the level read"),
        (("--scgi", "4000", "--user", "nobody-here", "cat"), "unknown user 'nobody-here'"),
        (("--scgi", "4000", "-W", "3", "--max-workers", "2", "cat"), "2 is less than the 3 of -W"),
    ],
)
def test_mistake_is_one_line(arguments: tuple[str, ...], complaint: str) -> None:
    """What is wrong is said before anything is bound or started."""
    outcome = run_socketd("cgi", *arguments)

    assert outcome.status != 0
    assert outcome.stderr.startswith("socketd: ")
    assert complaint in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--idle-timeout", "soon"),
        ("--mode", "9"),
        ("-W", "0"),
        ("--env", "x"),
        ("--env", "=x"),
        ("--user", ":1"),
        ("--nope",),
        ("--user", ""),
        ("--root", ""),
        ("--env", "A=", "--env", ""),
        ("--fcgi", ""),
        ("--request-variables", ""),
        ("--request-variables", "A,b c"),
        ("--log-file", ""),
    ],
)
def test_nonsense_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    """A value that there is not is refused with the option's name."""
    outcome = run_socketd("cgi", "--scgi", "4000", *arguments, "cat")

    assert outcome.status == 15
    assert arguments[0] in outcome.stderr
