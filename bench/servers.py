"""Servers: the command line of each one for a program, and the package that brings it.

Owns the table of servers and the table of programs. Must not know what is measured, nor how a
server is run. A new server is one entry in SERVERS and one function that writes its command line.

Every server gets the same backlog and the same limit on connections, where it has the option, and
no look-ups of names. Where a server has a cheaper way to do the same job, that is a row of its own.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

HOST = "127.0.0.1"
BACKLOG = 4096
LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Program:
    """What answers a connection."""

    key: str
    title: str
    words: tuple[str, ...]
    shell: str | None = None
    """The command as it is given to a shell, where the program is to be started by one."""

    @property
    def executable(self) -> str:
        """Return the full path, for servers that do not search."""
        return shutil.which(self.words[0]) or self.words[0]


_SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
# the system's own interpreter, as in most scripts' first line, and not one that is slower to start;
# elsewhere the real one behind a virtual environment, which has a place less to look into
INTERPRETER = shutil.which("python3", path="/usr/bin") or os.path.realpath(sys.executable)
PROGRAMS = {
    program.key: program
    for program in (
        Program("cat", "`cat`", ("cat",)),
        Program("sh", "`sh -c cat`", ("sh", "-c", "cat"), shell="cat"),
        Program("python", "a Python script", (INTERPRETER, "-I", f"{_SCRIPTS}/line.py")),
        Program("bash", "a `bash` script", ("bash", f"{_SCRIPTS}/lines.sh")),
        Program("heap", "a Python script with 50 MiB", (INTERPRETER, "-I", f"{_SCRIPTS}/heap.py")),
    )
}
# a start ahead is all that makes the other one worth a look
_USUAL = ("cat", "sh", "python", "bash")


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of one server: everything its command line may need."""

    command: str
    program: Program
    directory: str
    port: int
    workers: int

    @property
    def path(self) -> str:
        """Return the UNIX socket, for servers that listen on one."""
        return os.path.join(self.directory, "socket")


@dataclass(frozen=True, slots=True)
class Server:
    """One row of the comparison."""

    key: str
    title: str
    command: str
    package: str
    arguments: Callable[[Launch], list[str]]
    is_unix: bool = False
    worker: str | None = None
    """The kind of worker, for socketd; None for the others, which have no pool."""
    loses_answers: bool = False
    """It drops what is still to be sent once the client has shut its sending side down."""
    note: str = ""
    """What a reader must know to judge its numbers."""
    is_in_debian: bool = True
    programs: tuple[str, ...] = _USUAL


def _socketd(worker: str, *options: str, is_unix: bool = False) -> Callable[[Launch], list[str]]:
    def arguments(launch: Launch) -> list[str]:
        program = launch.program
        most = max(LIMIT, launch.workers)
        where = [launch.path] if is_unix else ["-B", HOST, str(launch.port)]
        return [
            *("-p", program.shell or shlex.join(program.words), "-l", "-f"),
            *(("--shell", "always") if program.shell else ()),
            *("-W", str(launch.workers), "--max-workers", str(most)),
            *("--backlog", str(BACKLOG), "--worker", worker, *options),
            *("-s", *where),
        ]

    return arguments


def _tcpserver(launch: Launch) -> list[str]:
    quiet = ["-H", "-R", "-l", "0"]
    limits = ["-c", str(LIMIT), "-b", str(BACKLOG)]
    return [*quiet, *limits, HOST, str(launch.port), *launch.program.words]


def _tcpsvd(launch: Launch) -> list[str]:
    limits = ["-c", str(LIMIT), "-b", str(BACKLOG)]
    return ["-l", "0", *limits, HOST, str(launch.port), *launch.program.words]


def _s6_ipcserver(launch: Launch) -> list[str]:
    limits = ["-c", str(LIMIT), "-C", str(LIMIT), "-b", str(BACKLOG)]
    return [*limits, launch.path, *launch.program.words]


def _s6_tcpserver(launch: Launch) -> list[str]:
    limits = ["-c", str(LIMIT), "-C", str(LIMIT), "-b", str(BACKLOG)]
    return [*limits, HOST, str(launch.port), *launch.program.words]


def _socat(*, nofork: bool) -> Callable[[Launch], list[str]]:
    def arguments(launch: Launch) -> list[str]:
        listen = f"TCP-LISTEN:{launch.port},bind={HOST},backlog={BACKLOG},reuseaddr"
        program = launch.program
        action = f"SYSTEM:{program.shell}" if program.shell else f"EXEC:{' '.join(program.words)}"
        # -t: without it an answer that comes half a second after the half-close is cut off
        return [
            *("-t", "10", f"{listen},fork,max-children={LIMIT}"),
            action + (",nofork" if nofork else ""),
        ]

    return arguments


def _ncat(launch: Launch) -> list[str]:
    program = launch.program
    plain = shlex.join((program.executable, *program.words[1:]))
    action = ("--sh-exec", program.shell) if program.shell else ("--exec", plain)
    return ["-4", "-n", "-l", "-k", "-m", str(LIMIT), *action, HOST, str(launch.port)]


def _xinetd(launch: Launch) -> list[str]:
    program = launch.program
    configuration = os.path.join(launch.directory, "xinetd.conf")
    settings = {
        "type": "UNLISTED",
        "socket_type": "stream",
        "protocol": "tcp",
        "wait": "no",
        "bind": HOST,
        "port": launch.port,
        "user": os.geteuid(),
        "instances": LIMIT,
        "per_source": "UNLIMITED",
        "cps": "1000000 1",
        "server": program.executable,
        "server_args": shlex.join(program.words[1:]),
    }
    # an empty server_args is an error
    lines = [f"  {name} = {value}" for name, value in settings.items() if value != ""]
    with open(configuration, "w", encoding="utf-8") as file:
        file.write("\n".join(["service bench", "{", *lines, "}", ""]))
    pid_file = os.path.join(launch.directory, "xinetd.pid")
    return ["-dontfork", "-f", configuration, "-pidfile", pid_file]


def _systemd(launch: Launch) -> list[str]:
    program = launch.program
    listen = ["--listen", f"{HOST}:{launch.port}", "--accept", "--inetd"]
    return [*listen, program.executable, *program.words[1:]]


def _classic(launch: Launch) -> list[str]:
    program = launch.program
    command = program.shell or shlex.join(program.words)
    return ["-s", "-l", "-f", "-p", command, "-B", HOST, str(launch.port)]


def _no_process(launch: Launch) -> list[str]:
    return ["serve", f"{HOST}:{launch.port}"]


_LOSES_ANSWERS = (
    "it drops the answer of a client that shuts its sending side down first, so its client shuts "
    "down after the answer"
)
BASELINE = "tcpserver"
SERVERS = (
    Server(
        "socketd-native",
        "socketd",
        "socketd",
        "socketd",
        _socketd("native"),
        worker="native",
        note="as typed, so the program is loaded and linked before the connection (auto)",
    ),
    Server(
        "socketd-fork",
        "socketd, --ready fork",
        "socketd",
        "socketd",
        _socketd("native", "--ready", "fork"),
        worker="native",
        note="the program is executed after the connection",
    ),
    Server(
        "socketd-python",
        "socketd, Python workers",
        "socketd",
        "socketd",
        _socketd("python"),
        worker="python",
    ),
    Server(
        "socketd-unix",
        "socketd, UNIX socket",
        "socketd",
        "socketd",
        _socketd("native", is_unix=True),
        worker="native",
        is_unix=True,
    ),
    Server(
        "socketd-read",
        "socketd, --ready read",
        "socketd",
        "socketd",
        _socketd("native", "--ready", "read!"),
        worker="native",
        note="the program has been started before the connection, up to its first read",
        programs=("cat", "python", "bash", "heap"),
    ),
    Server(
        "socketd-relay",
        "socketd, --ready relay",
        "socketd",
        "socketd",
        _socketd("native", "--ready", "relay"),
        worker="native",
        note="each worker has started the program before the connection, and relays",
        programs=("cat", "python"),
    ),
    Server("tcpserver", "tcpserver", "tcpserver", "ucspi-tcp", _tcpserver),
    Server("tcpsvd", "tcpsvd", "tcpsvd", "ipsvd", _tcpsvd),
    Server(
        "s6-tcpserver",
        "s6-tcpserver",
        "s6-tcpserver",
        "s6-networking",
        _s6_tcpserver,
        is_in_debian=False,
    ),
    Server(
        "s6-ipcserver",
        "s6-ipcserver, UNIX socket",
        "s6-ipcserver",
        "s6",
        _s6_ipcserver,
        is_unix=True,
    ),
    Server("xinetd", "xinetd", "xinetd", "xinetd", _xinetd, note="its queue is fixed at 64"),
    Server(
        "systemd",
        "systemd-socket-activate",
        "systemd-socket-activate",
        "systemd",
        _systemd,
        note="it has no limit on connections, and its queue is the kernel's longest",
    ),
    Server("socat", "socat", "socat", "socat", _socat(nofork=False)),
    Server(
        "socat-nofork",
        "socat, nofork",
        "socat",
        "socat",
        _socat(nofork=True),
        note="it execs the program without relaying between it and the connection",
    ),
    Server(
        "ncat",
        "ncat",
        "ncat",
        "ncat",
        _ncat,
        loses_answers=True,
        note=_LOSES_ANSWERS + "; its queue is fixed at 10",
    ),
    Server(
        "socket-1.1",
        "socket 1.1",
        "socket",
        "socket",
        _classic,
        is_in_debian=False,
        loses_answers=True,
        note=_LOSES_ANSWERS + "; its queue is fixed at 1",
    ),
    Server(
        "no-process",
        "no process",
        "load",
        "",
        _no_process,
        note="the load program itself, echoing: the least these numbers can be",
        programs=("cat",),
    ),
)


def locate(server: Server, own_commands: dict[str, str]) -> str | None:
    """Find a server's command; None if it is not installed.

    `own_commands` names the two that are not searched for, ours and the load program.
    """
    if server.command in own_commands:
        path = own_commands[server.command]
        return path if os.access(path, os.X_OK) else None
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    if server.command != "socket":
        return shutil.which(server.command, path=search)
    # our command has the same name: take the first that says it is the original
    for directory in search.split(os.pathsep):
        found = shutil.which("socket", path=directory)
        if found is None:
            continue
        done = subprocess.run([found, "-version"], capture_output=True, check=False, timeout=10)
        if b"Socket-1.1" in done.stdout:
            return found
    return None
