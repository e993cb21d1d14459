"""The options of `socket`: for the parser, the usage text, completion and the manual.

Owns the options that are no setting of a service, and the classic grammar: single letters bundle,
the last of a bundle may take a value, options may follow operands. That is getopt's grammar and
these are getopt's complaints, word for word. It is neither click nor the getopt module, because
client mode pays for every import: no dataclasses, no typing, no re.
"""

from socketd.errors import ClassicUsageError, UsageError

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from collections.abc import Callable

    from socketd.settings.setting import Setting

_WIDTH = 78
_HELP_COLUMN = 30


class Option:
    """One option; `metavar` is empty for a flag, `letter` for one that has only a long name.

    `choices` are all possible values, for an option that takes one of a few.
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


_OWN = (
    Option("s", "server", "", "serve: wait for connections"),
    Option("l", "loop", "", "serve more than one connection"),
    Option("f", "fork", "", "serve connections at the same time, not one after another"),
    Option("b", "background", "", "run in the background; return once the service is up"),
    Option("B", "bind", "ADDRESS", "use this local address or name"),
    Option("q", "quit", "", "close the connection at the end of the input"),
    Option("N", "half-close", "", "shut the sending side down at the end of the input, read on"),
    Option("c", "crlf", "", "translate LF to CRLF towards the socket, CRLF to LF from it"),
    Option("r", "read-only", "", "only read from the socket"),
    Option("w", "write-only", "", "only write to the socket"),
    Option("v", "verbose", "", "report connections on stderr"),
    Option("", "connect-timeout", "TIME", "give up connecting after this time"),
    Option("", "wait", "", "try again until the server is there"),
    Option(
        "",
        "send-proxy",
        "VERSION",
        "say the ends of the connection by the PROXY protocol, version 1 or 2",
        "1 2",
    ),
    Option("", "pidfile", "PATH", "write the server's process id to PATH"),
    Option("", "control", "PATH", "say at a socket at PATH what the server does, and take orders"),
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
    Option("h", "help", "", "print this text"),
    Option("", "version", "", "print the version"),
)

_RELAYING = ("crlf", "read-only", "write-only")

_FORMS = (
    "socket [-cqrvwN] [-p command] [-B local-address] host port",
    "socket [-cqrvwN] [-p command] /path",
    "socket [-bcfqrvwN] [-p command] [-W n] [-B local-address] -s [-l] port",
    "socket [-bcfqrvwN] [-p command] [-W n] -s [-l] /path",
    "socket -version",
    "socket -h",
)


def own_options() -> list[Option]:
    """Return the options of the command itself."""
    return list(_OWN)


def setting_options() -> list[Option]:
    """Return the options for the settings of the service.

    A client is mostly called without them, so the table is imported only when needed.
    """
    return _settings_options(lambda setting: True)  # noqa: ARG005  all of them


def _settings_options(is_wanted: "Callable[[Setting], bool]") -> list[Option]:
    from socketd.settings.setting import SOCKET
    from socketd.settings.table import offered

    return [_option_of(setting) for setting in offered(SOCKET) if is_wanted(setting)]


def all_options() -> list[Option]:
    """Return every option, in the order of the documents."""
    return own_options() + setting_options()


def _option_of(setting: "Setting") -> Option:
    choices = " ".join(setting.kind.choices)
    return Option(setting.letter, setting.option, setting.metavar, help_of(setting), choices)


def help_of(setting: "Setting") -> str:
    """Return the help text of a setting: meaning, choices and default."""
    choices = setting.kind.choices
    notes = [_listed(choices)] if choices else []
    usual = setting.usual
    if not usual and setting.default not in (None, False, {}):
        usual = str(setting.kind.show(setting.default))
    if usual:
        notes.append(f"default {usual}")
    return _name_options(setting.meaning + (f" ({'; '.join(notes)})" if notes else ""))


def _listed(words: tuple[str, ...]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"


def _name_options(text: str) -> str:
    """Return a text with the settings that it names in braces as a command line names them."""
    from socketd.settings.setting import SOCKET
    from socketd.settings.table import offered

    for setting in offered(SOCKET):
        text = text.replace("{" + setting.key + "}", spelling(setting))
    return text


def spelling(setting: "Setting") -> str:
    """Return the shorter way to write an option."""
    return f"-{setting.letter}" if setting.letter else f"--{setting.option}"


class CommandLine:
    """A parsed command line: values by long name, an empty one for a flag, and the operands.

    `words` are all values of each option, for those that can be repeated.
    """

    __slots__ = ("operands", "values", "words")

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.words: dict[str, list[str]] = {}
        self.operands: list[str] = []

    def add(self, name: str, value: str) -> None:
        """Note an option."""
        self.values[name] = value
        self.words.setdefault(name, []).append(value)

    def has(self, name: str) -> bool:
        """Tell whether a flag was given."""
        return name in self.values

    @property
    def has_program(self) -> bool:
        """Tell whether connections go to programs, not to our own stdin and stdout."""
        return bool({"program", "root", "scripts"} & self.values.keys())

    @property
    def needs_relay(self) -> bool:
        """Tell whether bytes must pass through us on their way between socket and program."""
        return any(name in self.values for name in _RELAYING)


def parse(arguments: list[str]) -> CommandLine:
    """Split a command line. Raises UsageError for what getopt would refuse."""
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
    return line


def _add_value(option: Option, value: str, line: CommandLine) -> None:
    """Note an option. Raises UsageError if its value is empty: it was that of an unset variable."""
    if not value:
        raise UsageError(
            f"--{option.name}: the value is empty; give {option.metavar} or leave the option out"
        )
    line.add(option.name, value)


def _take_bundle(letters: str, coming: list[str], line: CommandLine) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        option = _find_letter(letter)
        if option is None:
            raise _complaint(f"invalid option -- '{letter}'")
        if not option.metavar:
            line.add(option.name, "")
            continue
        if not letters and not coming:
            raise _complaint(f"option requires an argument -- '{letter}'")
        _add_value(option, letters or coming.pop(), line)
        return


def _find_letter(letter: str) -> Option | None:
    """Return the option of a letter, one of the command itself without a look at the settings."""
    own = [option for option in _OWN if option.letter == letter]
    known = own or _settings_options(lambda setting: setting.letter == letter)
    return known[0] if known else None


def _take_long(text: str, coming: list[str], line: CommandLine) -> None:
    name, equals, value = text.partition("=")
    exact = [option for option in own_options() if option.name == name]
    options = exact or _find_names(name)
    if not options:
        raise _complaint(f"unrecognized option '--{text}'{_nearest(name)}")
    if len(options) > 1:
        names = " ".join(f"'--{option.name}'" for option in options)
        raise _complaint(f"option '--{text}' is ambiguous; possibilities: {names}")
    option = options[0]
    if not option.metavar and equals:
        raise _complaint(f"option '--{option.name}' doesn't allow an argument")
    if not option.metavar:
        line.add(option.name, "")
        return
    if not equals:
        if not coming:
            raise _complaint(f"option '--{option.name}' requires an argument")
        value = coming.pop()
    _add_value(option, value, line)


def _nearest(name: str) -> str:
    """Return a hint at the option whose name is most like this one, nothing if none is."""
    import difflib  # which only a mistake needs

    near = difflib.get_close_matches(name, [option.name for option in all_options()], 1, 0.7)
    return f"; did you mean '--{near[0]}'?" if near else ""


def _find_names(name: str) -> list[Option]:
    """Return the option of a name, or those whose names begin so."""
    own = [option for option in _OWN if option.name.startswith(name)]
    known = own + _settings_options(lambda setting: setting.option.startswith(name))
    return [option for option in known if option.name == name] or known


def wrong_operands() -> UsageError:
    """Return the error for too many or too few operands: only the usage, as in socket 1.1."""
    return ClassicUsageError("", usage())


def usage() -> str:
    """Return the forms of the command and what is new, as after a usage error."""
    first, *rest = _FORMS
    lines = [f"Usage: {first}", *(f"       {form}" for form in rest)]
    row = "Also:"
    for option in all_options():
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
    for option in own_options():
        lines += _help_lines(option)
    lines += ["", "Settings of the service:"]
    for option in setting_options():
        lines += _help_lines(option)
    return "\n".join(lines)


def _help_lines(option: Option) -> list[str]:
    letter = f"-{option.letter}, " if option.letter else "    "
    name = f"--{option.name}" + (f" {option.metavar}" if option.metavar else "")
    row = f"  {letter}{name:<24}"
    lines = []
    for word in option.help.split():
        if len(row) + 1 + len(word) > _WIDTH:
            lines.append(row)
            row = " " * _HELP_COLUMN
        row += f" {word}"
    return [*lines, row]


def _complaint(text: str) -> UsageError:
    return UsageError(text, usage())
