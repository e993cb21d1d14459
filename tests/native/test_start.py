"""How the template is started, and what it says to a plan or a descriptor that is wrong."""

import os
import socket

import pytest

from harness.plans import encoded, worker_plan
from socketd.programs.privileges import Privileges
from socketd.settings.confinement import ResourceLimit
from socketd.settings.readiness import ReadyLevel
from socketd.workers.board import Board

from .fake_master import FakeMaster


def _assert_rejected(master: FakeMaster, reason: str) -> None:
    assert master.wait_exit(master.zygote_pid) == 100
    assert master.wait_output().decode() == f"socketd-zygote: {reason}\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the plan cannot be read"),
        (b"x" * 200, "the plan is none"),
        (encoded()[:-1], "the plan has another size than it says"),
        (encoded(level=ReadyLevel.READ), "the plan is for a program that is held"),
        (encoded(worker_plan(("cat", "cat"))), "the path of the plan is not absolute"),
        (
            encoded(worker_plan(master_pid=os.getppid())),
            "the parent is not the master of the plan",
        ),
    ],
)
def test_a_wrong_plan_is_rejected(
    master: FakeMaster, listener: socket.socket, content: bytes, reason: str
) -> None:
    """A wrong plan is answered by one line and exit code 100; test_plan_check.py has them all."""
    master.start_raw(content, {4: listener.fileno()})

    _assert_rejected(master, reason)


@pytest.mark.parametrize("kind", ["open to change", "socket"])
def test_a_plan_that_may_change_is_rejected(
    master: FakeMaster, listener: socket.socket, kind: str
) -> None:
    """What was looked at once must stay as it was, and not be cut short."""
    fd = os.memfd_create("plan", os.MFD_CLOEXEC)
    try:
        os.write(fd, encoded())
        plan_fd = listener.fileno() if kind == "socket" else fd
        master.start_raw(encoded(), {4: listener.fileno(), 7: plan_fd})
    finally:
        os.close(fd)

    _assert_rejected(master, "the plan is no sealed file")


@pytest.mark.parametrize("fd", [0, 3, 4, 5, 6, 7])
def test_a_closed_descriptor_is_rejected(
    master: FakeMaster, listener: socket.socket, fd: int
) -> None:
    """All eight descriptors have to be open."""
    fds = {4: listener.fileno(), fd: -1}
    master.start_raw(encoded(), fds)

    _assert_rejected(master, "descriptors 0 to 7 are not all open")


def test_a_socket_that_does_not_listen_is_rejected(master: FakeMaster) -> None:
    """Waiting on it would fail for each worker."""
    with socket.socket() as idle:
        master.start(idle)

        _assert_rejected(master, "descriptor 4 is not a listening socket")


def test_slots_that_are_no_pipe_are_rejected(master: FakeMaster, listener: socket.socket) -> None:
    """Slot numbers come through a pipe."""
    fds = {4: listener.fileno(), 5: listener.fileno()}
    master.start_raw(encoded(), fds)

    _assert_rejected(master, "descriptor 5 is not a pipe")


def test_a_doorbell_that_may_block_is_rejected(master: FakeMaster, listener: socket.socket) -> None:
    """A worker must never wait for the master."""
    fds = {4: listener.fileno(), 6: master.slots_fd}
    master.start_raw(encoded(), fds)

    _assert_rejected(master, "descriptor 6 is not open for writing without blocking")


def test_a_file_that_is_no_board_is_rejected(master: FakeMaster, listener: socket.socket) -> None:
    """Something else at its descriptor is not mapped."""
    fds = {4: listener.fileno(), 3: listener.fileno()}
    master.start_raw(encoded(), fds)

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
        master.start_raw(encoded(), fds)
    finally:
        other.close()

    _assert_rejected(master, "the board has another layout")


@pytest.mark.parametrize(
    ("privileges", "reason"),
    [
        (Privileges(directory="/no/such"), "enter the directory: No such file or directory"),
        (
            Privileges(limits=(ResourceLimit("nofile", 1, 99999999999),)),
            "set the limits: Operation not permitted",
        ),
    ],
)
def test_what_cannot_be_applied_ends_the_template(
    master: FakeMaster, listener: socket.socket, privileges: Privileges, reason: str
) -> None:
    """No worker is made with other privileges than asked for."""
    master.start(listener, privileges=privileges)

    assert master.wait_exit(master.zygote_pid) == 111
    assert master.wait_output().decode() == f"socketd-zygote: cannot {reason}\n"
