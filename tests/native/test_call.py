"""How the template is called, and what it says to a wrong call."""

import os
import socket
from collections.abc import Sequence

import pytest

from socketd.board import Board

from .fake_master import FakeMaster

_MASTER = ("--master", str(os.getpid()))
_STDERR = ("--stderr", "null")
_PATH = ("--path", "/bin/cat")
_PROGRAM = ("--", "cat")

_WRONG_PRIVILEGES = [
    ("uid", "-1", "is not a user id"),
    ("uid", "4294967295", "is not a user id"),
    ("uid", "root", "is not a user id"),
    ("gid", "", "is not a group id"),
    ("gid", "1x", "is not a group id"),
    ("groups", "1,", "is not a list of group ids"),
    ("groups", "1 2", "is not a list of group ids"),
    ("groups", "1,4294967295", "is not a list of group ids"),
    ("umask", "8", "is not an octal number up to 777"),
    ("umask", "1000", "is not an octal number up to 777"),
    ("nice", "--1", "is not from -20 to 19"),
    ("nice", "21", "is not from -20 to 19"),
    ("limit", "nofile", "is not NAME=SOFT:HARD"),
    ("limit", "nofile=1", "is not NAME=SOFT:HARD"),
    ("limit", "nofile=1:", "is not NAME=SOFT:HARD"),
    ("limit", "nofile=1:x", "is not NAME=SOFT:HARD"),
    ("limit", "nofile=unlimited1:2", "is not NAME=SOFT:HARD"),
    ("limit", "files=1:2", "is not NAME=SOFT:HARD"),
    ("limit", "nofil=1:2", "is not NAME=SOFT:HARD"),
    ("no-new-privs", "no", "is not yes"),
]


def _assert_rejected(master: FakeMaster, reason: str) -> None:
    assert master.wait_exit(master.zygote_pid) == 100
    assert master.wait_output().decode() == f"socketd-zygote: {reason}\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "--master, --stderr and --path are all needed"),
        ((*_STDERR, *_PATH, *_PROGRAM), "--master, --stderr and --path are all needed"),
        ((*_MASTER, *_PATH, *_PROGRAM), "--master, --stderr and --path are all needed"),
        ((*_MASTER, *_STDERR, *_PROGRAM), "--master, --stderr and --path are all needed"),
        ((*_MASTER, *_STDERR, *_PATH), "no arguments for the program after --"),
        ((*_MASTER, *_STDERR, *_PATH, "--"), "no arguments for the program after --"),
        ((*_MASTER, *_STDERR, "--path"), "an option lacks its value"),
        ((*_MASTER, "--colour", "red", *_PROGRAM), "unknown option"),
        ((*_MASTER, *_STDERR, "--path", "cat", *_PROGRAM), "--path is not absolute"),
        (
            (*_MASTER, "--stderr", "file", *_PATH, *_PROGRAM),
            "--stderr is not one of socket, inherit, syslog, null",
        ),
        ((*_MASTER, *_STDERR, *_PATH, "--ready", "read", *_PROGRAM), "--ready is not relay"),
        (("--master", "me", *_STDERR, *_PATH, *_PROGRAM), "--master is not a process id"),
        (("--master", "0", *_STDERR, *_PATH, *_PROGRAM), "--master is not a process id"),
        *(
            ((*_MASTER, *_STDERR, *_PATH, f"--{option}", value, *_PROGRAM), f"--{option} {reason}")
            for option, value, reason in _WRONG_PRIVILEGES
        ),
        (
            ("--master", str(os.getppid()), *_STDERR, *_PATH, *_PROGRAM),
            "the parent is not the process named by --master",
        ),
    ],
)
def test_wrong_arguments_are_rejected(
    master: FakeMaster, listener: socket.socket, words: Sequence[str], reason: str
) -> None:
    """A wrong call is answered by one line and exit code 100."""
    master.start_raw(words, {4: listener.fileno()})

    _assert_rejected(master, reason)


@pytest.mark.parametrize("fd", [0, 3, 4, 5, 6])
def test_a_closed_descriptor_is_rejected(
    master: FakeMaster, listener: socket.socket, fd: int
) -> None:
    """All seven descriptors have to be open."""
    fds = {4: listener.fileno(), fd: -1}
    master.start_raw([*_MASTER, *_STDERR, *_PATH, *_PROGRAM], fds)

    _assert_rejected(master, "descriptors 0 to 6 are not all open")


def test_a_socket_that_does_not_listen_is_rejected(master: FakeMaster) -> None:
    """Waiting on it would fail for each worker."""
    with socket.socket() as idle:
        master.start(idle)

        _assert_rejected(master, "descriptor 4 is not a listening socket")


def test_slots_that_are_no_pipe_are_rejected(master: FakeMaster, listener: socket.socket) -> None:
    """Slot numbers come through a pipe."""
    fds = {4: listener.fileno(), 5: listener.fileno()}
    master.start_raw([*_MASTER, *_STDERR, *_PATH, *_PROGRAM], fds)

    _assert_rejected(master, "descriptor 5 is not a pipe")


def test_a_doorbell_that_may_block_is_rejected(master: FakeMaster, listener: socket.socket) -> None:
    """A worker must never wait for the master."""
    fds = {4: listener.fileno(), 6: master.slots_fd}
    master.start_raw([*_MASTER, *_STDERR, *_PATH, *_PROGRAM], fds)

    _assert_rejected(master, "descriptor 6 is not open for writing without blocking")


def test_a_file_that_is_no_board_is_rejected(master: FakeMaster, listener: socket.socket) -> None:
    """Something else at its descriptor is not mapped."""
    fds = {4: listener.fileno(), 3: listener.fileno()}
    master.start_raw([*_MASTER, *_STDERR, *_PATH, *_PROGRAM], fds)

    _assert_rejected(master, "descriptor 3 is not a board")


@pytest.mark.parametrize(
    ("offset", "written"),
    [(0, bytes(4)), (4, b"\xff\xff\xff\xff")],
    ids=["magic", "capacity"],
)
def test_a_board_of_another_layout_is_rejected(
    master: FakeMaster, listener: socket.socket, offset: int, written: bytes
) -> None:
    """A master of another version is noticed, and a capacity that the memory does not have."""
    other = Board(8)
    try:
        os.pwrite(other.fd, written, offset)
        fds = {4: listener.fileno(), 3: other.fd}
        master.start_raw([*_MASTER, *_STDERR, *_PATH, *_PROGRAM], fds)
    finally:
        other.close()

    _assert_rejected(master, "the board has another layout")


def test_too_many_limits_are_rejected(master: FakeMaster, listener: socket.socket) -> None:
    """There is room for each of the system's, and not more."""
    limits = ["--limit", "core=0:0"] * 17
    master.start_raw([*_MASTER, *_STDERR, *_PATH, *limits, *_PROGRAM], {4: listener.fileno()})

    _assert_rejected(master, "--limit is not NAME=SOFT:HARD")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--directory", "/no/such"), "enter the directory: No such file or directory"),
        (("--limit", "nofile=1:99999999999"), "set the limits: Operation not permitted"),
    ],
)
def test_what_cannot_be_applied_ends_the_template(
    master: FakeMaster, listener: socket.socket, options: Sequence[str], reason: str
) -> None:
    """No worker is made with other privileges than asked for."""
    master.start_raw([*_MASTER, *_STDERR, *_PATH, *options, *_PROGRAM], {4: listener.fileno()})

    assert master.wait_exit(master.zygote_pid) == 111
    assert master.wait_output().decode() == f"socketd-zygote: cannot {reason}\n"
