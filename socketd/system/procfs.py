"""Reading /proc of a process that we do not trust: values, or None for "not known".

Owns reading and parsing /proc/PID. Must not know why it is needed.

A program controls much of what is there: its name, the targets and number of its descriptors, the
number of its children, the arguments of its system calls. So every read has a bound, no file is
assumed to exist, and whatever makes no sense counts as not known. Nothing here blocks: the memory
of a process, which can be delayed, is read by a separate process (peek.py).

Source: proc_pid_status(5), proc_pid_stat(5), proc_pid_syscall(5), proc_tid_children(5).
"""

import contextlib
import os

from socketd.dataclass import dataclass

# The longest line of /proc/PID/status lists groups, of which there may be 65536 (NGROUPS_MAX).
_MOST_STATUS_BYTES = 1 << 20
_MOST_SYSCALL_BYTES = 1024
_MOST_NAME_BYTES = 256
_MOST_STAT_BYTES = 4096
_MOST_STATM_BYTES = 256
_STARTED_FIELD = 19  # behind the name
_USER_FIELD = 11
_PAGES_FIELD = 21
# Enough for who is read further; the kernel makes no more of the list than is read.
_MOST_BYTES_OF_ROLLUP = 4096
_MOST_CHILDREN = 64
_MOST_THREADS = 64
_PID_BYTES = 11  # with the space behind it; all are below 2**22, but who knows for how long
_MOST_DESCRIPTORS = 32
_MOST_FILES = 1024
DELETED = " (deleted)"
_MOST_MAPS_BYTES = 1 << 20
_MOST_FDINFO_BYTES = 4096  # a lock makes a line; one is enough
_MOST_LETTERS = 128
_MOST_DIGITS = 20  # of 64 bits
_CALL_WORDS = 9
_LAST_STANDARD_FD = 2


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a process; in signal sets bit N - 1 stands for signal N.

    `call_filters` are filters of system calls; before Linux 5.9 it is only known whether there are
    any (seccomp(2)).
    """

    threads: int | None = None
    tracer: int | None = None
    caught: int | None = None
    blocked: int | None = None
    real_uid: int | None = None
    call_filters: int | None = None
    is_filtered: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """The system call in which a thread waits, with its six arguments."""

    number: int
    arguments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A descriptor of a process; `flags` are those of open(2), None if they are not known."""

    fd: int
    target: str
    flags: int | None = None
    is_locked: bool = False

    @property
    def is_named(self) -> bool:
        """Tell whether it was opened by a path: a regular file, a device, a named pipe."""
        return self.target.startswith("/")


def status(pid: int) -> Status:
    """Return what is known of a process."""
    return parse_status(_read(pid, "status", _MOST_STATUS_BYTES))


def name(pid: int) -> str:
    """Return the name of a process for people, empty if it is not known."""
    return legible(os.fsdecode(_read(pid, "comm", _MOST_NAME_BYTES).removesuffix(b"\n")))


def started_seconds(pid: int) -> float | None:
    """Return when a process was started, in seconds since the machine was; None if not known.

    In hundredths of a second, counted while the machine is suspended as well: CLOCK_BOOTTIME.
    """
    return parse_started(_read(pid, "stat", _MOST_STAT_BYTES))


def usage(pid: int) -> tuple[float, int] | None:
    """Return a process's processor seconds so far and its memory in bytes; None if not known."""
    return parse_usage(_read(pid, "stat", _MOST_STAT_BYTES))


def memory(pid: int) -> int | None:
    """Return a process's memory in bytes alone: the kernel counts less for it than for usage."""
    return parse_memory(_read(pid, "statm", _MOST_STATM_BYTES))


def executable(pid: int) -> str | None:
    """Return the path of what a process runs, None if it is not known."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def call(pid: int) -> Call | None:
    """Return the system call in which a thread waits. Raises PermissionError."""
    try:
        return parse_call(_read_strictly(pid, "syscall", _MOST_SYSCALL_BYTES))
    except PermissionError:
        raise
    except OSError:
        return None


def children(pid: int, most: int = _MOST_CHILDREN) -> list[int]:
    """Return the first children of the main thread of a process."""
    return parse_children(_read(pid, f"task/{pid}/children", most * _PID_BYTES), most)


def threads(pid: int, most: int = _MOST_THREADS) -> list[int]:
    """Return the first threads of a process, without the main one."""
    found: list[int] = []
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/task") as entries:
        for entry in entries:
            if is_number(entry.name) and int(entry.name) != pid:
                found.append(int(entry.name))
            if len(found) == most:
                break
    return found


def mapped_programs(pid: int, most: int = _MOST_FILES) -> list[str]:
    """Return the first files from which a process runs code, as far as that can be read.

    One that has lost its name since ends with DELETED.
    """
    return parse_maps(_read(pid, "maps", _MOST_MAPS_BYTES))[:most]


def private_kib(pid: int) -> int | None:
    """Return the memory that a process has for itself alone, None if that cannot be read."""
    lines = _read(pid, "smaps_rollup", _MOST_BYTES_OF_ROLLUP).splitlines()
    found = [line.split()[1] for line in lines if line.startswith(b"Private_")]
    return sum(map(int, found)) if found and all(map(bytes.isdigit, found)) else None


def shared_memory(pid: int) -> list[str] | None:
    """Return the names of what a process shares memory by; None if that cannot be read to its end.

    A file that is mapped so that it can only be read is none of it.
    """
    content = _read(pid, "maps", _MOST_MAPS_BYTES)
    return parse_shared(content) if content and len(content) < _MOST_MAPS_BYTES else None


def parse_shared(content: bytes) -> list[str]:
    """Parse /proc/PID/maps: what is mapped with MAP_SHARED, unless it is a file for reading."""
    found: dict[str, None] = {}
    for line in content.splitlines():
        words = line.split(None, 5)
        if len(words) < 5 or not words[1].endswith(b"s"):
            continue
        name = os.fsdecode(words[5]) if len(words) == 6 else "no name"
        if b"w" in words[1] or not name.startswith("/") or name.endswith(DELETED):
            found[name] = None
    return list(found)


def parse_maps(content: bytes) -> list[str]:
    """Parse /proc/PID/maps: the files with executable pages, each once."""
    found: dict[str, None] = {}
    for line in content.splitlines():
        words = line.split(None, 5)
        if len(words) == 6 and b"x" in words[1] and words[5].startswith(b"/"):
            found[os.fsdecode(words[5])] = None
    return list(found)


def open_files(pid: int, most: int = _MOST_FILES) -> list[OpenFile] | None:
    """Return the open files of a process, None if they cannot be read or are too many.

    The files themselves are not asked, which may be on a file system that does not answer. Nor is
    anything asked of an epoll descriptor, for which the kernel takes a lock.
    """
    found: list[OpenFile] = []
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                if not is_number(entry.name):
                    continue
                if len(found) == most:
                    return None
                with contextlib.suppress(FileNotFoundError):
                    found.append(_open_file(pid, int(entry.name), os.readlink(entry.path)))
    except OSError:
        return None
    return found


def _open_file(pid: int, fd: int, target: str) -> OpenFile:
    file = OpenFile(fd, target)
    if not file.is_named:
        return file
    flags, is_locked = parse_fdinfo(_read(pid, f"fdinfo/{fd}", _MOST_FDINFO_BYTES))
    return OpenFile(fd, target, flags, is_locked)


def describe(files: list[OpenFile]) -> str:
    """Return the first few of some open files, except standard streams, as text.

    Letters behind the number: `w` open for writing, `a` for appending, `l` locked.
    """
    others = [file for file in files if file.fd > _LAST_STANDARD_FD]
    listed = [
        f"{file.fd}{_mode(file)}={legible(file.target)}" for file in others[:_MOST_DESCRIPTORS]
    ]
    return " ".join([*listed, "..."] if len(others) > _MOST_DESCRIPTORS else listed)


def _mode(file: OpenFile) -> str:
    """Return the letters of `describe`."""
    letters = "l" if file.is_locked else ""
    if file.flags is None or not file.flags & os.O_ACCMODE:
        return letters
    return ("a" if file.flags & os.O_APPEND else "w") + letters


def parse_fdinfo(content: bytes) -> tuple[int | None, bool]:
    """Parse an entry of /proc/PID/fdinfo: the flags, and whether there is a lock.

    Source: proc_pid_fdinfo(5).
    """
    lines = content.decode(errors="replace").splitlines()
    flags = next((line.split()[-1] for line in lines if line.startswith("flags:")), "")
    is_octal = bool(flags) and len(flags) <= _MOST_DIGITS and set(flags) <= set("01234567")
    is_locked = any(line.startswith("lock:") for line in lines)
    return int(flags, 8) if is_octal else None, is_locked


def parse_status(content: bytes) -> Status:
    """Parse /proc/PID/status."""
    fields: dict[bytes, str] = {}
    for line in content.split(b"\n"):
        key, _, value = line.partition(b":")
        fields.setdefault(key, value.strip().decode(errors="replace"))
    return Status(
        _decimal(fields.get(b"Threads", "")),
        _decimal(fields.get(b"TracerPid", "")),
        hexadecimal(fields.get(b"SigCgt", "")),
        hexadecimal(fields.get(b"SigBlk", "")),
        _decimal(fields.get(b"Uid", "").partition("\t")[0]),
        _decimal(fields.get(b"Seccomp_filters", "")),
        fields.get(b"Seccomp", "0") != "0",
    )


def parse_started(content: bytes) -> float | None:
    """Parse /proc/PID/stat, in which the name of the process may be anything: field 22."""
    fields = content.rpartition(b")")[2].decode(errors="replace").split()
    ticks = _decimal(fields[_STARTED_FIELD]) if len(fields) > _STARTED_FIELD else None
    return None if ticks is None else ticks / os.sysconf("SC_CLK_TCK")


def parse_usage(content: bytes) -> tuple[float, int] | None:
    """Parse the same for fields 14 and 15, ticks in user mode and in the kernel, and 24, pages."""
    fields = content.rpartition(b")")[2].decode(errors="replace").split()
    if len(fields) <= _PAGES_FIELD:
        return None
    user, system, pages = (
        _decimal(fields[n]) for n in (_USER_FIELD, _USER_FIELD + 1, _PAGES_FIELD)
    )
    if user is None or system is None or pages is None:
        return None
    return (user + system) / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def parse_memory(content: bytes) -> int | None:
    """Parse /proc/PID/statm: the second number, of pages."""
    fields = content.decode(errors="replace").split()
    pages = _decimal(fields[1]) if len(fields) > 1 else None
    return None if pages is None else pages * os.sysconf("SC_PAGE_SIZE")


def parse_call(content: bytes) -> Call | None:
    """Parse /proc/PID/syscall; None for "running", or between two calls.

    A call is its number, six arguments and two addresses.
    """
    words = content.decode(errors="replace").split()
    if len(words) != _CALL_WORDS:
        return None
    number = _decimal(words[0])
    arguments = [hexadecimal(word.removeprefix("0x")) for word in words[1:-2]]
    known = tuple(one for one in arguments if one is not None)
    if number is None or len(known) != len(arguments):
        return None
    return Call(number, known)


def parse_children(content: bytes, most: int = _MOST_CHILDREN) -> list[int]:
    """Parse a list of process ids, whose last one may be incomplete."""
    words = content[: content.rfind(b" ") + 1].decode(errors="replace").split()
    pids = [pid for word in words[:most] if (pid := _decimal(word)) is not None]
    return [pid for pid in pids if pid > 0]


def legible(text: str) -> str:
    """Return untrusted text as one short printable line."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:_MOST_LETTERS])
    return shown if len(text) <= _MOST_LETTERS else f"{shown}..."


def is_number(text: str) -> bool:
    """Tell whether a text consists of digits only, and is a number of at most about 64 bits."""
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS


def hexadecimal(text: str) -> int | None:
    """Return the value of hexadecimal digits of at most about 64 bits, None for anything else."""
    digits = frozenset("0123456789abcdefABCDEF")
    if not text or len(text) > _MOST_DIGITS or not digits.issuperset(text):
        return None
    return int(text, 16)


def _decimal(text: str) -> int | None:
    return int(text) if is_number(text) else None


def _read(pid: int, entry: str, most: int) -> bytes:
    """Return the beginning of an entry, nothing if it cannot be read."""
    try:
        return _read_strictly(pid, entry, most)
    except OSError:
        return b""


def _read_strictly(pid: int, entry: str, most: int) -> bytes:
    fd = os.open(f"/proc/{pid}/{entry}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        while len(content) < most and (piece := os.read(fd, most - len(content))):
            content += piece
        return content
    finally:
        os.close(fd)
