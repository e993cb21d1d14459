"""The command `socket`: the command line of socket 1.1, extended.

Owns which options may be combined, and which mode they select. Must not know fork, signals or
sockets. Modules for one mode are imported only in that mode.
"""

import gc
import os
import sys

from socketd import __version__
from socketd.cli import console
from socketd.cli.options import CommandLine, help_text, parse, wrong_operands
from socketd.cli.report import report
from socketd.errors import ClassicUsageError, ExitCode, UsageError

_VERSION_TEXT = f"Socket-{__version__} (socketd {__version__}, successor of socket 1.1)"

_OF_A_SERVERS_PROGRAM = (
    "user", "groups", "directory", "umask", "nice", "no-new-privs", "env", "limit",
    "chroot", "read-paths", "write-paths", "tcp-connect", "linger",
    "cgroup", "memory-max", "cpu-max", "pids-max", "keep-children",
    "allow", "deny", "allow-file", "deny-file", "refusal-text", "proxy-protocol", "control",
)  # fmt: skip


def main() -> None:
    """Run the command and end the process with a documented exit code."""
    console.answer_signals()
    try:
        code = run(sys.argv[1:])
    except SystemExit as leaving:  # raised by a signal handler
        code = int(leaving.code or 0)
    console.ignore_signals()
    console.end(code)


def run(arguments: list[str]) -> int:
    """Run the command; return its exit code, with errors already printed."""
    return report("socket", lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    console.open_standard_descriptors()
    is_classic = arguments[:1] == ["-version"]
    line = parse(["--version"] if is_classic else arguments)
    text = _text_asked_for(line)
    if text is not None:
        return ExitCode.DONE if console.show(text, "socket") else ExitCode.SYSTEM
    _check(line)
    return _start(line)


def _text_asked_for(line: CommandLine) -> str | None:
    """Return what is to be printed instead of anything else."""
    if line.has("help"):
        return help_text()
    if line.has("version"):
        return _VERSION_TEXT
    if line.has("completion"):
        from socketd.cli.completion import script

        return script(line.values["completion"])
    return None


def _check(line: CommandLine) -> None:
    """Refuse combinations that make no sense, with the messages and in the order of socket 1.1."""
    if line.has("read-only") and line.has("write-only"):
        raise ClassicUsageError("It does not make sense to set -r and -w.")
    for flag, letter in (("loop", "l"), ("background", "b"), ("workers", "W"), ("fork", "f")):
        if line.has(flag) and not line.has("server"):
            text = f"It does not make sense to set -{letter} and not -s."
            if flag != "fork":
                raise ClassicUsageError(text)
            console.say(text)
    is_unix = len(line.operands) == 1 and ("/" in line.operands[0] or line.operands[0][:1] == "@")
    wanted = 1 if line.has("server") or is_unix else 2
    # A service manager that passes a socket sets LISTEN_PID.
    is_passed = line.has("server") and not line.operands and bool(os.environ.get("LISTEN_PID"))
    if len(line.operands) != wanted and not is_passed:
        raise wrong_operands()
    if line.has("workers"):
        if not line.has_program and not line.has("front"):
            raise UsageError(
                "-W needs -p: without a program all connections share one stdin and stdout"
            )
        line.values.setdefault("loop", "")
        line.values.setdefault("fork", "")
    for name in _OF_A_SERVERS_PROGRAM:
        if line.has(name) and not (line.has("server") and line.has_program):
            raise UsageError(f"--{name} needs -s and -p: it is for the program of a server")
    _check_front(line)
    version = line.values.get("send-proxy", "1")
    if version not in ("1", "2"):
        raise UsageError(f"--send-proxy: {version!r} is not one of 1, 2")
    if line.has("send-proxy") and line.has("server"):
        raise UsageError("--send-proxy is for a client: -s waits for connections")


def _check_front(line: CommandLine) -> None:
    for name in (
        "front", "root", "scripts", "index", "head-timeout", "keep-timeout", "request-variables",
        "client-gone", "head-limit", "body-limit", "answer-timeout", "script-templates",
    ):  # fmt: skip
        if line.has(name) and not line.has("server"):
            raise UsageError(f"--{name} needs -s: it is for a server")
    if line.has("front") and not line.has_program:
        raise UsageError("--front needs -p COMMAND or --root FOLDER: the programs to run")
    if line.has("head-timeout") and not (line.has("front") or line.has("proxy-protocol")):
        raise UsageError("--head-timeout needs --front scgi or fcgi, or --proxy-protocol")


def _start(line: CommandLine) -> int:
    if not line.has("server"):
        from socketd.cli import client

        return client.run_client(line)
    if line.has_program:
        gc.disable()  # nothing of what is imported now is garbage; the master enables it again
        from socketd.cli import serve

        return serve.serve(line, dict(os.environ))
    from socketd.cli import relay_server

    return relay_server.serve_own_streams(line)
