"""Programs that ask who their client is before they read: in a template there is none."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.clients import Place, connect, exchange, read_all
from harness.sanitized import ASAN_OPTIONS

from .conftest import Compile, Start, ready, reason, reason_at_load
from .sources import program

pytestmark = pytest.mark.slow

# A program behind a front has none of our variables, but for these.
FRONT = ("--front", "scgi", "--env", f"ASAN_OPTIONS={ASAN_OPTIONS}")

PERL = "use Socket; ($p) = sockaddr_in(getpeername(STDIN)); <STDIN>; print qq($p\n)"
PYTHON = """
import os, socket, sys
port = socket.fromfd(0, socket.AF_INET, socket.SOCK_STREAM).getpeername()[1]
sys.stdin.readline(); print(port)
"""
RUBY_VARIABLE = "p = ENV['REMOTE_PORT']; STDIN.gets; puts p"
LUA = "local p = os.getenv('REMOTE_PORT'); io.read(); print(p)"
RUBY = "require 'socket'; p = Socket.for_fd(0).remote_address.ip_port; STDIN.gets; puts p"


def asks(call: str) -> str:
    """Return the reason why a program is not held that has made a call."""
    return f"it asks about its connection before there is one ({call})"


# Commands that find out their client's port before they read, and answer with it.
CURIOUS = {
    "perl": (["perl", "-e", PERL], "getpeername"),
    "python": ([sys.executable, "-c", PYTHON], "getsockname"),  # to make an object of it
    "ruby": (["ruby", "-e", RUBY], "getpeername"),
    "ruby variable": (["ruby", "-e", RUBY_VARIABLE], "getenv"),
    "lua variable": (["lua", "-e", LUA], "getenv"),
}


def port_and_answer(place: Place) -> tuple[int, int]:
    """Send a line; return the client's port and the one that is answered."""
    with connect(place) as connection:
        connection.sendall(b"\n")
        connection.shutdown(1)
        return connection.getsockname()[1], int(read_all(connection))


@pytest.mark.parametrize("name", CURIOUS)
def test_program_that_asks_who_its_client_is_before_it_reads_is_not_held_there(
    start: Start, name: str
) -> None:
    """It would take the socket that stands for the connection for every later client."""
    command, call = CURIOUS[name]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    server = start("read", shlex.join(command), is_quiet=False)

    found = [port_and_answer(server.place) for _ in range(2)]

    assert all(port == answer for port, answer in found)
    assert reason(server) == asks(call)
    assert ready(server) == "load"


def test_access_list_is_asked_about_each_client(start: Start) -> None:
    """The wrapper of TCP daemons asks before it execs the daemon that reads."""
    wrapper = shutil.which("tcpd", path="/usr/sbin")
    if wrapper is None:
        pytest.skip("tcpd is not installed")
    # Its own name is the daemon's.
    server = start("read", f"bash -c 'exec -a /bin/cat {wrapper}'", is_quiet=False)

    assert reason_at_load(server) == asks("getpeername")


def test_ftp_daemon_is_not_held_where_it_would_know_no_client(start: Start) -> None:
    """Passive mode has to name the address at which its client has reached it."""
    daemon = shutil.which("ftpd", path="/usr/sbin")
    if daemon is None:
        pytest.skip("ftpd is not installed")
    server = start("read", daemon, is_quiet=False)

    greeting, *_ = exchange(server.place, b"QUIT\r\n").splitlines()

    assert greeting.startswith(b"220 ")
    assert reason(server) == asks("getpeername")
    assert ready(server) == "load"


def test_git_daemon_is_not_held_where_it_has_no_address_to_log(
    start: Start, tmp_path: Path
) -> None:
    """It asks for REMOTE_ADDR, which it passes to its hooks, before it reads."""
    found = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=False)
    daemon = Path(found.stdout.strip(), "git-daemon")
    if not daemon.exists():
        pytest.skip("git-daemon is not installed")
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "empty"], check=True)
    command = [str(daemon), "--inetd", "--export-all", f"--base-path={tmp_path}"]
    server = start("read", shlex.join(command), is_quiet=False)

    assert not isinstance(server.place, str)
    host, port = server.place
    url = f"git://{host}:{port}/empty"
    listed = subprocess.run(["git", "ls-remote", url], capture_output=True, check=False)

    assert (listed.returncode, listed.stdout) == (0, b"")
    assert reason(server) == asks("getenv")
    assert ready(server) == "load"


VARIABLES = (
    "PROTO TCPLOCALIP TCPLOCALPORT TCPREMOTEIP TCPREMOTEPORT REMOTE_ADDR REMOTE_PORT REMOTE_HOST "
    "SERVER_ADDR SERVER_PORT IPCREMOTEEUID IPCREMOTEEGID IPCREMOTEPID IPCLOCALPATH IPCREMOTEPATH"
).split()


def test_each_variable_of_a_connection_is_known(start: Start, compile_c: Compile) -> None:
    """Those that a worker sets, and no other of that kind."""
    path = compile_c(program("getenv(words[1]); getchar(); getenv(words[1]);"))
    for name in VARIABLES:
        server = start("read", f"{path} {name}", is_quiet=False)

        assert reason(server) == asks("getenv"), name

    assert ready(start("read!", f"{path} HOME")) == "read"
    assert ready(start("read!", f"{path} TCPREMOTEINFO")) == "read"


@pytest.mark.parametrize("name", ["QUERY_STRING", "HTTP_HOST", "REQUEST_URI"])
def test_variable_of_a_request_is_known_behind_a_front(
    start: Start, compile_c: Compile, name: str
) -> None:
    """It is as late as the connection; without a front nobody sets it."""
    path = compile_c(program(f'getenv("{name}"); raise(SIGSTOP);'))
    server = start("stop", path, *FRONT, is_quiet=False)

    assert reason(server) == asks("getenv")
    assert ready(start("stop!", path)) == "stop"


def test_what_no_request_sets_may_be_asked_for_behind_a_front(
    start: Start, compile_c: Compile
) -> None:
    """Such as what tells a library of a proxy, or where the user is at home."""
    path = compile_c(program('getenv("HTTP_PROXY"); getenv("HOME"); raise(SIGSTOP);'))

    assert ready(start("stop!", path, *FRONT)) == "stop"


def test_program_ends_at_its_question(start: Start, compile_c: Compile, tmp_path: Path) -> None:
    """What it would do with a wrong answer, such as to log it, it does not do."""
    mark = tmp_path / "mark"
    path = compile_c(
        program(
            "struct sockaddr_storage a; socklen_t n = sizeof a; char b[99]; long c;"
            "getpeername(0, (void *)&a, &n);"
            f'if (a.ss_family == AF_UNIX) close(creat("{mark}", 0600));'
            "while ((c = read(0, b, 99)) > 0) write(1, b, c);"
        )
    )
    server = start("read", path, is_quiet=False)

    assert exchange(server.place, b"a\n") == b"a\n"
    assert reason(server) == asks("getpeername")
    assert not mark.exists()


QUESTIONS = {
    "getsockname": "struct sockaddr_storage a; socklen_t n = sizeof a; "
    "getsockname(3, (void *)&a, &n);",
    "getsockopt": "struct ucred c; socklen_t n = sizeof c; "
    "getsockopt(3, SOL_SOCKET, SO_PEERCRED, &c, &n);",
}


@pytest.mark.parametrize("call", QUESTIONS)
@pytest.mark.parametrize("level", ["read", "stop"])
def test_each_call_that_asks_is_known_also_on_a_duplicate(
    start: Start, compile_c: Compile, call: str, level: str
) -> None:
    """Whatever the number of the descriptor, and at both levels that run main() ahead."""
    path = compile_c(program(f"dup2(1, 3); {QUESTIONS[call]} raise(SIGSTOP); getchar();"))
    server = start(level, path, is_quiet=False)

    assert reason(server) == asks(call)


def test_what_is_no_question_about_the_client_is_answered(start: Start, compile_c: Compile) -> None:
    """What is the same for every connection, other sockets, and whatever is asked later."""
    ask = "n = sizeof a; getpeername({}, (void *)&a, &n);"
    path = compile_c(
        program(
            "int pair[2], type; struct sockaddr_storage a; socklen_t n = sizeof type; char b[99];"
            "getsockopt(0, SOL_SOCKET, SO_TYPE, &type, &n); if (type != SOCK_STREAM) exit(9);"
            f"socketpair(AF_UNIX, SOCK_STREAM, 0, pair); {ask.format('pair[0]')}"
            "close(pair[0]); close(pair[1]);"
            f'fgets(b, 99, stdin); {ask.format("0")} puts(a.ss_family == AF_INET ? "a" : "b");'
        )
    )
    server = start("read!", path)

    assert exchange(server.place, b"a\n") == b"a\n"


def test_mark_refuses_a_question(start: Start) -> None:
    """With the mark the server does not start, and says why."""
    server = start("read!", shlex.join([sys.executable, "-c", PYTHON]), is_quiet=False)

    assert server.wait() == 71
    assert any(f"--ready read!: {asks('getsockname')}" in line for line in server.noise)
