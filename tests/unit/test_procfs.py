"""What a stranger has put into /proc is a value or not known, whatever it is."""

import fcntl
import os
import socket
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from socketd.system import procfs
from socketd.system.procfs import (
    Call,
    Status,
    legible,
    parse_call,
    parse_children,
    parse_fdinfo,
    parse_memory,
    parse_shared,
    parse_status,
)
from socketd.workers.waits import is_in_set, is_polled, is_watched

NUMBERS = st.integers(0, 2**64 - 1)
OWN = os.getpid()


@given(st.binary(max_size=4096))
@example(b"")
@example(b"Name:\t\xff\nThreads:\t" + b"9" * 5000 + b"\n")
@example(b"Threads:\t-1\nTracerPid:\t+1\nSigCgt:\t0x1\nSigBlk:\t1_0\n")
@example("Threads:\t٣\n".encode())
def test_any_bytes_are_taken_apart(content: bytes) -> None:
    """No bytes are an error, and each number that is found is none below 0 nor beyond 20 digits."""
    found = parse_status(content)
    for value in (found.threads, found.tracer, found.caught, found.blocked):
        assert value is None or 0 <= value < 16**20
    called = parse_call(content)
    assert called is None or min(called.number, *called.arguments) >= 0
    assert all(pid > 0 for pid in parse_children(content))
    assert (parse_memory(content) or 0) >= 0
    flags, is_locked = parse_fdinfo(content)
    assert flags is None or 0 <= flags < 8**20
    assert is_locked in (True, False)
    assert is_polled(content) in (True, False)
    assert is_in_set(content) in (True, False)
    assert is_watched(content) in (True, False)


@given(st.integers(1, 2**22), st.integers(0, 2**22), NUMBERS, NUMBERS, st.binary(max_size=40))
def test_status_of_the_kernel_is_read_whatever_the_name_is(
    threads: int, tracer: int, caught: int, blocked: int, name: bytes
) -> None:
    """The kernel escapes line ends in a name; everything else may be in it."""
    text = name.replace(b"\n", b"\\n")
    lines = [b"Name:\t" + text, b"Umask:\t0022", b"State:\tS (sleeping)"]
    lines += [f"TracerPid:\t{tracer}".encode(), f"Threads:\t{threads}".encode()]
    lines += [f"SigBlk:\t{blocked:016x}".encode(), f"SigCgt:\t{caught:016x}".encode(), b""]

    assert parse_status(b"\n".join(lines)) == Status(threads, tracer, caught, blocked)


@pytest.mark.parametrize(
    ("lines", "filters", "is_filtered"),
    [
        (b"", None, False),
        (b"Seccomp:\t0\nSeccomp_filters:\t0\n", 0, False),
        (b"Seccomp:\t2\nSeccomp_filters:\t3\n", 3, True),
        (b"Seccomp:\t2\n", None, True),
    ],
)
def test_filters_of_system_calls_are_counted(
    lines: bytes, filters: int | None, *, is_filtered: bool
) -> None:
    """Old kernels do not count them."""
    found = parse_status(lines)

    assert (found.call_filters, found.is_filtered) == (filters, is_filtered)


def test_lock_and_flags_of_an_open_file_are_seen(tmp_path: Path) -> None:
    """As the kernel of this machine writes them."""
    with open(tmp_path / "a", "a") as kept, open(tmp_path / "b", "w") as written:
        fcntl.flock(kept, fcntl.LOCK_EX)
        files = {file.fd: file for file in procfs.open_files(OWN) or []}

        locked, plain = files[kept.fileno()], files[written.fileno()]

    assert (locked.is_named, locked.is_locked, plain.is_locked) == (True, True, False)
    assert locked.flags is not None
    assert plain.flags is not None
    assert locked.flags & os.O_APPEND
    assert not plain.flags & os.O_APPEND
    assert plain.flags & os.O_ACCMODE == os.O_WRONLY


@given(st.integers(0, 500), st.lists(NUMBERS, min_size=8, max_size=8))
@example(7, [2**64 - 1, 0, 0, 0, 0, 0, 0, 0])
def test_arguments_of_a_call_are_what_they_are(number: int, words: list[int]) -> None:
    """Addresses may be anything that a register can hold."""
    text = " ".join([str(number), *(f"0x{word:x}" for word in words)])

    assert parse_call(f"{text}\n".encode()) == Call(number, tuple(words[:6]))


@given(st.sampled_from([b"running\n", b"-1 0x7ffe 0x7f\n", b"0 0x0", b"0 0 0 0 0 0 0 0 x y"]))
def test_what_is_no_call_is_none(content: bytes) -> None:
    """A process that runs, or that waits between two calls, sits in none."""
    assert parse_call(content) is None


@given(st.lists(st.integers(1, 2**22), max_size=200), st.integers(0, 40))
def test_a_list_of_children_may_be_cut_anywhere(pids: list[int], cut: int) -> None:
    """What is left of the last process id is not taken for one, and a list is short."""
    content = b"".join(b"%d " % pid for pid in pids)
    found = parse_children(content[: len(content) - cut])

    assert found == pids[: len(found)]
    assert len(found) == min(64, len(content[: len(content) - cut].rpartition(b" ")[0].split()))


@given(st.binary(max_size=300).map(os.fsdecode) | st.text(max_size=300))
@example("\udcff\n\x1b[2J")
@example("x" * 5000)
def test_text_of_a_stranger_is_one_short_line(text: str) -> None:
    """It can be encoded, printed and logged, and it moves no cursor."""
    shown = legible(text)

    shown.encode()
    assert shown.isprintable()
    assert len(shown) <= 131


def test_who_does_not_exist_is_not_known() -> None:
    """Nothing of it is an error."""
    nobody = 2**22 + 1

    assert procfs.status(nobody) == Status()
    assert procfs.call(nobody) is None
    assert procfs.name(nobody) == ""
    assert procfs.children(nobody) == []
    assert procfs.threads(nobody) == []
    assert procfs.open_files(nobody) is None


def test_what_is_known_of_ourselves_is_read() -> None:
    """The kernel of this machine writes what is understood."""
    found = procfs.status(OWN)

    assert found.tracer is not None
    assert found.threads is not None
    assert found.threads >= 1
    assert None not in (found.caught, found.blocked)
    assert procfs.name(OWN) != ""


def test_a_list_of_descriptors_is_short() -> None:
    """It names the first of them, and says that there are more."""
    pairs = [socket.socketpair() for _ in range(20)]
    try:
        files = procfs.open_files(OWN)
        assert procfs.open_files(OWN, most=30) is None
    finally:
        for pair in pairs:
            for one in pair:
                one.close()

    assert files is not None
    listed = procfs.describe(files)
    assert listed.count("=") == 32
    assert listed.endswith(" ...")


def test_shared_memory_is_what_others_could_write_to() -> None:
    """A file that is mapped for reading is none, unless it has no name any more."""
    content = b"""\
7f0-7f1 r--s 00000000 08:01 33 /usr/lib/gconv/gconv-modules.cache
7f1-7f2 rw-p 00000000 00:00 0
7f2-7f3 rw-s 00000000 00:01 34 /dev/zero (deleted)
7f3-7f4 r--s 00000000 00:01 35 /SYSV00000000 (deleted)
7f4-7f5 rw-s 00000000 08:01 36 /var/a file
7f5-7f6 rw-s 00000000 08:01 36 /var/a file
7f6-7f7 rw-s 00000000 00:0e 9 anon_inode:[perf_event]
7f7-7f8 rwxs
7f8
"""
    assert parse_shared(content) == [
        "/dev/zero (deleted)",
        "/SYSV00000000 (deleted)",
        "/var/a file",
        "anon_inode:[perf_event]",
    ]


def test_memory_is_that_of_the_fuller_account() -> None:
    """The second number of statm is the pages that stat has as its 24th field."""
    assert parse_memory(b"900 25 10 1 0 100 0\n") == 25 * os.sysconf("SC_PAGE_SIZE")
    assert parse_memory(b"900\n") is None
    assert (procfs.memory(OWN) or 0) > 1 << 20
    assert procfs.memory(0) is None
