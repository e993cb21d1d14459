"""Plans of workers as tests want them, and what can be read in the bytes of one.

Owns the way back from bytes, which the program itself has in C. Must not know what a test wants to
prove.
"""

import os
import socket
from collections.abc import Sequence
from typing import cast

from socketd.config.services import ServiceSettings
from socketd.pool.settings import PoolSettings
from socketd.programs.cgi import Front
from socketd.programs.command import Program
from socketd.programs.privileges import Privileges
from socketd.settings.address import InheritedAddress
from socketd.settings.readiness import ReadyLevel
from socketd.settings.stderr import StderrTarget
from socketd.workers.plan import FIELDS, GROUP, HEADER, LIMIT, SPAN, encode
from socketd.workers.spawner import Handing, WorkerPlan

NOBODY_S_PRIVILEGES = Privileges()


def worker_plan(
    program: Sequence[str] = ("/bin/cat", "cat"),
    stderr: str = "socket",
    *,
    front: Front | None = None,
    linger_seconds: float = 0.0,
    master_pid: int = 0,
    handing: Handing | None = None,
) -> WorkerPlan:
    """Return a plan of the test's own process; `program` is a path, then arguments."""
    path, *arguments = program
    settings = ServiceSettings(
        "test",
        InheritedAddress(""),
        Program(path, tuple(arguments)),
        {},
        PoolSettings(1, 1),
        stderr=StderrTarget(stderr),
        front=front,
        linger_seconds=linger_seconds,
    )
    no_listener = cast("socket.socket", None)  # bytes cannot say anything of it
    return WorkerPlan(settings, no_listener, -1, master_pid or os.getpid(), handing=handing)


def encoded(
    plan: WorkerPlan | None = None,
    privileges: Privileges = NOBODY_S_PRIVILEGES,
    level: ReadyLevel = ReadyLevel.FORK,
) -> bytes:
    """Return the bytes of a plan."""
    return encode(plan or worker_plan(), privileges, level)


def offset_of(field: str) -> int:
    """Return where a field of a plan begins."""
    offset = 0
    for name, kind in FIELDS.items():
        if name == field:
            return offset
        offset += 8 if kind == "II" else {"I": 4, "i": 4, "Q": 8}[kind]
    raise KeyError(field)


def decode(content: bytes) -> dict[str, object]:
    """Return all that a plan says, by the names of its fields; a text that is not there is None."""
    numbers = iter(HEADER.unpack_from(content))
    raw: dict[str, object] = {}
    for name, kind in FIELDS.items():
        raw[name] = (next(numbers), next(numbers)) if kind == "II" else next(numbers)

    def text(span: object) -> str | None:
        offset, count = cast("tuple[int, int]", span)
        if not count:
            return None
        whole = content[offset : offset + count]
        assert whole.index(0) == count - 1
        return os.fsdecode(whole[:-1])

    def table(span: object, size: int) -> bytes:
        offset, count = cast("tuple[int, int]", span)
        assert offset + count * size <= len(content)
        return content[offset : offset + count * size]

    texts = ("path", "directory", "root", "scripts", "indexes", "request_variables")
    for name in (*texts, "chroot", "token"):
        raw[name] = text(raw[name])
    raw["arguments"] = [text(span) for span in SPAN.iter_unpack(table(raw["arguments"], SPAN.size))]
    raw["groups"] = [one for (one,) in GROUP.iter_unpack(table(raw["groups"], GROUP.size))]
    raw["limits"] = [
        (number, soft, hard)
        for number, _, soft, hard in LIMIT.iter_unpack(table(raw["limits"], LIMIT.size))
    ]
    return raw
