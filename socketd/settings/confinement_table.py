"""The rows of the table of settings that are about what the program may reach, and use.

Owns names, kinds and meanings of those settings. Must not know what a setting does.
"""

from socketd.settings.compound import Ports
from socketd.settings.kinds import Count, Group, Path, Paths
from socketd.settings.setting import ALL, OF_A_PROGRAM, Setting
from socketd.settings.size import Size

MOST_PERCENT = 100_000
MOST_PIDS = 4_194_304  # what the kernel allows for kernel.pid_max

CONFINEMENT_SETTINGS = (
    Setting(
        "chroot",
        Path("the absolute path of a directory"),
        "root directory of the program (needs root); all other paths of the program, also its own, "
        "are below it",
        metavar="FOLDER",
        offers=ALL,  # such a program cannot be held, so there is nothing to explain
    ),
    Setting(
        "read_paths",
        Paths("a list of absolute paths"),
        "files and folders that the program may read and execute; with this or {write_paths} no "
        "others are in its reach",
        metavar="PATH[,PATH]",
        usual="all that its user may",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "write_paths",
        Paths("a list of absolute paths"),
        "files and folders that the program may read, execute, write, create and remove",
        metavar="PATH[,PATH]",
        usual="all that its user may",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "tcp_connect",
        Ports(),
        "TCP ports that the program may connect to",
        metavar="PORT[,PORT]",
        usual="all",
        offers=OF_A_PROGRAM,
    ),
    Setting(
        "cgroup",
        Group(),
        "control group (version 2) in which each connection has one of its own; auto: the server's",
        metavar="GROUP",
        usual="none, or auto with one of the limits below",
        offers=ALL,  # `explain` runs no connections of others, here and below
    ),
    Setting(
        "memory_max",
        Size(),
        "most memory of all processes of a connection together; with more they are killed",
        metavar="BYTES",
        usual="no limit",
        offers=ALL,
    ),
    Setting(
        "cpu_max",
        Count(1, MOST_PERCENT),
        "most processor time of all processes of a connection, in percent of one processor",
        metavar="PERCENT",
        usual="no limit",
        offers=ALL,
    ),
    Setting(
        "pids_max",
        Count(1, MOST_PIDS),
        "most processes and threads of a connection",
        metavar="N",
        usual="no limit",
        offers=ALL,
    ),
)
