"""Whether our object can be preloaded into a program, by what its file says.

Owns reading ELF headers and "#!" lines. Must not know what the object is for, nor run anything.

Source: elf(5), ld.so(8) "Secure-execution mode", execve(2) "Interpreter scripts".
"""

import os
import re
import stat
import struct
import sys

from socketd.dataclass import dataclass

_MOST_INTERPRETERS = 4  # execve(2)
_FIRST_LINE_SIZE = 256
_ELF_MAGIC = b"\x7fELF"
_IS_64_BIT = 2
_PT_INTERP = 3
_MOST_PATH = 4096
_MOST_SEGMENTS = 1 << 16
# musl's are called ld-musl-ARCHITECTURE.so.1, and run the program where glibc's list.
_LISTING = re.compile(r"ld(64)?\.so\.|ld-linux")


@dataclass(frozen=True, slots=True)
class _Elf:
    kind: bytes  # class and byte order
    machine: int
    loader: str | None  # None: linked statically


def why_not_loadable(program: str, library: str) -> str | None:
    """Return why a program cannot have a library preloaded, None if it can.

    For a script the interpreter is checked, and in turn the interpreter's own.
    """
    path = program
    try:
        for _ in range(_MOST_INTERPRETERS):
            with open(path, "rb") as file:
                head = file.read(_FIRST_LINE_SIZE)
            if head.startswith(_ELF_MAGIC):
                return _why_not_elf(path, library)
            if not head.startswith(b"#!"):
                return None  # /bin/sh will run it
            words = head[2:].partition(b"\n")[0].split()
            if not words:
                return None
            path = os.fsdecode(words[0])
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    except (struct.error, OverflowError, ValueError):  # places beyond any file
        return f"{path} is damaged"
    return f"{program} has too many interpreters"


def loader_of(path: str) -> str | None:
    """Return the path of a program's loader, None without one. Raises OSError."""
    try:
        with open(path, "rb") as file:
            is_elf = file.read(len(_ELF_MAGIC)) == _ELF_MAGIC
        return _read_elf(path).loader if is_elf else None
    except (struct.error, OverflowError, ValueError, IndexError):
        return None


def listing_loader() -> str | None:
    """Return the path of this system's loader if it can be asked what it would load."""
    return _own_loader() if loader_lists() else None


def loader_lists() -> bool:
    """Tell whether the loader of this system can be asked what it would load: that of glibc can.

    `why_not_loadable` refuses a program that has another one.
    """
    loader = _own_loader()
    return loader is not None and _LISTING.match(os.path.basename(loader)) is not None


def _own_loader() -> str | None:
    return _read_elf(os.path.realpath(sys.executable)).loader


def _why_not_elf(path: str, library: str) -> str | None:
    mode = os.stat(path).st_mode
    if mode & (stat.S_ISUID | stat.S_ISGID):
        return f"{path} is set-user-id or set-group-id"
    if _has_capabilities(path):
        return f"{path} has capabilities"
    program, ours = _read_elf(path), _read_elf(library)
    if (program.kind, program.machine) != (ours.kind, ours.machine):
        return f"{path} is for another architecture"
    if program.loader is None:
        return f"{path} is linked statically"
    own_loader = _own_loader()
    if own_loader is not None and os.path.basename(own_loader) != os.path.basename(program.loader):
        return f"{path} is for another libc: its loader is {program.loader}"
    return None


def _has_capabilities(path: str) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def _read_elf(path: str) -> _Elf:
    with open(path, "rb") as file:
        head = file.read(64)
        order = "<" if head[5] == 1 else ">"
        (machine,) = struct.unpack_from(f"{order}H", head, 18)
        if head[4] == _IS_64_BIT:
            (table,) = struct.unpack_from(f"{order}Q", head, 32)
            size, count = struct.unpack_from(f"{order}HH", head, 54)
            place, length, number = 8, 32, "Q"
        else:
            (table,) = struct.unpack_from(f"{order}I", head, 28)
            size, count = struct.unpack_from(f"{order}HH", head, 42)
            place, length, number = 4, 16, "I"
        file.seek(table)
        segments = file.read(min(size * count, _MOST_SEGMENTS))
        for start in range(0, len(segments) - length, size or 1):
            if struct.unpack_from(f"{order}I", segments, start)[0] == _PT_INTERP:
                (offset,) = struct.unpack_from(f"{order}{number}", segments, start + place)
                (extent,) = struct.unpack_from(f"{order}{number}", segments, start + length)
                file.seek(offset)
                return _Elf(
                    head[4:6],
                    machine,
                    os.fsdecode(file.read(min(extent, _MOST_PATH)).rstrip(b"\0")),
                )
    return _Elf(head[4:6], machine, None)
