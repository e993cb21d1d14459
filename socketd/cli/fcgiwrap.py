"""The command `fcgiwrap`: the call of the program of that name, turned into one of `socketd cgi`.

Owns that program's options, and what they mean here. Must not know how anything is served: it
becomes `socketd cgi` by exec, so that this is what is seen, stopped and replaced.

A system is moved by having this command in that one's place: web server and socket stay as they
are. So the socket may come as LISTEN_FDS, as descriptor 0, or by -s; and programs get the
environment of this command, as they do there.
"""

import contextlib
import getopt
import glob
import itertools
import os
import re
import socket
import stat
import sys

from socketd.errors import ExitCode

_NAME = "fcgiwrap"
_FIRST_PASSED_FD = 3
_PASSED = f"fd:{_NAME}"
_HELP = f"""Usage: {_NAME} [OPTION]...
Run CGI programs for FastCGI requests, as the program of this name does: socketd cgi --fcgi
in its place. Without -s the socket is one that systemd passes, or descriptor 0.

  -c N      N processes that each carry out a request; as many as are needed without it
  -f        send the programs' stderr to the web server, not to ours
  -s URL    listen at unix:PATH, tcp:HOST:PORT or tcp6:[HOST]:PORT
  -p PATH   run only this program, or programs below this folder; can be repeated
  -h        print this text
"""
# What a web server says of a request is not to come from here.
_OF_REQUESTS = re.compile(
    r"HTTP.*|AUTH_TYPE|CONTENT_LENGTH|CONTENT_TYPE|GATEWAY_INTERFACE|PATH_INFO|PATH_TRANSLATED|"
    r"QUERY_STRING|REMOTE_ADDR|REMOTE_HOST|REMOTE_IDENT|REMOTE_USER|REQUEST_METHOD|SCRIPT_NAME|"
    r"SERVER_NAME|SERVER_PORT|SERVER_PROTOCOL|SERVER_SOFTWARE"
)
# What a service manager says to a service is not for its programs.
_OF_MANAGERS = re.compile(r"LISTEN_(FDS|PID|FDNAMES)|NOTIFY_SOCKET|WATCHDOG_(PID|USEC)|SOCKETD_.*")
# Where Debian's packages have CGI programs.
_CGI_PLACES = ("/usr/lib/cgi-bin/*", "/usr/lib/cgi-bin/*/*", "/usr/share/*/cgi-bin/*")
_URL = re.compile(r"unix:(?P<path>.+)|tcp:(?P<v4>[^:]+:\d+)|tcp6:(?P<v6>\[.+\]:\d+)")


class _CallError(Exception):
    """A call that makes no sense; the text says why."""


def main() -> None:
    """Become `socketd cgi`, or end with a line that says why not."""
    try:
        arguments = translate(sys.argv[1:])
        if _PASSED in arguments:
            _pass_socket()
        command = _find_socketd()
        os.execv(command, [command, *arguments])
    except (_CallError, getopt.GetoptError) as error:
        _end(f"{error}; see {_NAME} -h", ExitCode.USAGE)
    except OSError as error:
        _end(f"cannot run socketd: {error.strerror}", ExitCode.SYSTEM)


def translate(words: list[str]) -> list[str]:
    """Return the arguments of socketd for those of fcgiwrap.

    A word with several options in it is what systemd makes of ${DAEMON_OPTS}.
    """
    options, _ = getopt.getopt([part for word in words for part in word.split()], "c:hfs:p:")
    given = [name for name, _ in options]
    if "-h" in given:
        sys.stdout.write(_HELP)
        sys.exit(0)
    value = dict(options)
    allowed = [path for name, path in options if name == "-p"]
    arguments = ["cgi", "--log-level", "warning", "--directory", os.getcwd()]
    arguments += ["--keep-children", "yes"]
    arguments += ["--fcgi", _address(value["-s"]) if "-s" in value else _PASSED]
    if value.get("-s", "").startswith("unix:"):
        arguments += ["--mode", f"{0o777 & ~_umask():04o}"]
    if "-c" in value:
        arguments += ["--strategy", "adaptive", "--max-workers", str(_count(value["-c"]))]
    if "-f" not in given:
        arguments += ["--stderr", "inherit"]
    everything = ["/", *_set_id_programs()]
    arguments += ["--scripts", ",".join(map(_path, allowed) if allowed else everything)]
    for name in _inherited():
        if not _OF_REQUESTS.fullmatch(name) and not _OF_MANAGERS.fullmatch(name):
            arguments += ["--env", name]
    return arguments


def _inherited() -> list[str]:
    """Return the names of the variables that we were called with: Python adds one of its own."""
    try:
        with open("/proc/self/environ", "rb") as file:
            names = [os.fsdecode(entry.partition(b"=")[0]) for entry in file.read().split(b"\0")]
    except OSError:
        names = list(os.environ)
    return [name for name in names if name in os.environ]


def _address(url: str) -> str:
    found = _URL.fullmatch(url)
    if found is None:
        raise _CallError(f"-s: {url!r} is not unix:PATH, tcp:HOST:PORT or tcp6:[HOST]:PORT")
    if found["path"] is not None:
        return f"unix:{os.path.abspath(found['path'])}"
    return f"tcp:{found['v4'] or found['v6']}"


def _count(text: str) -> int:
    """Return a number as atoi(3) reads it, but at least one."""
    digits = re.match(r"\s*\d{1,5}", text)
    return max(int(digits[0]) if digits else 0, 1)


def _path(text: str) -> str:
    if not os.path.isabs(text) or "," in text:
        raise _CallError(f"-p: {text!r} is not an absolute path without a comma")
    return text


def _set_id_programs() -> list[str]:
    """Return the CGI programs of packages that have set-user-id or set-group-id.

    Where every program may be run, those are run only if they are named: else that would be the
    system's own, such as su, too.
    """
    found = []
    for path in itertools.chain.from_iterable(map(glob.iglob, _CGI_PLACES)):
        with contextlib.suppress(OSError):
            if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID) and os.path.isfile(path):
                found.append(path)
    return [path for path in found if "," not in path]


def _umask() -> int:
    present = os.umask(0)
    os.umask(present)
    return present


def _pass_socket() -> None:
    """Hand on what systemd has passed under a name, or make descriptor 0 look like that.

    Raises _CallError if neither is a listening socket.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or "LISTEN_FDS" not in os.environ:
        if not _is_listening(0):
            raise _CallError(
                "there is no socket: give -s URL, or pass a listening socket as descriptor 0"
            )
        os.dup2(0, _FIRST_PASSED_FD)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = "1"
    os.environ["LISTEN_FDNAMES"] = _NAME
    os.set_inheritable(_FIRST_PASSED_FD, True)


def _is_listening(fd: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(fd)) as one:
            return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def _find_socketd() -> str:
    """Return the path of the command that was installed together with this one."""
    beside = os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), "socketd")
    return beside if os.access(beside, os.X_OK) else os.path.join(sys.prefix, "bin", "socketd")


def _end(line: str, code: int) -> None:
    sys.stderr.write(f"{_NAME}: {line}\n")
    sys.exit(code)
