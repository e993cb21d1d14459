"""The rows of the table of settings that are about what the program may reach.

Owns names, kinds and meanings of those settings. Must not know what a setting does.
"""

from socketd.settings.compound import Ports
from socketd.settings.kinds import Path, Paths
from socketd.settings.setting import ALL, OF_A_PROGRAM, Setting

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
)
