"""`--front fcgi`: a worker serves its connection itself, at each level."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clients import connect
from harness.fastcgi import Peer, request
from harness.processes import ProcessView, all_processes, view
from harness.sanitized import ADDRESSES, ASAN_OPTIONS, IS_WANTED, Sanitized
from harness.servers import Server
from harness.waiting import wait_for
from socketd.system.products import is_built

from .conftest import Script
from .wrappers import HEAD

pytestmark = pytest.mark.slow

LEVELS = ("fork", "load!")
Begin = Callable[..., Server]
# Its start is over before the loop: what is behind the stop is done for each request.
STOPPING = f"""#!{sys.executable}
import os, random, signal, sys
dice = random.random()
os.kill(os.getpid(), signal.SIGSTOP)
sys.stdout.write("X: y\\r\\n\\r\\n")
print(os.getpid(), random.random(), os.environ.get("WHO"), sys.stdin.read())
sys.stdout.flush()
print("oops", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture
def begin(tmp_path: Path, sanitize: Callable[[str], Sanitized]) -> Iterator[Begin]:
    """Start servers that speak FastCGI; they must leave nothing behind."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, is_quiet: bool = True, **variables: str) -> Server:
            words = ["--front", "fcgi", "-W", "1", *arguments, "-s", str(tmp_path / "s")]
            if IS_WANTED:
                options = [f"--env=ASAN_OPTIONS={ASAN_OPTIONS}"]
                server = sanitize(ADDRESSES).serve([*options, *words], variables, is_quiet=is_quiet)
            else:
                server = Server(words, variables, is_quiet=is_quiet, is_measured=False)
            stack.callback(server.close)
            return server

        yield start


@contextlib.contextmanager
def connected(server: Server) -> Iterator[Peer]:
    """Connect as a web server does."""
    with contextlib.closing(Peer(connect(server.place))) as peer:
        yield peer


def running(server: Server, name: str) -> list[ProcessView]:
    """Return processes of a server by the beginning of their name: templates lead sessions."""
    everybody = all_processes()
    sessions = {one.session for one in everybody if one.parent == server.pid}
    return [
        one
        for one in everybody
        if one.session in sessions and one.name.startswith(name) and not one.is_zombie
    ]


def serving_at(server: Server) -> ProcessView:
    """Return the worker that serves the one connection; a child is called the same at first."""
    [serving] = wait_for(
        lambda: [one for one in running(server, "socketd-fastcgi") if one.parent == server.pid],
        "it is served",
    )
    return serving


@pytest.mark.parametrize("ready", LEVELS)
def test_requests_of_a_kept_connection_are_answered(
    begin: Begin, script: Script, ready: str
) -> None:
    """One after another: variables, body, both streams and status are those of each."""
    words = "$NAME $GATEWAY_INTERFACE $UNIQUE_ID"
    program = script(f'{HEAD}; echo "{words}"; cat; echo oops >&2; exit $CODE')
    server = begin("--ready", ready, "-p", program)
    with connected(server) as peer:
        called = server.wait_event("connection_accepted")["id"]
        for turn in range(5):
            body = b"body" * turn * 20_000
            peer.send(request({"NAME": f"n{turn}", "CODE": str(turn)}, body, keep=True))
            answer = peer.read_answer()
            assert answer.body == f"n{turn} CGI/1.1 {called}-{turn + 1}\n".encode() + body
            assert (answer.stderr, answer.app_status) == (b"oops\n", turn)
    assert server.wait_event("service_ready")["ready"] == ready.strip("!")


@pytest.mark.parametrize("ready", [*LEVELS, "stop!"])
@pytest.mark.parametrize("where", ["null", "inherit"])
def test_stderr_goes_where_the_service_says(
    begin: Begin, script: Script, ready: str, where: str
) -> None:
    """At every level: not to the web server then."""
    stop = "kill -STOP $$; " if ready == "stop!" else ""
    program = script(f"{stop}{HEAD}; echo oops >&2; echo done")
    server = begin("--ready", ready, "-p", program, "--stderr", where, is_quiet=False)
    with connected(server) as peer:
        for _ in range(2):
            peer.send(request({}, keep=True))
            answer = peer.read_answer()
            assert (answer.body, answer.stderr) == (b"done\n", b"")
    server.stop()

    assert server.noise == ["oops"] * (2 if where == "inherit" else 0)


@pytest.mark.parametrize("ready", LEVELS)
def test_request_without_the_flag_ends_the_connection(
    begin: Begin, script: Script, ready: str
) -> None:
    """Also with nobody who reads the body."""
    server = begin("--ready", ready, "-p", script(f"{HEAD}; echo hello"))
    for _ in range(3):
        with connected(server) as peer:
            peer.send(request({}, b"x" * 100_000))
            assert peer.read_answer().body == b"hello\n"
            assert peer.is_at_end()


def test_copies_at_stop_go_on_behind_it(begin: Begin, tmp_path: Path) -> None:
    """Each request has a process and random numbers of its own, and its variables."""
    program = tmp_path / "stopping.py"
    program.write_text(STOPPING)
    program.chmod(0o755)
    server = begin("--ready", "stop!", "-p", str(program))
    seen = []
    with connected(server) as peer:
        for who in ("ann", "bob", "cid"):
            peer.send(request({"WHO": who}, who.upper().encode(), keep=True))
            answer = peer.read_answer()
            pid, number, *rest = answer.body.decode().split()
            assert rest == [who, who.upper()]
            assert (answer.stderr, answer.app_status) == (b"oops\n", 3)
            seen.append((pid, number))
    assert len({pid for pid, _ in seen}) == len({number for _, number in seen}) == 3


@pytest.mark.parametrize("ready", LEVELS)
def test_program_has_its_three_streams_and_nothing_else(
    begin: Begin, tmp_path: Path, ready: str
) -> None:
    """Neither the connection nor anything of the pool, and it leads a group of its own."""
    program = tmp_path / "streams.py"
    program.write_text(
        f"#!{sys.executable} -I\n"
        "import os\n"
        "folder = '/proc/self/fd/'\n"
        "kinds = [os.readlink(folder + fd)[:4] for fd in os.listdir(folder)"
        " if os.path.exists(folder + fd)]\n"
        "print('X: y\\n\\n', kinds, os.getpgid(0) == os.getpid())\n"
    )
    program.chmod(0o755)
    server = begin("--ready", ready, "-p", str(program))
    with connected(server) as peer:
        for body in (b"", b"body"):
            peer.send(request({}, body, keep=True))
            first = "/dev" if ready == "fork" and not body else "pipe"
            expected = f"X: y\n\n {[first, 'pipe', 'pipe']} True\n"
            assert peer.read_answer().stdout == expected.encode()


@pytest.mark.skipif(IS_WANTED, reason="the library has terabytes of shadows")
def test_memory_of_a_copy_has_nothing_of_other_requests(begin: Begin, tmp_path: Path) -> None:
    """Whoever reads all of it finds neither what was sent before, nor what was answered."""
    program = tmp_path / "memory.py"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, re, signal, sys\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
        "body = sys.stdin.buffer.read()\n"
        "found = 0\n"
        "for line in open('/proc/self/maps'):\n"
        "    begin, end = (int(n, 16) for n in line.split()[0].split('-'))\n"
        "    if line.split()[1].startswith('rw'):\n"
        "        with open('/proc/self/mem', 'rb', 0) as memory:\n"
        "            memory.seek(begin)\n"
        "            found += len(re.findall(b't[e]ll[t]ale', memory.read(end - begin)))\n"
        "print('X: y\\n\\n', found, sep='')\n"
        "if body: print(body.decode())\n"
    )
    program.chmod(0o755)
    server = begin("--ready", "stop!", "-p", str(program))
    with connected(server) as peer:
        secret = "tell" + "tale"
        peer.send(request({"HTTP_COOKIE": secret}, secret.encode(), keep=True))
        assert secret.encode() in peer.read_answer().stdout
        peer.send(request({}, keep=True))
        assert peer.read_answer().stdout == b"X: y\n\n0\n"


@pytest.mark.parametrize("ready", LEVELS)
def test_program_ends_with_its_web_server(begin: Begin, script: Script, ready: str) -> None:
    """SIGTERM goes to its group when the connection is closed."""
    server = begin("--ready", ready, "-p", script(f"{HEAD}; exec sleep 1000"))
    with connected(server) as peer:
        peer.send(request({}, keep=True))
        wait_for(lambda: running(server, "sleep"), "the program runs")
    wait_for(lambda: not running(server, "sleep"), "the program has ended")


def test_crash_of_a_copy_ends_the_connection_and_renews_the_template(
    begin: Begin, script: Script
) -> None:
    """Who tries out addresses begins again: to the master the worker has crashed."""
    program = script(f"{HEAD}; test $CRASH = no || kill -ABRT $$")
    server = begin("--ready", "load!", "-p", program, "--log-level", "debug", is_quiet=False)
    server.wait_event("template_started")
    with connected(server) as peer:
        peer.send(request({"CRASH": "no"}, keep=True))
        assert peer.read_answer().app_status == 0
        peer.send(request({"CRASH": "yes"}, keep=True))
        answer = peer.read_answer()
        assert (answer.app_status, answer.status) == (128 + signal.SIGABRT, "200 OK")
        assert peer.is_at_end()
    server.wait_event("connection_closed", lambda one: one["status"] == -signal.SIGABRT)
    wait_for(lambda: len(server.events("template_started")) > 1, "the template is renewed")
    with connected(server) as peer:
        peer.send(request({"CRASH": "no"}))
        assert peer.read_answer().app_status == 0


def test_renewed_template_ends_connections_between_requests(begin: Begin, script: Script) -> None:
    """No web server keeps an old program in use: what is at work is answered by it, for once."""
    program = script(f"{HEAD}; cat; echo old")
    server = begin("--ready", "load!", "-v", "-p", program, is_quiet=False)
    with connected(server) as idle, connected(server) as busy:
        for peer in (idle, busy):
            peer.send(request({}, keep=True))
            assert peer.read_answer().body == b"old\n"
        records = request({}, b"body", keep=True)
        busy.send(records[:-1])
        wait_for(lambda: running(server, "cat"), "the program reads")
        Path(program).write_text(Path(program).read_text().replace("echo old", "echo new"))

        assert idle.is_at_end()
        busy.send(records[-1:])
        assert busy.read_answer().body == b"bodyold\n"
        assert busy.is_at_end()
    with connected(server) as peer:
        peer.send(request({}))
        assert peer.read_answer().body == b"new\n"


def test_killed_copy_is_replaced_before_its_request(begin: Begin, script: Script) -> None:
    """The one that waits for the rest of a request may be gone: nobody notices."""
    server = begin("--ready", "load!", "-p", script(f"{HEAD}; echo hello"))
    with connected(server) as peer:
        peer.send(request({}, keep=True))
        assert peer.read_answer().body == b"hello\n"
        whole = b"".join(one.encode() for one in request({}, keep=True))
        peer.connection.sendall(whole[:4])
        serving = serving_at(server)
        waiting = wait_for(
            lambda: [one for one in running(server, "socketd-copy") if one.parent == serving.pid],
            "a copy waits",
        )
        os.kill(waiting[0].pid, signal.SIGKILL)
        wait_for(lambda: view(waiting[0].pid) is None, "it is gone")
        peer.connection.sendall(whole[4:])
        assert peer.read_answer().body == b"hello\n"


@pytest.mark.parametrize("ready", LEVELS)
def test_stop_waits_for_the_first_request_of_a_connection(
    begin: Begin, script: Script, ready: str
) -> None:
    """A web server that has just connected is about to ask; nothing of it is lost."""
    server = begin("--ready", ready, "-p", script(f"{HEAD}; echo hello"), "-v", is_quiet=False)
    with connected(server) as peer:
        server.wait_event("connection_accepted")
        wait_for(lambda: running(server, "socketd-fastcgi"), "it is served")
        server.signal(signal.SIGTERM)
        server.wait_event("stopping")
        peer.send(request({}, keep=True))
        assert peer.read_answer().body == b"hello\n"
        assert peer.is_at_end()
    assert server.wait() == 0


@pytest.mark.parametrize("ready", LEVELS)
def test_stop_ends_what_holds_out_against_it(begin: Begin, script: Script, ready: str) -> None:
    """The program's whole group gets SIGKILL before the master kills the worker."""
    program = script("trap '' TERM; sleep 1000 & wait; sleep 1000")
    limits = ("--drain-timeout", "100ms", "--kill-timeout", "1s")
    server = begin("--ready", ready, *limits, "-p", program)
    with connected(server) as peer:
        peer.send(request({}, keep=True))
        wait_for(lambda: running(server, "sleep"), "the program runs")
        sleepers = running(server, "sleep")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    wait_for(lambda: not any(view(one.pid) for one in sleepers), "nothing of it is left")


@pytest.mark.parametrize("ready", LEVELS)
def test_time_limit_is_one_for_a_request(begin: Begin, script: Script, ready: str) -> None:
    """It is answered with 504 if nothing has been, and the connection goes on."""
    program = script(f"test $WAIT = no || sleep 1000; {HEAD}; echo hello")
    server = begin("--ready", ready, "--time-limit", "1s", "-p", program)
    with connected(server) as peer:
        for wait, status in (("no", "200 OK"), ("yes", "504 Gateway Timeout"), ("no", "200 OK")):
            peer.send(request({"WAIT": wait}, keep=True))
            answer = peer.read_answer()
            assert answer.status == status
            assert (b"time limit" in answer.stderr) == (wait == "yes")
    wait_for(lambda: not running(server, "sleep"), "what was too slow has ended")


def test_limit_on_processor_time_is_one_for_each_program(begin: Begin, script: Script) -> None:
    """Not for the process that serves the connection, however many requests it serves."""
    server = begin("--ready", "load!", "--limit", "cpu=7", "-p", script(f"{HEAD}; ulimit -t"))
    with connected(server) as peer:
        peer.send(request({}, keep=True))
        assert peer.read_answer().body == b"7\n"
        serving = serving_at(server)
        limits = Path(f"/proc/{serving.pid}/limits").read_text()
        assert "unlimited" in next(line for line in limits.splitlines() if "cpu time" in line)


def test_folder_of_programs_is_served_without_a_wrapper(
    begin: Begin, script: Script, tmp_path: Path
) -> None:
    """The path of a request names the program."""
    script(f'{HEAD}; echo "$SCRIPT_NAME $PATH_INFO"')
    server = begin("--root", str(tmp_path))
    with connected(server) as peer:
        for _ in range(2):
            peer.send(request({"PATH_INFO": "/script-0.cgi/more"}, keep=True))
            assert peer.read_answer().body == b"/script-0.cgi /more\n"
        peer.send(request({"PATH_INFO": "/none"}, keep=True))
        assert peer.read_answer().status == "404 Not Found"
        assert running(server, "socketd-fastcgi")
        assert not running(server, "fcgi2cgi")


def test_idle_kept_connection_costs_little(begin: Begin, script: Script) -> None:
    """What it has for itself is bounded, whatever its requests were."""
    server = begin("--ready", "load!", "-p", script(f"{HEAD}; cat"))
    with connected(server) as peer:
        for _ in range(3):
            body = b"x" * 150_000
            peer.send(request({"HTTP_X": "x" * 60_000}, body, keep=True))
            assert peer.read_answer().body == body
        serving = serving_at(server)
        wait_for(
            lambda: not [one for one in all_processes() if one.parent == serving.pid],
            "nothing is beside it",
        )
        assert _private_kib(serving.pid) < 512


def _private_kib(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))


def test_many_connections_at_once(begin: Begin, script: Script) -> None:
    """Each has its own processes, and its own answers."""
    server = begin("--ready", "load!", "-p", script(f'{HEAD}; echo "$NAME"; cat'))
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(connected(server)) for _ in range(6)]
        for turn in range(3):
            for number, peer in enumerate(peers):
                peer.send(request({"NAME": f"{turn}-{number}"}, b"body", keep=True))
            for number, peer in enumerate(peers):
                assert peer.read_answer().body == f"{turn}-{number}\nbody".encode()


def test_half_a_request_is_nobody_s(begin: Begin, script: Script) -> None:
    """Who leaves in the middle of the head has started no program, and leaves no process."""
    server = begin("--ready", "load!", "-p", script(f"{HEAD}; echo hello"))
    with contextlib.closing(connect(server.place)) as connection:
        whole = b"".join(one.encode() for one in request({"NAME": "x"}))
        connection.sendall(whole[:20])
        wait_for(lambda: running(server, "socketd-fastcgi"), "it is served")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    wait_for(lambda: not running(server, "socketd-fastcgi"), "it has ended")


@pytest.mark.parametrize(
    "form", ["plain", "with a variable", "by a shell", "elsewhere", "without native workers"]
)
def test_every_form_of_the_launch_line_does_the_same(
    script: Script, tmp_path: Path, form: str
) -> None:
    """Whether the worker serves the connection or the wrapper is seen in `ps` alone."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    wrapper = str(Path(sys.executable).parent / "fcgi2cgi")
    program = script(f'{HEAD}; echo "$NAME $MODE $HOME $(pwd)"; cat; echo oops >&2; exit 3')
    command, more = {
        "plain": (f"{wrapper} {program}", []),
        "with a variable": (f"{wrapper} --env MODE=x {program}", []),
        "by a shell": (f"true; {wrapper} {program}", []),
        "elsewhere": (f"{wrapper} {program}", ["--directory", "/"]),
        "without native workers": (f"{wrapper} {program}", ["--worker", "python"]),
    }[form]
    place = str(tmp_path / "s")
    line = ["-f", "-l", *more, "-p", command, "-s", place]
    with contextlib.closing(Server(line, is_measured=False)) as server, connected(server) as peer:
        for name in ("ann", "bob"):
            peer.send(request({"NAME": name}, b"body", keep=True))
            answer = peer.read_answer()
            mode = "x" if form == "with a variable" else ""
            assert answer.body == f"{name} {mode}  {tmp_path}\nbody".encode()
            assert (answer.stderr, answer.app_status) == (b"oops\n", 3)
        assert bool(running(server, "socketd-fastcgi")) == (form == "plain")
        peer.send(request({"LD_PRELOAD": "x"}, keep=True))
        answer = peer.read_answer()
        assert b"LD_PRELOAD=x" not in answer.stdout
