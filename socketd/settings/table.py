"""All settings of a service: parsers, the configuration file, help, completion, documents.

Owns names, kinds, defaults and meanings, and which front end offers a setting; the rows about a
listener are in listener_table.py, those about clients in admission_table.py, those about what the
program may reach in confinement_table.py. Must not know what a setting does.

To add a setting, add a row, a field in the value that holds it, and the code that uses the field.
A row's key is its place in a table [service.NAME] of a file. Its option is the last part of the
key unless the row says otherwise. `offers` lists the front ends: `file` (socketd run), `socket`
and `cgi` (socketd cgi). If one of them is missing, a comment on the row says why. `explain`
(socketd explain) has the settings of the program alone. Client mode imports this
module and pays for every import; see kinds.py.
"""

from socketd.settings.admission_table import ADMISSION_SETTINGS
from socketd.settings.compound import Command, Limits, RequestVariables, Variables
from socketd.settings.confinement_table import CONFINEMENT_SETTINGS
from socketd.settings.kinds import (
    Accounts,
    Choice,
    Count,
    Decision,
    Duration,
    FileNames,
    Octal,
    Path,
    Paths,
    Switch,
    User,
)
from socketd.settings.listener_table import LISTENER_SETTINGS
from socketd.settings.setting import OF_A_PROGRAM, Setting
from socketd.settings.size import Size

MOST_WORKERS = 32768  # the kernel's default number of process ids
HIGHEST_BACKLOG = 2**31 - 1
LEVELS = "auto fork load read stop relay"
_STRICT_LEVELS = "fork! load! read! stop! relay!"

SETTINGS = (
    Setting(
        "program",
        Command(),
        "program to run for each connection, with the connection as its stdin and stdout",
        metavar="COMMAND",
        letter="p",
        offers="file socket",  # `socketd cgi` takes it as operands
    ),
    Setting(
        "front",
        Choice("none scgi fcgi"),
        "the program is a CGI program; read requests in this protocol",
        metavar="PROTOCOL",
        default="none",
        offers="file socket explain",  # `socketd cgi` has --scgi and --fcgi, each with an address
    ),
    Setting(
        "root",
        Path("the absolute path of a directory"),
        "folder of CGI programs, instead of a program: the path of a request names one",
        metavar="FOLDER",
    ),
    Setting(
        "scripts",
        Paths("a list of absolute paths of directories and programs"),
        "CGI programs, instead of a program: SCRIPT_FILENAME of a request, or DOCUMENT_ROOT with "
        "SCRIPT_NAME, names one of these or one below these folders",
        metavar="PATH[,PATH]",
    ),
    Setting(
        "index",
        FileNames("a list of names of files"),
        "programs for a path that ends with a slash: the first of them that is in that folder",
        metavar="NAME[,NAME]",
    ),
    Setting(
        "script_templates",
        Count(0, 64),
        "most programs that requests name to have templates of their own at a time",
        metavar="N",
        default=8,
    ),
    Setting(
        "head_timeout",
        Duration(),
        "time limit for the head of a request, and for what a proxy says of its client",
        metavar="TIME",
        default=30.0,
    ),
    Setting(
        "keep_timeout",
        Duration(),
        "how long a FastCGI connection may be idle between two requests",
        metavar="TIME",
        usual="75s",
    ),
    Setting(
        "head_limit",
        Size(1024, 65535),
        "largest head of a CGI request; a larger one is answered with 431",
        metavar="BYTES",
        usual="65535",
    ),
    Setting(
        "body_limit",
        Size(),
        "largest body of a CGI request; a larger one is answered with 413",
        metavar="BYTES",
        usual="no limit",
    ),
    Setting(
        "answer_timeout",
        Duration(),
        "time limit for the first byte of the answer to a CGI request, then 504 and SIGTERM",
        metavar="TIME",
        usual="no limit",
    ),
    Setting(
        "request_variables",
        RequestVariables(
            "a list of names, of prefixes as in 'SSL_*', and of 'standard' for the names of RFC "
            "3875"
        ),
        "variables that a CGI request may set",
        metavar="LIST",
        usual="all but those that loaders, shells and interpreters act on",
    ),
    Setting(
        "client_gone",
        Choice("end finish"),
        "what becomes of a CGI program whose client has gone: end its processes, or let it finish",
        metavar="WHAT",
        usual="end",
    ),
    Setting(
        "linger",
        Duration(),
        "keep a parent behind the program that reads unread input for this time, so that the "
        "client gets the whole answer",
        metavar="TIME",
        usual="off",
    ),
    Setting(
        "keep_children",
        Decision(),
        "what a program has started and left behind outlives it; else it gets SIGTERM when the "
        "program has ended, and SIGKILL after {timeouts.kill}",
        metavar="ANSWER",
        usual="no; with the command socket yes",
    ),
    Setting(
        "shell",
        Choice("auto always never"),
        "run the program by /bin/sh; auto: only if its text needs a shell",
        metavar="WHEN",
        default="auto",
        offers="file socket",  # `socketd cgi` gets the program as separate words
    ),
    Setting(
        "ready",
        Choice(f"{LEVELS} {_STRICT_LEVELS}"),
        "how far to start the program ahead of its connection; auto: load if it can be held before "
        "it runs, else fork; add ! to any other level to fail instead of using a lower one",
        metavar="LEVEL",
        usual="auto; with socketd cgi stop for a script in Python",
    ),
    Setting(
        "hold_timeout",
        Duration(),
        "time limit for starting the program ahead",
        metavar="TIME",
        default=10.0,
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "renew_after",
        Duration(),
        "start a program that was started ahead again after this time",
        metavar="TIME",
        default=3600.0,
    ),
    Setting(
        "shared_files",
        Choice("refuse allow"),
        "hold a program that has files open for writing, or locks: copies share them",
        metavar="WHAT",
        default="refuse",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "trial",
        Choice("prepare run"),
        "what a first copy does before others are made: be prepared only, or also run the program, "
        "if that is held at read or stop, with a client that has left",
        metavar="WHAT",
        default="prepare",
    ),
    Setting(
        "warm_up",
        Path("the absolute path of a file"),
        "file with a request that a first copy of a program held at read or stop has to answer "
        "before others are made; the answer is thrown away",
        metavar="FILE",
    ),
    Setting(
        "worker",
        Choice("auto native python"),
        "kind of worker process; auto: native if it was built",
        metavar="KIND",
        default="auto",
        offers="file socket",  # CGI requests are read by native workers only
    ),
    Setting(
        "backlog",
        Count(1, HIGHEST_BACKLOG),
        "length of the kernel's queue of connections, for each listener",
        metavar="N",
        default=4096,
    ),
    *ADMISSION_SETTINGS,
    Setting(
        "stderr",
        Choice("socket inherit syslog null"),
        "where the program's stderr goes",
        metavar="WHERE",
        usual="socket, or inherit with a front",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "user",
        User("the name of a user", "USER or USER:GROUP"),
        "run the program as this user (needs root)",
        metavar="USER",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "groups",
        Accounts("a list of names of groups, the primary one first"),
        "groups of the program",
        metavar="NAMES",
        usual="the user's",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "directory",
        Path("an absolute path"),
        "working directory of the program",
        metavar="PATH",
        usual="the server's, for a CGI program its own folder",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "umask",
        Octal(),
        "file mode mask of the program",
        metavar="OCTAL",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "nice",
        Count(-20, 19),
        "niceness of the program",
        metavar="N",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "no_new_privs",
        Switch(),
        "true: exec cannot grant the program new privileges",
        default=False,
        offers=OF_A_PROGRAM,
    ),
    *CONFINEMENT_SETTINGS,
    Setting(
        "environment",
        Variables(),
        "variables for the program, in addition to those of the connection",
        metavar="NAME[=VALUE]",
        option="env",
        default={},
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "limits",
        Limits(),
        "resource limits of the program, as in nofile=1024",
        metavar="NAME=LIMIT",
        option="limit",
        default={},
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "workers.min",
        Count(1, MOST_WORKERS),
        "number of workers to keep waiting, for each listener",
        metavar="N",
        option="workers",
        letter="W",
        usual="1",
    ),
    Setting(
        "workers.max",
        Count(1, MOST_WORKERS, f"a whole number from min to {MOST_WORKERS}"),
        "most workers, waiting and busy, for each listener",
        metavar="N",
        option="max-workers",
        usual="256, or {workers.min} if that is larger or the strategy is fixed",
    ),
    Setting(
        "workers.strategy",
        Choice("fixed eager adaptive incremental surge"),
        "how the pool grows and shrinks",
        metavar="NAME",
        usual="eager if {workers.min} is given, otherwise adaptive",
    ),
    Setting(
        "workers.idle_timeout",
        Duration(),
        "let idle workers exit that were not needed for this time",
        metavar="TIME",
        default=30.0,
    ),
    Setting(
        "timeouts.connection",
        Duration(),
        "time limit for a connection, then SIGTERM",
        metavar="TIME",
        option="time-limit",
        usual="no limit",
    ),
    Setting(
        "timeouts.idle",
        Duration(),
        "end a TCP connection over which no byte has gone either way for this time: SIGTERM",
        metavar="TIME",
        option="idle-limit",
        usual="no limit",
    ),
    Setting(
        "timeouts.first_byte",
        Duration(),
        "end a TCP connection whose client has sent no byte in this time: SIGTERM",
        metavar="TIME",
        option="first-byte-limit",
        usual="no limit",
        offers="file socket",  # of `socketd cgi` the time limit for the head of a request
    ),
    Setting(
        "stop_delay",
        Duration(),
        "how long a service that was told to stop says so and still takes connections, before it "
        "stops; likewise before it is drained",
        metavar="TIME",
        usual="none",
    ),
    Setting(
        "timeouts.drain",
        Duration(),
        "how long a stop waits for connections, then SIGTERM",
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
    *LISTENER_SETTINGS,
)


def offered(place: str) -> list[Setting]:
    """Return the settings of one front end, in order."""
    return [setting for setting in SETTINGS if place in setting.offers]
