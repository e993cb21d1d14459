"""The plan: all that the native side has to know of a service, in one structure.

Owns the layout, which native/plan.h has too (a test holds the two against each other), the way from
settings to its bytes, and the sealed file in which it goes to a template. Must not know how a
template is started.

A file, because arguments are visible to every user, and because nothing has to be read that is text
on the way only. It is sealed: what the native side has looked at once does not change any more.

Behind the fields stand tables and texts. A span leads to each: its offset, and how many of it there
are. Of a text those are bytes, the NUL at its end among them; 0 is none. To add a field, add it
here and in native/plan.h, and count VERSION up in both.

What a program that is to be held must know before it has any descriptor of ours stands in a
variable, as the hexadecimal digits of a smaller structure: native/hold/call.h.
"""

import fcntl
import math
import os
import struct

from socketd.programs.cgi import ClientGone, Folders, Front
from socketd.programs.privileges import Privileges
from socketd.settings.confinement import RESOURCES, ResourceLimit
from socketd.settings.readiness import ReadyLevel
from socketd.settings.stderr import StderrTarget
from socketd.workers.spawner import WorkerPlan

MAGIC = 0x736B7001
VERSION = 8
FIRST_CALL_MAGIC = 0x736B6801

_SPAN = "II"
FIELDS = {
    "magic": "I",
    "version": "I",
    "size": "Q",
    "master": "i",
    "level": "I",
    "stderr_target": "I",
    "present": "I",
    "head_limit_ms": "i",
    "linger_ms": "i",
    "protocol": "I",
    "keep_limit_ms": "i",
    "request_limit_ms": "i",
    "kill_ms": "i",
    "uid": "I",
    "gid": "I",
    "umask": "I",
    "nice": "i",
    "path": _SPAN,
    "directory": _SPAN,
    "root": _SPAN,
    "scripts": _SPAN,
    "indexes": _SPAN,
    "request_variables": _SPAN,
    "arguments": _SPAN,
    "groups": _SPAN,
    "limits": _SPAN,
    "client_gone": "I",
    "request_stderr": "I",
    "body_limit": "Q",
    "answer_limit_ms": "i",
    "is_favourite": "I",
    "chroot": _SPAN,
    "token": _SPAN,
    "head_limit": "Q",
}
HEADER = struct.Struct("=" + "".join(FIELDS.values()))
SPAN = struct.Struct(f"={_SPAN}")
GROUP = struct.Struct("=I")
LIMIT = struct.Struct("=IIQQ")
FIRST_CALL = struct.Struct("=IIiiIIQ")

# As in native/plan.h.
LEVELS = {
    ReadyLevel.FORK: 0,
    ReadyLevel.LOAD: 1,
    ReadyLevel.READ: 2,
    ReadyLevel.STOP: 3,
    ReadyLevel.RELAY: 4,
}
PROTOCOL_NONE = 0
PROTOCOL_SCGI = 1
PROTOCOL_FASTCGI = 2
STDERR_TARGETS = {
    StderrTarget.SOCKET: 0,
    StderrTarget.INHERIT: 1,
    StderrTarget.SYSLOG: 2,
    StderrTarget.NULL: 3,
}
CLIENTS_GONE = {ClientGone.END: 0, ClientGone.FINISH: 1}
# As in native/fastcgi/service.h; None is the web server.
REQUEST_STDERR = {
    None: 0,
    StderrTarget.SOCKET: 0,
    StderrTarget.INHERIT: 1,
    StderrTarget.SYSLOG: 1,
    StderrTarget.NULL: 2,
}
HAS_IDENTITY = 1
HAS_UMASK = 2
HAS_NICE = 4
HAS_NO_NEW_PRIVS = 8
HAS_RULESET = 16
HAS_GROUPS = 32

UNLIMITED = 2**64 - 1
_MOST_MS = 2**31 - 1
_ALIGNMENT = 8
_NONE = (0, 0)
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class _Tail:
    """What stands behind the fields; each `add` returns the span that leads to it."""

    def __init__(self) -> None:
        self.content = bytearray()

    def add(self, content: bytes, count: int) -> tuple[int, int]:
        self.content += bytes(-len(self.content) % _ALIGNMENT)
        offset = HEADER.size + len(self.content)
        self.content += content
        return offset, count

    def add_text(self, text: str | None) -> tuple[int, int]:
        if text is None:
            return _NONE
        content = os.fsencode(text)
        if b"\0" in content:
            raise ValueError(f"no path or argument can have a NUL in it: {text!r}")
        return self.add(content + b"\0", len(content) + 1)

    def add_list(self, texts: tuple[str, ...]) -> tuple[int, int]:
        return self.add_text(",".join(texts) or None)


def encode(plan: WorkerPlan, privileges: Privileges, level: ReadyLevel) -> bytes:
    """Return what the native side reads, for workers that are forked at a level."""
    settings, front, identity = plan.settings, plan.settings.front, privileges.identity
    folders = (front.folders if front else None) or Folders()
    tail = _Tail()
    arguments = [tail.add_text(text) for text in settings.program.arguments]
    groups = () if identity is None else identity.groups
    values: dict[str, int | tuple[int, int]] = {
        "magic": MAGIC,
        "version": VERSION,
        "size": 0,
        "master": plan.master_pid,
        "level": LEVELS[level],
        "stderr_target": STDERR_TARGETS[settings.stderr],
        "present": _present(privileges) | HAS_GROUPS * (plan.groups is not None),
        "head_limit_ms": 0 if front is None else _milliseconds(front.head_seconds),
        "linger_ms": _milliseconds(settings.linger_seconds),
        **_requests(front),
        "uid": 0 if identity is None else identity.uid,
        "gid": 0 if identity is None else identity.gid,
        "umask": privileges.umask or 0,
        "nice": privileges.nice or 0,
        "path": tail.add_text(settings.program.path),
        "directory": tail.add_text(privileges.directory),
        "root": tail.add_text(folders.root),
        "scripts": tail.add_list(folders.scripts),
        "indexes": tail.add_list(folders.indexes),
        "request_variables": tail.add_list((front.request_variables if front else None) or ()),
        "arguments": tail.add(b"".join(SPAN.pack(*span) for span in arguments), len(arguments)),
        "groups": tail.add(b"".join(map(GROUP.pack, groups)), len(groups)),
        "limits": tail.add(b"".join(map(_limit, privileges.limits)), len(privileges.limits)),
        "client_gone": CLIENTS_GONE[ClientGone.END if front is None else front.client_gone],
        "is_favourite": int(plan.is_of_favourite),
        "chroot": tail.add_text(privileges.chroot),
        "token": tail.add_text(None if plan.handing is None else plan.handing.token),
        "head_limit": 0 if front is None else front.head_limit,
    }
    values["size"] = HEADER.size + len(tail.content)
    return HEADER.pack(*_flat(values)) + tail.content


def _requests(front: Front | None) -> dict[str, int]:
    """Return what there is of the protocol of requests, and of its limits."""
    limits = ("keep_limit_ms", "request_limit_ms", "kill_ms", "answer_limit_ms", "body_limit")
    values = {"protocol": PROTOCOL_NONE, "request_stderr": 0, **dict.fromkeys(limits, 0)}
    if front is not None:
        values["protocol"] = PROTOCOL_SCGI
        values["kill_ms"] = _milliseconds(front.kill_seconds)
        values["body_limit"] = front.body_limit or 0
        values["answer_limit_ms"] = _milliseconds(front.answer_seconds or 0.0)
    if front is not None and front.keep_seconds is not None:
        values["protocol"] = PROTOCOL_FASTCGI
        values["request_stderr"] = REQUEST_STDERR[front.stderr]
        values["keep_limit_ms"] = max(_milliseconds(front.keep_seconds), 1)
        values["request_limit_ms"] = _milliseconds(front.limit_seconds or 0.0)
    return values


def _flat(values: dict[str, int | tuple[int, int]]) -> list[int]:
    """Return the numbers of all fields, in their order."""
    numbers: list[int] = []
    for name in FIELDS:
        value = values[name]
        numbers += value if isinstance(value, tuple) else (value,)
    return numbers


def _present(privileges: Privileges) -> int:
    """Return which things are there that have no value of their own for being absent."""
    return (
        HAS_IDENTITY * (privileges.identity is not None)
        | HAS_UMASK * (privileges.umask is not None)
        | HAS_NICE * (privileges.nice is not None)
        | HAS_NO_NEW_PRIVS * privileges.no_new_privs
        | HAS_RULESET * (privileges.boundary is not None)
    )


def _limit(limit: ResourceLimit) -> bytes:
    soft, hard = (UNLIMITED if one is None else one for one in (limit.soft, limit.hard))
    return LIMIT.pack(RESOURCES[limit.name], 0, soft, hard)


def _milliseconds(seconds: float) -> int:
    """Return a duration as the native side counts it: 24 days are as good as a year there."""
    return min(math.ceil(seconds * 1000), _MOST_MS)


def seal(content: bytes) -> int:
    """Return the descriptor of a file that has this content and keeps it. Raises OSError."""
    fd = os.memfd_create("socketd-plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


def encode_first_call(plan: WorkerPlan, level: ReadyLevel, signal: int, log_inode: int) -> str:
    """Return what a program must know that is to be held, as the value of a variable.

    `log_inode` is that of the socket which leads to the system's log, 0 if there is none.
    """
    has_front = plan.settings.front is not None
    readiness = plan.settings.readiness
    # At load nothing of the program may run, and what copies share a trial would change.
    is_run = (
        readiness.is_run_on_trial and not readiness.may_share_files and level is not ReadyLevel.LOAD
    )
    return FIRST_CALL.pack(
        FIRST_CALL_MAGIC, LEVELS[level], plan.master_pid, signal, has_front, is_run, log_inode
    ).hex()
