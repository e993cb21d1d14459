"""The rows of the table of settings that are about a listener.

Owns names, kinds and meanings of what is set where a service listens. Must not know what a setting
does.
"""

from socketd.settings.kinds import Account, Octal
from socketd.settings.setting import Setting

LISTENER_SETTINGS = (
    Setting(
        "listen.mode",
        Octal(),
        "permissions of a UNIX socket's path",
        metavar="OCTAL",
        usual="0660; with the command socket what the umask allows",
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
