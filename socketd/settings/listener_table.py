"""The rows of the table of settings that are about a listener.

Owns names, kinds and meanings of what is set where a service listens. Must not know what a setting
does.
"""

from socketd.settings.kinds import Account, Duration, Octal, Switch
from socketd.settings.listener_kinds import Interface, Keepalive
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
    Setting(
        "listen.freebind",
        Switch(),
        "true: bind a TCP address that no interface of this machine has yet",
        default=False,
    ),
    Setting(
        "listen.reuseport",
        Switch(),
        "true: other TCP sockets of the same user may listen at the same port, if they say so, too",
        default=False,
    ),
    Setting(
        "listen.interface",
        Interface(),
        "take TCP connections of this network interface only",
        metavar="NAME",
    ),
    Setting(
        "listen.defer_accept",
        Duration(),
        "hand over a TCP connection when its first byte has come, or after this time, in seconds",
        metavar="TIME",
        usual="at once",
    ),
    Setting(
        "listen.keepalive",
        Keepalive(),
        "ask a TCP peer that is silent for this time whether it is there; then the pause between "
        "two questions, and how many of them without an answer end the connection",
        metavar="TIME[,PAUSE[,COUNT]]",
        usual="off",
    ),
    Setting(
        "listen.user_timeout",
        Duration(),
        "end a TCP connection when nobody has acknowledged for this time what was sent",
        metavar="TIME",
        usual="the system's own",
    ),
    Setting(
        "listen.nodelay",
        Switch(),
        "true: send each write to TCP at once, and wait for no more",
        default=False,
    ),
)
