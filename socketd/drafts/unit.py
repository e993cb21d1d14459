"""A unit of systemd for a server with a configuration file.

Owns what stands in it. Must not know where it goes.
"""

_TEXT = """\
# Written by `socketd init`. docs/systemd.md has sockets that systemd holds, and a tighter sandbox.

[Unit]
Description={name}, put behind a socket by socketd
Documentation=man:socketd(8)
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command} run {file}
ExecReload={command} reload {file}
# The control socket, by which `socketd status` and `systemctl reload` find the server.
RuntimeDirectory=socketd/{name}
# READY=1 comes when the first workers wait, and the status shows how many there are.
Type=notify
NotifyAccess=main
WatchdogSec=30s
Restart=on-failure
# Only the master is told to stop: it lets connections finish for timeouts.drain, 30 s, and ends
# what is left five seconds later. What outlives even that is killed.
KillMode=mixed
TimeoutStopSec=45s

# It is the sandbox of the programs, too.
{private}ProtectSystem=full
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


_PRIVATE = "PrivateTmp=yes\n"


def unit_of(name: str, command: tuple[str, ...], file: str, *used: str) -> str:
    """Return the text of a unit; `command` is how socketd is called, `file` an absolute path.

    A folder /tmp of its own would hide what is named in it, by `file` or in what is `used`.
    """
    private = "" if any("/tmp/" in one for one in (file, *used)) else _PRIVATE  # noqa: S108  no file is made
    # In the path of a program no variable is looked for, so a $ there stands for itself.
    first, *rest = command
    words = " ".join([_quoted(first), *(_quoted(word.replace("$", "$$")) for word in rest)])
    file = file.replace("$", "$$")
    return _TEXT.format(name=name, command=words, file=_quoted(file), private=private)


def _quoted(word: str) -> str:
    """Return a word of a command line as systemd reads it; systemd.service(5), "Command lines"."""
    plain = word.replace("%", "%%")
    if plain.isprintable() and not set(plain) & set(" '\"\\;"):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in escaped) + '"'
