"""CGI backends: the commands of each one for a CGI program, and how a web server speaks to it.

Owns the table of backends and the table of CGI programs. Must not know how a web server is
configured, nor what is measured. A new backend is one entry in BACKENDS and one function that
writes its commands.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from bench.servers import BACKLOG, HOST, INTERPRETER, LIMIT

AT_ONCE = 8
PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
_DEBIAN = "/usr/bin/python3"


@dataclass(frozen=True, slots=True)
class CgiProgram:
    """A CGI program, and how it is made executable in a folder."""

    key: str
    title: str
    make: Callable[[str], None]
    """Write the program to a path."""
    interpreter: tuple[str, ...] = (INTERPRETER, "-I")
    """What runs it, if it is a script in Python."""
    ready: tuple[str, bytes] = ("?ready=yes", b"ready=yes\n")
    """What is asked until it answers, behind its location, and how the answer begins."""
    variables: tuple[tuple[str, str], ...] = ()
    """Its environment; {folder} is where it is."""
    has_path: bool = False
    """It is asked for more than its own location."""
    path: str = ""
    """For what it is asked, behind its location, while it is loaded."""
    requires: str = ""
    """A module of its interpreter; it is left out where there is none."""

    def is_possible(self) -> bool:
        """Tell whether everything is there that it needs."""
        words = [*self.interpreter, "-c", f"import {self.requires or 'sys'}"]
        return not self.requires or (
            os.path.exists(words[0])
            and subprocess.run(words, capture_output=True, check=False).returncode == 0
        )


def compile_c(source: str, path: str) -> None:
    """Compile a C program."""
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-std=c11", "-O2", "-Wall", source, "-o", path], check=True)


def _compile(path: str) -> None:
    compile_c(os.path.join(PROGRAMS, "cgi.c"), path)


def _copy(path: str) -> None:
    shutil.copy(os.path.join(PROGRAMS, "cgi.sh"), path)
    os.chmod(path, 0o755)


def _copy_script(path: str) -> None:
    _write_script("cgi.py", path, f"{INTERPRETER} -I")


def _copy_flask(path: str) -> None:
    shutil.copy(os.path.join(PROGRAMS, "flask_hello.py"), os.path.dirname(path))
    _write_script("flask_cgi.py", path, _DEBIAN)


def _write_script(source: str, path: str, interpreter: str) -> None:
    with open(os.path.join(PROGRAMS, source), encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!{interpreter}\n{text}")
    os.chmod(path, 0o755)


CGI_PROGRAMS = {
    program.key: program
    for program in (
        CgiProgram("c", "a C program", _compile),
        CgiProgram("sh", "a `sh` script", _copy),
        CgiProgram("python", "a Python script", _copy_script),
        CgiProgram(
            "flask",
            "Flask's hello by wsgiref's CGIHandler",
            _copy_flask,
            interpreter=(_DEBIAN,),
            requires="flask",
            has_path=True,
            path="/",
            ready=("/?ready=yes", b"ready=yes\n"),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Tools:
    """Our commands, and where the module is that holds a Python script."""

    socket: str
    scgi2cgi: str
    fcgi2cgi: str
    hold: str

    @classmethod
    def beside(cls, socket: str, interpreter: str) -> "Tools":
        """Find what belongs to a socket command."""
        folder = os.path.dirname(socket)
        asked = [interpreter, "-c", "import socketd.hold; print(socketd.hold.__file__)"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        return cls(
            socket,
            os.path.join(folder, "scgi2cgi"),
            os.path.join(folder, "fcgi2cgi"),
            done.stdout.strip(),
        )


@dataclass(frozen=True, slots=True)
class CgiLaunch:
    """One start of one backend: everything its commands may need."""

    tools: Tools
    program: str
    """The path of the CGI program."""
    port: int
    directory: str
    key: str
    made: CgiProgram

    @property
    def environment(self) -> dict[str, str]:
        """Return what the program is to find in its environment."""
        return {name: text.format(folder=self.directory) for name, text in self.made.variables}

    @property
    def path(self) -> str:
        """Return a UNIX socket, for a backend that consists of two services."""
        return os.path.join(self.directory, f"{self.key}.sock")


Commands = Callable[[CgiLaunch], list[list[str]]]


@dataclass(frozen=True, slots=True)
class Backend:
    """One row of the comparison."""

    key: str
    title: str
    protocol: str
    commands: Commands
    package: str = ""
    """What brings the command that `requires` names."""
    requires: str = ""
    programs: tuple[str, ...] = ("c", "sh", "python")
    note: str = ""
    has_transfers: bool = False
    """It is measured with large bodies and answers, too."""
    is_kept: bool = False
    """The web server keeps its connections between requests."""


FCGIWRAP = "/usr/sbin/fcgiwrap"  # by its name one might find ours


def _fcgiwrap(launch: CgiLaunch) -> list[list[str]]:
    return [[FCGIWRAP, "-c", str(AT_ONCE), "-s", f"tcp:{HOST}:{launch.port}"]]


def _multiwatch(launch: CgiLaunch) -> list[list[str]]:
    spawn = ["spawn-fcgi", "-n", "-a", HOST, "-p", str(launch.port), "-b", str(BACKLOG), "--"]
    return [[*spawn, _path("multiwatch"), "-f", str(AT_ONCE), "--", FCGIWRAP]]


def _tcpserver(launch: CgiLaunch) -> list[list[str]]:
    options = ["-H", "-R", "-l", "0", "-c", str(LIMIT), "-b", str(BACKLOG)]
    where = [HOST, str(launch.port)]
    return [["tcpserver", *options, *where, launch.tools.scgi2cgi, launch.program]]


def _launch_line(wrapper: str) -> Commands:
    def commands(launch: CgiLaunch) -> list[list[str]]:
        program = shlex.join([getattr(launch.tools, wrapper), launch.program])
        where = ["-B", HOST, "-s", str(launch.port)]
        return [[launch.tools.socket, *where, "-f", "-q", "-l", "-p", program]]

    return commands


def _pool(launch: CgiLaunch, program: list[str], *options: str, where: list[str]) -> list[str]:
    limits = ["-W", str(AT_ONCE), "--max-workers", str(LIMIT), "--backlog", str(BACKLOG)]
    given = [f"--env={name}={value}" for name, value in launch.environment.items()]
    what = ["-p", shlex.join(program)] if program else []
    return [launch.tools.socket, *what, *limits, *options, *given, "-s", *where]


def _front(ready: str, protocol: str = "scgi") -> Commands:
    def commands(launch: CgiLaunch) -> list[list[str]]:
        options = ["--front", protocol, "--ready", ready]
        where = ["-B", HOST, str(launch.port)]
        return [_pool(launch, _held(launch, ready), *options, where=where)]

    return commands


def _relayed(ready: str) -> Commands:
    def commands(launch: CgiLaunch) -> list[list[str]]:
        options = ["--front", "scgi", "--ready", ready]
        relay = [launch.tools.fcgi2cgi, "--to", f"unix:{launch.path}"]
        return [
            _pool(launch, _held(launch, ready), *options, where=[launch.path]),
            _pool(launch, relay, where=["-B", HOST, str(launch.port)]),
        ]

    return commands


def _found(protocol: str) -> Commands:
    def commands(launch: CgiLaunch) -> list[list[str]]:
        options = ["--front", protocol, "--scripts", os.path.dirname(launch.program)]
        return [_pool(launch, [], *options, where=["-B", HOST, str(launch.port)])]

    return commands


def _held(launch: CgiLaunch, ready: str) -> list[str]:
    if ready == "stop!":
        return [*launch.made.interpreter, launch.tools.hold, "--cgi", launch.program]
    return [launch.program]


def _path(command: str) -> str:
    return find(command) or command


def find(command: str) -> str | None:
    """Return the path of a command that is installed, also if only root has it on the path."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(command, path=search)


_SHORT = ("c", "sh")
_LONG = ("python", "flask")
_KEPT = "the web server keeps its connections"
BACKENDS = (
    Backend(
        "fcgiwrap",
        "fcgiwrap -c 8",
        "fastcgi",
        _fcgiwrap,
        package="fcgiwrap",
        requires="fcgiwrap",
        programs=tuple(CGI_PROGRAMS),
        has_transfers=True,
        is_kept=True,
        note=_KEPT,
    ),
    Backend(
        "fcgiwrap-anew",
        "fcgiwrap -c 8, a connection for each request",
        "fastcgi",
        _fcgiwrap,
        package="fcgiwrap",
        requires="fcgiwrap",
    ),
    Backend(
        "multiwatch",
        "spawn-fcgi, multiwatch -f 8, fcgiwrap",
        "fastcgi",
        _multiwatch,
        package="multiwatch",
        requires="multiwatch",
        programs=_SHORT,
        is_kept=True,
        note=_KEPT,
    ),
    Backend(
        "tcpserver-scgi2cgi",
        "tcpserver, scgi2cgi",
        "scgi",
        _tcpserver,
        package="ucspi-tcp",
        requires="tcpserver",
        programs=_SHORT,
    ),
    Backend(
        "line-scgi2cgi",
        "`socket -f -q -l -p scgi2cgi`",
        "scgi",
        _launch_line("scgi2cgi"),
        note="the launch line as it has always been, with one worker that waits at rest",
    ),
    Backend(
        "line-fcgi2cgi",
        "`socket -f -q -l -p fcgi2cgi`",
        "fastcgi",
        _launch_line("fcgi2cgi"),
        is_kept=True,
        note=_KEPT,
    ),
    Backend("front-fork", "`--front scgi --ready fork`", "scgi", _front("fork")),
    Backend(
        "front-load",
        "`--front scgi --ready load`",
        "scgi",
        _front("load!"),
        has_transfers=True,
    ),
    Backend(
        "front-stop",
        "`--front scgi --ready stop`, socketd.hold",
        "scgi",
        _front("stop!"),
        programs=_LONG,
    ),
    Backend(
        "fcgi-load",
        "`--front fcgi --ready load`",
        "fastcgi",
        _front("load!", "fcgi"),
        programs=_SHORT,
        has_transfers=True,
        is_kept=True,
        note=_KEPT,
    ),
    Backend(
        "fcgi-load-anew",
        "`--front fcgi --ready load`, a connection for each request",
        "fastcgi",
        _front("load!", "fcgi"),
        programs=_SHORT,
    ),
    Backend(
        "fcgi-stop",
        "`--front fcgi --ready stop`, socketd.hold",
        "fastcgi",
        _front("stop!", "fcgi"),
        programs=_LONG,
        is_kept=True,
        note=_KEPT,
    ),
    Backend(
        "scripts-scgi",
        "`--front scgi --scripts`, found by SCRIPT_FILENAME",
        "scgi",
        _found("scgi"),
        programs=_SHORT,
    ),
    Backend(
        "scripts-fcgi",
        "`--front fcgi --scripts`, found by SCRIPT_FILENAME",
        "fastcgi",
        _found("fcgi"),
        programs=_SHORT,
        is_kept=True,
        note=_KEPT,
    ),
    Backend(
        "scripts-fcgi-anew",
        "`--front fcgi --scripts`, a connection for each request",
        "fastcgi",
        _found("fcgi"),
        programs=_SHORT,
    ),
    Backend(
        "relayed-load",
        "fcgi2cgi `--to` a pool at `load`",
        "fastcgi",
        _relayed("load!"),
        programs=_SHORT,
        is_kept=True,
        note=_KEPT + ", and one to the pool is made for each request",
    ),
    Backend(
        "relayed-stop",
        "fcgi2cgi `--to` a pool at `stop`",
        "fastcgi",
        _relayed("stop!"),
        programs=("python",),
        is_kept=True,
        note=_KEPT + ", and one to the pool is made for each request",
    ),
)
