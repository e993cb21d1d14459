"""Every setting, once: parsers, the schema of the file, help, completion and documents use it.

Owns names, kinds, defaults and meanings, and who offers what. Must not know what a setting does.

To add one, add a row, a field in the value that it goes to, and what uses that. A row's key is its
place in a table [service.NAME] of a file. Its option is that key's last part unless the row says
otherwise. `offers` names who takes it: `file` (socketd run), `socket`, and `cgi` (socketd cgi).
Where one is missing there is a reason beside the row. Client mode imports this, so it loads
nothing that it does not need; see kinds.py.
"""

from socketd.settings.kinds import (
    Account,
    Accounts,
    Choice,
    Command,
    Count,
    Duration,
    Kind,
    Limits,
    Octal,
    Path,
    RequestVariables,
    Switch,
    User,
    Variables,
)

MOST_WORKERS = 32768  # the kernel's default number of process ids
HIGHEST_BACKLOG = 2**31 - 1
LEVELS = "fork load read stop relay"
_STRICT_LEVELS = "fork! load! read! stop! relay!"

FILE = "file"
SOCKET = "socket"
CGI = "cgi"
_ALL = "file socket cgi"


class Setting:
    """One setting.

    `default` is a value of its kind, None for none; `usual` says in words what follows from
    that, or what the default depends on. `since` is the version that brought it.
    """

    __slots__ = (
        "default", "key", "kind", "letter", "meaning", "metavar", "offers", "option", "since",
        "usual",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        kind: Kind,
        meaning: str,
        *,
        metavar: str = "",
        option: str = "",
        letter: str = "",
        default: object = None,
        usual: str = "",
        offers: str = _ALL,
        since: str = "2.0",
    ) -> None:
        self.key = key
        self.kind = kind
        self.meaning = meaning
        self.metavar = metavar
        self.option = option or self.name.replace("_", "-")
        self.letter = letter
        self.default = default
        self.usual = usual
        self.offers = frozenset(offers.split())
        self.since = since

    @property
    def name(self) -> str:
        """Return the key within its table."""
        return self.key.rpartition(".")[2]

    @property
    def table(self) -> str:
        """Return the table of its key, empty for that of the service itself."""
        return self.key.rpartition(".")[0]


SETTINGS = (
    Setting(
        "program",
        Command(),
        "the program that each connection is given to, as its stdin and stdout",
        metavar="COMMAND",
        letter="p",
        offers="file socket",  # `socketd cgi` takes it as operands
    ),
    Setting(
        "front",
        Choice("none scgi fcgi"),
        "the program is a CGI program, and requests come by this protocol",
        metavar="PROTOCOL",
        default="none",
        offers="file socket",  # `socketd cgi` has --scgi and --fcgi, each with an address
    ),
    Setting(
        "root",
        Path("the absolute path of a directory"),
        "the folder of CGI programs, in place of a program: the path of a request names one",
        metavar="FOLDER",
    ),
    Setting(
        "head_timeout",
        Duration(),
        "time limit for the head of a request",
        metavar="TIME",
        default=30.0,
    ),
    Setting(
        "keep_timeout",
        Duration(),
        "how long a kept FastCGI connection may wait for its next request",
        metavar="TIME",
        usual="75s",
    ),
    Setting(
        "request_variables",
        RequestVariables(
            "a list of names, of beginnings of names as in 'SSL_*', and of 'standard' for the "
            "names of RFC 3875"
        ),
        "the variables that a CGI request may set",
        metavar="LIST",
        usual="all but those that loaders, shells and interpreters act on",
    ),
    Setting(
        "linger",
        Duration(),
        "how long a parent behind the program takes what a client still sends, so that the answer "
        "is not lost",
        metavar="TIME",
        usual="nobody stays",
    ),
    Setting(
        "shell",
        Choice("auto always never"),
        "when the program is run by /bin/sh; auto: if its text needs a shell",
        metavar="WHEN",
        default="auto",
        offers="file socket",  # `socketd cgi` is given words
    ),
    Setting(
        "ready",
        Choice(f"{LEVELS} {_STRICT_LEVELS}"),
        "how far the program is started ahead of its connection; add ! to fail instead of using a "
        "lower level",
        metavar="LEVEL",
        usual="fork, with socketd cgi as far as the program can be",
    ),
    Setting(
        "hold_timeout",
        Duration(),
        "time limit for starting the program ahead",
        metavar="TIME",
        default=10.0,
    ),
    Setting(
        "renew_after",
        Duration(),
        "age at which a program that was started ahead is started afresh",
        metavar="TIME",
        default=3600.0,
    ),
    Setting(
        "worker",
        Choice("auto native python"),
        "what workers are made by; auto: native where it was built",
        metavar="KIND",
        default="auto",
        offers="file socket",  # CGI requests are read by native workers only
    ),
    Setting(
        "backlog",
        Count(1, HIGHEST_BACKLOG),
        "length of the kernel's queue, for each listener",
        metavar="N",
        default=4096,
    ),
    Setting(
        "stderr",
        Choice("socket inherit syslog null"),
        "where the program's stderr goes",
        metavar="WHERE",
        usual="socket, or inherit with a front",
    ),
    Setting(
        "user",
        User("the name of a user", "USER or USER:GROUP"),
        "the user who runs the program (needs root)",
        metavar="USER",
    ),
    Setting(
        "groups",
        Accounts("a list of names of groups, the first of them the primary one"),
        "the groups of the program",
        metavar="NAMES",
        usual="those of the user",
    ),
    Setting(
        "directory",
        Path("an absolute path"),
        "the program's working directory",
        metavar="PATH",
        usual="that of the server, or a CGI program's own",
    ),
    Setting("umask", Octal(), "the program's file mode mask", metavar="OCTAL"),
    Setting(
        "nice",
        Count(-20, 19),
        "the program's niceness",
        metavar="N",
    ),
    Setting(
        "no_new_privs",
        Switch(),
        "true: exec cannot grant the program new privileges",
        default=False,
    ),
    Setting(
        "environment",
        Variables(),
        "variables for the program, beside those of the connection",
        metavar="NAME[=VALUE]",
        option="env",
        default={},
    ),
    Setting(
        "limits",
        Limits(),
        "resource limits of the program, as in nofile = 1024",
        metavar="NAME=LIMIT",
        option="limit",
        default={},
    ),
    Setting(
        "workers.min",
        Count(1, MOST_WORKERS),
        "workers that wait, for each listener",
        metavar="N",
        option="workers",
        letter="W",
        usual="1",
    ),
    Setting(
        "workers.max",
        Count(1, MOST_WORKERS, f"a whole number from min to {MOST_WORKERS}"),
        "workers that there may be, for each listener",
        metavar="N",
        option="max-workers",
        usual="256, or {workers.min} where that is larger or the strategy is fixed",
    ),
    Setting(
        "workers.strategy",
        Choice("fixed eager adaptive incremental surge"),
        "how the pool grows and shrinks",
        metavar="NAME",
        usual="eager where {workers.min} is given, else adaptive",
    ),
    Setting(
        "workers.idle_timeout",
        Duration(),
        "after how long workers that were not needed leave",
        metavar="TIME",
        default=30.0,
    ),
    Setting(
        "timeouts.connection",
        Duration(),
        "time limit for a connection; SIGTERM follows",
        metavar="TIME",
        option="time-limit",
        usual="no limit",
    ),
    Setting(
        "timeouts.drain",
        Duration(),
        "how long a stop waits for connections; SIGTERM follows",
        metavar="TIME",
        option="drain-timeout",
        default=30.0,
    ),
    Setting(
        "timeouts.kill",
        Duration(),
        "time from SIGTERM to SIGKILL",
        metavar="TIME",
        option="kill-timeout",
        default=5.0,
    ),
    Setting(
        "listen.mode",
        Octal(),
        "permissions of a UNIX socket's path",
        metavar="OCTAL",
        usual="0660; with socket as the umask has it",
    ),
    Setting(
        "listen.owner",
        Account("the name of a user"),
        "owner of a UNIX socket's path",
        metavar="USER",
    ),
    Setting(
        "listen.group",
        Account("the name of a group"),
        "group of a UNIX socket's path",
        metavar="GROUP",
    ),
)


def offered(place: str) -> list[Setting]:
    """Return the settings of a file, of `socket` or of `socketd cgi`, in order."""
    return [setting for setting in SETTINGS if place in setting.offers]
