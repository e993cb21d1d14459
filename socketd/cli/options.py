"""The options of `socket`: one table for the parser, the usage text, completion and the manual.

Owns the names, the help texts and the classic grammar: single letters bundle, the last of a
bundle may take a value, options may follow operands. That is getopt's grammar and these are
getopt's complaints, word for word. It is neither click nor the getopt module, because client mode
pays for every import: no dataclasses, no typing, no re.
"""

from socketd.errors import ClassicUsageError, UsageError

_WIDTH = 78


class Option:
    """One option; `metavar` is empty for a flag, `letter` for one that has only a long name.

    `choices` are all values that there are, for an option that takes one of a few.
    """

    __slots__ = ("choices", "help", "letter", "metavar", "name")

    def __init__(
        self, letter: str, name: str, metavar: str, help_line: str, choices: str = ""
    ) -> None:
        self.letter = letter
        self.name = name
        self.metavar = metavar
        self.help = help_line
        self.choices = choices.split()


OPTIONS = (
    Option("s", "server", "", "serve: wait for connections"),
    Option("l", "loop", "", "accept again after a connection, not just one"),
    Option("f", "fork", "", "serve connections at the same time, not one after another"),
    Option("p", "program", "COMMAND", "run COMMAND with the connection as its stdin and stdout"),
    Option("W", "workers", "N", "keep N workers waiting (implies -l and -f)"),
    Option("b", "background", "", "go to the background once the service is up"),
    Option("B", "bind", "ADDRESS", "use this local address or name"),
    Option("q", "quit", "", "end the connection at the end of the input"),
    Option("N", "half-close", "", "tell the peer the end of the input, and read on to its end"),
    Option("c", "crlf", "", "translate LF to CRLF towards the socket, and back"),
    Option("r", "read-only", "", "only read from the socket"),
    Option("w", "write-only", "", "only write to the socket"),
    Option("v", "verbose", "", "say what happens, on stderr"),
    Option("", "connect-timeout", "TIME", "give up connecting after this time"),
    Option("", "wait", "", "wait for a server that is not there yet"),
    Option("", "max-workers", "N", "never have more than N workers (default 256, or -W's N)"),
    Option("", "worker", "KIND", "auto (default), native or python", "auto native python"),
    Option(
        "",
        "ready",
        "LEVEL",
        "start COMMAND ahead: fork (default), load, read, stop or relay; with ! or not at all",
        "fork load read stop relay load! read! stop! relay!",
    ),
    Option(
        "", "hold-timeout", "TIME", "how long that may take before it is given up (default 10s)"
    ),
    Option("", "renew-after", "TIME", "age at which it is started afresh (default 1h)"),
    Option(
        "",
        "front",
        "PROTOCOL",
        "COMMAND is a CGI program, requests come by scgi or fcgi; none (default)",
        "none scgi fcgi",
    ),
    Option("", "root", "FOLDER", "with --front, in place of -p: the path names a program in it"),
    Option("", "head-timeout", "TIME", "how long the head of a request may take (default 30s)"),
    Option(
        "", "keep-timeout", "TIME", "how long a kept fcgi connection may wait for one (default 75s)"
    ),
    Option(
        "",
        "strategy",
        "NAME",
        "fixed, eager (default with -W), adaptive (default without), incremental or surge",
        "fixed eager adaptive incremental surge",
    ),
    Option("", "idle-timeout", "TIME", "quiet time after which the pool shrinks (default 30s)"),
    Option("", "backlog", "N", "length of the kernel's queue (default 4096)"),
    Option(
        "",
        "shell",
        "WHEN",
        "run COMMAND by /bin/sh: auto (default), always or never",
        "auto always never",
    ),
    Option(
        "",
        "stderr",
        "WHERE",
        "COMMAND's stderr: socket (default), inherit, syslog or null",
        "socket inherit syslog null",
    ),
    Option("", "user", "USER", "run COMMAND as USER or USER:GROUP (needs root)"),
    Option("", "directory", "PATH", "run COMMAND in this directory"),
    Option("", "umask", "OCTAL", "run COMMAND with this file mode mask"),
    Option("", "time-limit", "TIME", "how long a connection may take (default: as it likes)"),
    Option("", "drain-timeout", "TIME", "how long a stop waits for connections (default 30s)"),
    Option("", "pidfile", "PATH", "write the server's process id to PATH"),
    Option(
        "",
        "log-format",
        "NAME",
        "console (default), json, or journal (default under systemd)",
        "console json journal",
    ),
    Option("", "log-file", "PATH", "log to PATH, which may be rotated"),
    Option(
        "",
        "log-level",
        "NAME",
        "debug, info, warning (default) or error; -v means info",
        "debug info warning error",
    ),
    Option("", "completion", "SHELL", "print completions for bash, zsh or fish", "bash zsh fish"),
    Option("", "help", "", "print this text"),
    Option("", "version", "", "print the version"),
)

_RELAYING = ("crlf", "read-only", "write-only")

_FORMS = (
    "socket [-cqrvwN] [-p command] [-B local-address] host port",
    "socket [-cqrvwN] [-p command] /path",
    "socket [-bcfqrvwN] [-p command] [-W n] [-B local-address] -s [-l] port",
    "socket [-bcfqrvwN] [-p command] [-W n] -s [-l] /path",
    "socket -version",
)


class CommandLine:
    """What was typed: values by long name, an empty one for a flag, and the operands."""

    __slots__ = ("operands", "values")

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.operands: list[str] = []

    def has(self, name: str) -> bool:
        """Tell whether a flag was given."""
        return name in self.values

    @property
    def has_program(self) -> bool:
        """Tell whether connections are given to programs, not to our own stdin and stdout."""
        return "program" in self.values or "root" in self.values

    @property
    def needs_relay(self) -> bool:
        """Tell whether bytes must pass through us on their way between socket and program."""
        return any(name in self.values for name in _RELAYING)


def parse(arguments: list[str]) -> CommandLine:
    """Split a command line. Raises UsageError for what getopt cannot make sense of."""
    line = CommandLine()
    coming = list(reversed(arguments))
    while coming:
        argument = coming.pop()
        if argument == "--":
            line.operands += reversed(coming)
            break
        if argument.startswith("--"):
            _take_long(argument.removeprefix("--"), coming, line)
        elif argument.startswith("-") and argument != "-":
            _take_bundle(argument.removeprefix("-"), coming, line)
        else:
            line.operands.append(argument)
    _refuse_empty(line)
    return line


def _refuse_empty(line: CommandLine) -> None:
    """Raise UsageError for an option without its value: an unset variable has been its value."""
    for option in OPTIONS:
        if option.metavar and line.values.get(option.name) == "":
            raise UsageError(
                f"--{option.name}: the value is empty; give {option.metavar} or leave the option "
                "out"
            )


def _take_bundle(letters: str, coming: list[str], line: CommandLine) -> None:
    by_letter = {option.letter: option for option in OPTIONS if option.letter}
    while letters:
        letter, letters = letters[0], letters[1:]
        option = by_letter.get(letter)
        if option is None:
            raise _complaint(f"invalid option -- '{letter}'")
        if not option.metavar:
            line.values[option.name] = ""
            continue
        if not letters and not coming:
            raise _complaint(f"option requires an argument -- '{letter}'")
        line.values[option.name] = letters or coming.pop()
        return


def _take_long(text: str, coming: list[str], line: CommandLine) -> None:
    name, equals, value = text.partition("=")
    exact = [option for option in OPTIONS if option.name == name]
    options = exact or [option for option in OPTIONS if option.name.startswith(name)]
    if not options:
        raise _complaint(f"unrecognized option '--{text}'")
    if len(options) > 1:
        names = " ".join(f"'--{option.name}'" for option in options)
        raise _complaint(f"option '--{text}' is ambiguous; possibilities: {names}")
    option = options[0]
    if not option.metavar and equals:
        raise _complaint(f"option '--{option.name}' doesn't allow an argument")
    if option.metavar and not equals:
        if not coming:
            raise _complaint(f"option '--{option.name}' requires an argument")
        value = coming.pop()
    line.values[option.name] = value


def wrong_operands() -> UsageError:
    """Return the error for too many or too few operands: the usage alone, as ever."""
    return ClassicUsageError(usage())


def usage() -> str:
    """Return the forms of the command and what is new, as after a usage error."""
    first, *rest = _FORMS
    lines = [f"Usage: {first}", *(f"       {form}" for form in rest)]
    row = "Also:"
    for option in OPTIONS:
        if option.letter:
            continue
        words = f" [--{option.name}" + (f" {option.metavar}]" if option.metavar else "]")
        if len(row) + len(words) > _WIDTH:
            lines.append(row)
            row = "      "
        row += words
    return "\n".join([*lines, row])


def help_text() -> str:
    """Return the forms and every option."""
    first, *rest = _FORMS
    lines = [f"Usage: {first}", *(f"       {form}" for form in rest), ""]
    for option in OPTIONS:
        letter = f"-{option.letter}, " if option.letter else "    "
        name = f"--{option.name}" + (f" {option.metavar}" if option.metavar else "")
        lines.append(f"  {letter}{name:<24}{option.help}")
    return "\n".join(lines)


def _complaint(text: str) -> UsageError:
    return UsageError(f"{text}\n{usage()}")
