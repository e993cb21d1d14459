"""The options of `socket`: one table for the parser, the usage text and the manual page.

Owns the names, the help texts and the classic grammar: single letters bundle, the last of a
bundle may take a value, options may follow operands. That is getopt's grammar, so this is getopt
and not click; and client mode may not pay for importing click.
"""

import getopt
from dataclasses import dataclass, field

from socketd.errors import UsageError


@dataclass(frozen=True, slots=True)
class Option:
    """One option; `metavar` is empty for a flag, `letter` for one that has only a long name."""

    letter: str
    name: str
    metavar: str
    help: str


OPTIONS = (
    Option("s", "server", "", "serve: wait for connections"),
    Option("l", "loop", "", "accept again after a connection, not just one"),
    Option("f", "fork", "", "serve connections at the same time, not one after another"),
    Option("p", "program", "COMMAND", "run COMMAND with the connection as its stdin and stdout"),
    Option("W", "workers", "N", "keep N workers waiting (implies -l and -f)"),
    Option("b", "background", "", "go to the background once the service is up"),
    Option("B", "bind", "ADDRESS", "use this local address or name"),
    Option("q", "quit", "", "end the connection at the end of the input"),
    Option("c", "crlf", "", "translate LF to CRLF towards the socket, and back"),
    Option("r", "read-only", "", "only read from the socket"),
    Option("w", "write-only", "", "only write to the socket"),
    Option("v", "verbose", "", "say what happens, on stderr"),
    Option("", "max-workers", "N", "never have more than N workers (default 256, or -W's N)"),
    Option("", "worker", "KIND", "auto (default), native or python"),
    Option("", "strategy", "NAME", "fixed, eager (default), incremental or surge"),
    Option("", "idle-timeout", "TIME", "quiet time after which the pool shrinks (default 30s)"),
    Option("", "backlog", "N", "length of the kernel's queue (default 4096)"),
    Option("", "shell", "WHEN", "run COMMAND by /bin/sh: auto (default), always or never"),
    Option("", "stderr", "WHERE", "COMMAND's stderr: socket (default), inherit or null"),
    Option("", "drain-timeout", "TIME", "how long a stop waits for connections (default 30s)"),
    Option("", "pidfile", "PATH", "write the server's process id to PATH"),
    Option("", "log-format", "NAME", "console (default) or json"),
    Option("", "log-level", "NAME", "debug, info, warning (default) or error; -v means info"),
    Option("", "help", "", "print this text"),
    Option("", "version", "", "print the version"),
)

_FORMS = (
    "socket [options] host port",
    "socket [options] /path",
    "socket [options] -s [-l] port",
    "socket [options] -s [-l] /path",
)


@dataclass(slots=True)
class CommandLine:
    """What was typed: values by long name, an empty one for a flag, and the operands."""

    values: dict[str, str] = field(default_factory=dict)
    operands: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Tell whether a flag was given."""
        return name in self.values


def parse(arguments: list[str]) -> CommandLine:
    """Split a command line. Raises UsageError for what getopt cannot make sense of."""
    letters = "".join(o.letter + (":" if o.metavar else "") for o in OPTIONS if o.letter)
    names = [o.name + ("=" if o.metavar else "") for o in OPTIONS]
    try:
        pairs, operands = getopt.gnu_getopt(arguments, letters, names)
    except getopt.GetoptError as error:
        raise UsageError(f"{error}\n{usage()}") from None
    by_flag = {f"-{o.letter}": o.name for o in OPTIONS if o.letter}
    values = {by_flag.get(flag, flag.removeprefix("--")): value for flag, value in pairs}
    return CommandLine(values, operands)


def usage() -> str:
    """Return the forms of the command, as after a usage error."""
    first, *rest = _FORMS
    return "\n".join([f"Usage: {first}", *(f"       {form}" for form in rest)])


def help_text() -> str:
    """Return the forms and every option."""
    lines = [usage(), ""]
    for option in OPTIONS:
        letter = f"-{option.letter}, " if option.letter else "    "
        name = f"--{option.name}" + (f" {option.metavar}" if option.metavar else "")
        lines.append(f"  {letter}{name:<24}{option.help}")
    return "\n".join(lines)
