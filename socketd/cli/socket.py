"""The command `socket`: the classic program's command line, and what is new.

Owns the meaning of the options together. Must not know fork, signals or sockets. Modules that
only a server needs are imported when a server is asked for.
"""

import os
import sys
from typing import NoReturn

from socketd import __version__
from socketd.cli.options import CommandLine, help_text, parse, usage
from socketd.errors import ExitCode, SocketdError, UsageError

_VERSION_TEXT = f"Socket-{__version__} (socketd {__version__}, successor of socket 1.1)"


def main() -> NoReturn:
    """Run the command and end the process with a documented exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command; return its exit code, with errors already printed."""
    if arguments[:1] == ["-version"]:
        print(_VERSION_TEXT)
        return ExitCode.DONE
    try:
        line = parse(arguments)
        if line.has("help"):
            print(help_text())
            return ExitCode.DONE
        if line.has("version"):
            print(_VERSION_TEXT)
            return ExitCode.DONE
        _check(line)
        return _serve(line)
    except SocketdError as error:
        print(f"socket: {error}", file=sys.stderr)
        return error.exit_code


def _check(line: CommandLine) -> None:
    """Refuse what does not make sense, in the classic program's words and order."""
    if line.has("workers"):
        line.values.setdefault("loop", "")
        line.values.setdefault("fork", "")
    if line.has("read-only") and line.has("write-only"):
        raise UsageError("It does not make sense to set -r and -w.")
    for flag, letter in (("loop", "l"), ("background", "b"), ("fork", "f")):
        if line.has(flag) and not line.has("server"):
            text = f"It does not make sense to set -{letter} and not -s."
            if letter != "f":
                raise UsageError(text)
            print(text, file=sys.stderr)
    if len(line.operands) != 1:
        raise UsageError(f"wrong number of arguments\n{usage()}")
    for unfinished in ("crlf", "read-only", "write-only"):
        if line.has(unfinished):
            raise UsageError(f"--{unfinished}: not yet: this version serves programs without it")
    if not line.has("server") or not line.has("program"):
        raise UsageError("not yet: this version serves programs only; give -s and -p COMMAND")


def _serve(line: CommandLine) -> int:
    from socketd.cli import serve

    return serve.serve(line, dict(os.environ))
