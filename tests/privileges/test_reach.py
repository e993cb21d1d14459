"""What a program may reach is what was named, at every level and with both kinds of worker."""

import errno
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from privileges.serving import HERE, serving, web_answer

from harness.clients import TIMEOUT_SECONDS, connect, exchange, read_all
from harness.servers import Server, run_socket
from harness.supervisors import Supervisor
from harness.waiting import wait_for
from socketd.programs.reach import check_kernel
from socketd.settings.confinement import Boundary
from socketd.system import landlock
from socketd.system.products import NATIVE, PACKAGE, is_built

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        landlock.version() < landlock.FOR_PORTS, reason="the kernel has no Landlock for ports"
    ),
]

USUAL = ("/usr", "/etc/ld.so.cache", sys.base_prefix, sys.prefix)
# Each step that is refused says why by its number.
ATTEMPTS = """
import os, socket, sys
def attempt(name, step):
    try:
        step()
        print(name, 0, flush=True)
    except OSError as error:
        print(name, error.errno, flush=True)
def connect(port):
    socket.create_connection(("127.0.0.1", port), 10).close()
def run(path):
    os.waitpid(os.posix_spawn(path, [path], {}), 0)
def attempts(folder, port, other):
    attempt("read", lambda: open("/etc/passwd").close())
    attempt("list", lambda: os.listdir("/etc"))
    attempt("write", lambda: open("/tmp/socketd-out-of-reach", "w").close())
    attempt("truncate", lambda: os.truncate(folder + "/read/file", 0))
    attempt("write where to read", lambda: open(folder + "/read/new", "w").close())
    attempt("execute", lambda: run(folder + "/other/program"))
    attempt("connect", lambda: connect(other))
    attempt("null", lambda: open("/dev/null", "r+b", 0).write(b"x"))
    attempt("read what is named", lambda: open(folder + "/read/file").close())
    attempt("write what is named", lambda: open(folder + "/write/new", "w").close())
    attempt("remove what is named", lambda: os.unlink(folder + "/write/new"))
    attempt("connect to what is named", lambda: connect(port))
"""
REFUSED = ("read", "list", "write", "truncate", "write where to read", "execute", "connect")
ALLOWED = (
    "null", "read what is named", "write what is named", "remove what is named",
    "connect to what is named",
)  # fmt: skip
EXPECTED = dict.fromkeys(REFUSED, errno.EACCES) | dict.fromkeys(ALLOWED, 0)


class Surroundings:
    """Folders and ports, of which one each is in reach; the options that say so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("read", "write", "other"):
            (folder / name).mkdir()
        (folder / "read" / "file").write_text("content")
        program = folder / "other" / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        self.near, self.far = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        read = ",".join((*USUAL, str(folder / "read")))
        self.options = (
            "--read-paths", read, "--write-paths", str(folder / "write"),
            "--tcp-connect", str(self.near.getsockname()[1]),
        )  # fmt: skip

    def script(self, ending: str, name: str = "read/script.py") -> str:
        """Write a program that tries it all, and return its path."""
        near, far = (one.getsockname()[1] for one in (self.near, self.far))
        path = self.folder / name
        call = f"attempts({str(self.folder)!r}, {near}, {far})\n"
        path.write_text(f"#!{sys.executable}\n{ATTEMPTS}{ending}{call}")
        path.chmod(0o755)
        return str(path)

    def close(self) -> None:
        """Close the ports."""
        self.near.close()
        self.far.close()


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    """Lend folders and ports."""
    made = Surroundings(tmp_path)
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers."""
    with serving() as start:
        yield start


def outcomes(answer: bytes) -> dict[str, int]:
    """Return the error number of each attempt."""
    pairs = (line.rpartition(" ") for line in answer.decode().splitlines() if line)
    return {name: int(number) for name, _, number in pairs if number.isdecimal()}


LEVELS = {
    "fork": ("--ready", "fork!"),
    "load": ("--ready", "load!"),
    "read": ("--ready", "read!"),
    "stop": ("--ready", "stop!"),
    "relay": ("--ready", "relay!"),
    "python": ("--worker", "python"),
}


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_else_is_in_reach(
    serve: Callable[..., Server], surroundings: Surroundings, level: str
) -> None:
    """Whoever made the worker, and whenever the program was started."""
    if level != "python" and not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    stops = "import ctypes\nos.kill(os.getpid(), 19)\n" if level == "stop" else ""
    path = surroundings.script(f"{stops}sys.stdin.read(1)\n")
    server = serve(*LEVELS[level], *surroundings.options, "-p", path)

    assert outcomes(exchange(server.place, b"x")) == EXPECTED
    assert outcomes(exchange(server.place, b"x")) == EXPECTED  # of another copy
    assert (surroundings.folder / "read" / "file").read_text() == "content"


@pytest.mark.parametrize(
    ("front", "level"),
    [*product(["scgi", "fcgi"], ["fork", "load", "stop"]), ("fcgi", "python")],
)
def test_the_same_holds_for_a_program_of_a_web_server(
    serve: Callable[..., Server], surroundings: Surroundings, front: str, level: str
) -> None:
    """In both protocols, by native workers and by the wrapper."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    stops = "os.kill(os.getpid(), 19)\n" if level == "stop" else ""
    head = "print('Content-Type: text/plain\\r\\n\\r', flush=True)\n"
    path = surroundings.script(stops + head)
    server = serve("--front", front, *LEVELS[level], *surroundings.options, "-p", path)

    assert outcomes(web_answer(server, front)) == EXPECTED


@pytest.mark.parametrize("front", ["scgi", "fcgi"])
def test_a_folder_of_programs_is_in_reach(
    serve: Callable[..., Server], surroundings: Surroundings, front: str
) -> None:
    """As the program of a service is; what lies beside it is not."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    (surroundings.folder / "cgi").mkdir()
    surroundings.script("print('Content-Type: text/plain\\r\\n\\r', flush=True)\n", "cgi/show.cgi")
    root = str(surroundings.folder / "cgi")
    server = serve("--front", front, *surroundings.options, "--root", root)

    assert outcomes(web_answer(server, front, PATH_INFO="/show.cgi")) == EXPECTED


LINKED = """
[service.held]
listen = "tcp:127.0.0.1:0"
program = ["{program}"]
ready = "read!"
read_paths = [{paths}]
workers.min = 1
"""


def test_what_holds_a_program_is_in_reach_where_a_link_leads(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    """A distribution has such files elsewhere; the kernel sees them there, and not by the link."""
    if not is_built():
        pytest.skip("the native worker was not built: no C compiler")
    package, elsewhere = tmp_path / "lib" / "socketd", tmp_path / "libexec" / "socketd"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("*.pyc", "native"))
    shutil.copytree(NATIVE, elsewhere)
    (package / "native").symlink_to(elsewhere)
    file = tmp_path / "socketd.toml"
    paths = ", ".join(f'"{path}"' for path in (*USUAL, str(surroundings.folder / "read")))
    program = surroundings.script("sys.stdin.read(1)\n")
    file.write_text(LINKED.format(program=program, paths=paths))
    server = Server(
        [str(file)],
        command=(
            sys.executable,
            "-m",
            "socketd",
            "run",
            "--log-level",
            "info",
            "--log-format",
            "json",
        ),
        environment={"PYTHONPATH": str(package.parent)},
        cwd=str(tmp_path),
        is_measured=False,
    )
    try:
        assert outcomes(exchange(server.place, b"x"))["read"] == errno.EACCES
        assert server.wait_event("service_ready")["ready"] == "read"
    finally:
        server.close()


def test_what_is_not_limited_stays_in_reach(
    serve: Callable[..., Server], surroundings: Surroundings
) -> None:
    """Ports alone say nothing of files, and files nothing of ports."""
    path = surroundings.script("sys.stdin.read(1)\n")
    ports = outcomes(exchange(serve("--tcp-connect", "none", "-p", path).place, b"x"))
    read = ",".join((*USUAL, str(surroundings.folder)))
    paths = outcomes(exchange(serve("--read-paths", read, "-p", path).place, b"x"))

    assert (ports["read"], ports["connect"]) == (0, errno.EACCES)
    assert (paths["read"], paths["write what is named"]) == (errno.EACCES, errno.EACCES)
    assert paths["connect"] == 0


STATUS = "exec grep -e NoNewPrivs /proc/self/status"


def test_nobody_gains_privileges_behind_a_boundary(serve: Callable[..., Server]) -> None:
    """Without that setting, too: the kernel asks for it."""
    server = serve("--tcp-connect", "443", "-p", f"sh -c {shlex.quote(STATUS)}")

    assert exchange(server.place).split() == [b"NoNewPrivs:", b"1"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--read-paths", "/etc", "-p", "cat"),
            "socket: cannot run '/usr/bin/cat', which needs '{loader}', outside of read_paths",
        ),
        (
            ("--read-paths", "/no/such", "-p", "cat"),
            "socket: cannot have '/no/such' in the reach of the program",
        ),
        (
            ("--read-paths", "{loader}", "-p", "cat"),
            "socket: cannot run '/usr/bin/cat', which needs '{library}', outside of read_paths",
        ),
        (
            ("--write-paths", "/usr/lib,/usr/lib64", "-p", "{script}"),
            "socket: cannot run '{script}', which needs '/bin/sh', outside of read_paths",
        ),
    ],
)
@pytest.mark.parametrize("worker", ["native", "python"])
def test_what_a_program_needs_for_its_start_is_missed_at_the_start(
    tmp_path: Path, options: tuple[str, ...], said: str, worker: str
) -> None:
    """One line names it: interpreter, loader, or library; not a worker that fails later."""
    from socketd.programs.needs import needed_files

    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    _, loader, *libraries = needed_files("/usr/bin/cat", is_listing=True)
    library = next(path for path in libraries if path != loader)
    names = {"loader": loader, "library": library, "script": str(script)}
    if not libraries:
        pytest.skip("the loader of this system does not list")

    outcome = run_socket(
        *(one.format(**names) for one in options), "--worker", worker, *HERE, cap_seconds=30
    )

    why = os.strerror(errno.ENOENT if "/no/such" in said else errno.EACCES)
    assert (outcome.status, outcome.stderr) == (71, f"{said.format(**names)}: {why}\n")


FILE = """
[service.one]
listen = ["tcp:127.0.0.1:0"]
program = "{program}"
worker = "{kind}"
ready = "fork"
read_paths = {paths}
workers = {{ min = 2 }}
"""


@pytest.mark.parametrize("kind", ["native", "python"])
def test_a_program_that_is_replaced_is_in_reach_again(tmp_path: Path, kind: str) -> None:
    """Another file has the name now; so the rules are made anew, without anybody asking."""
    program = tmp_path / "program"
    fresh = tmp_path / "fresh"

    def write(path: Path, word: str) -> None:
        path.write_text(f"#!/bin/sh\necho {word}\n")
        path.chmod(0o755)

    write(program, "old")
    file = tmp_path / "services.toml"
    file.write_text(FILE.format(program=program, kind=kind, paths=list(USUAL)).replace("'", '"'))
    supervisor = Supervisor(file, is_quiet=False)
    try:
        assert exchange(supervisor.place("one")) == b"old\n"
        write(fresh, "new")
        os.rename(fresh, program)

        def is_new() -> bool:
            return answer_or_nothing(supervisor.place("one")) == b"new\n"

        wait_for(is_new, "the new program answers")
    finally:
        supervisor.server.close()


def answer_or_nothing(place: tuple[str, int] | str) -> bytes:
    """Return an answer; a worker that cannot run its program has none."""
    with connect(place) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        try:
            return read_all(connection)
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(
    ("boundary", "version", "said"),
    [
        (Boundary(read_paths=("/",)), 0, "to paths: this kernel has no Landlock; that needs Linux"),
        (Boundary(write_paths=("/",)), 2, "to paths: this kernel has only version 2 of Landlock"),
        (Boundary(tcp_connect=()), 3, "to TCP ports: this kernel has only version 3 of Landlock"),
    ],
)
def test_what_the_kernel_cannot_do_is_refused(boundary: Boundary, version: int, said: str) -> None:
    """Rather than to run a program that is not confined."""
    from socketd.errors import SystemFailureError

    with pytest.raises(SystemFailureError, match="cannot confine a program") as caught:
        check_kernel(boundary, version)

    assert said in str(caught.value)
    check_kernel(boundary, 4)
