"""The template loop: slot numbers in, children of the master out."""

import array
import errno
import fcntl
import os
import signal
import socket
import struct
import sys
import termios
from pathlib import Path

import pytest

from socketd.workers.layout import SlotState, Step

from .fake_master import FakeMaster, exchange, wait_until

# Nobody's uids, and ours alone: a limit on processes counts all those of a uid.
_STRANGER = 30_000 + os.getpid() % 10_000
_LIMITED_STRANGER = 10_000 + _STRANGER
# Opens the file before it gives up the right to reach it.
_LAUNCHER = """
import os, resource, sys
uid, processes, *words = sys.argv[1:]
file = os.open(words[0], os.O_RDONLY)
resource.setrlimit(resource.RLIMIT_NPROC, (int(processes), int(processes)))
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
os.execve(file, words, os.environ)
"""


def _as(uid: int, processes: int = 1000) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", _LAUNCHER, str(uid), str(processes))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives up root")


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def test_workers_are_children_of_the_master(master: FakeMaster, listener: socket.socket) -> None:
    """The pid in the record is that of a child of the master, not of the template."""
    master.start(listener)
    master.spawn(0, 3)

    assert _parent(master.board.pid(0)) == os.getpid()
    assert _parent(master.board.pid(3)) == os.getpid()


@pytest.mark.shipped
@pytest.mark.slow
def test_every_number_of_a_large_batch_becomes_a_worker(
    zygote: Path, listener: socket.socket
) -> None:
    """More numbers than one read takes are all served."""
    numbers = range(1100)
    with FakeMaster(zygote, capacity=1100) as master:
        master.start(listener)
        master.spawn(*numbers)

        assert master.board.find(SlotState.IDLE) == list(numbers)


def test_a_number_that_arrives_in_parts_is_put_together(
    master: FakeMaster, listener: socket.socket
) -> None:
    """A pipe that was nearly full may hand over a number in two reads."""
    first, second = array.array("I", [1]).tobytes(), array.array("I", [2]).tobytes()
    master.start(listener)
    master.board.claim(1, generation=1)
    master.board.claim(2, generation=1)
    os.write(master.slots_fd, first + second[:3])
    master.wait_state(1, SlotState.IDLE)

    os.write(master.slots_fd, second[3:])

    master.wait_state(2, SlotState.IDLE)


def test_a_number_of_which_a_part_has_arrived_makes_nothing(
    master: FakeMaster, listener: socket.socket
) -> None:
    """The template waits for the rest of a number, and leaves when there is none."""
    master.start(listener)
    master.board.claim(0, generation=1)
    os.write(master.slots_fd, bytes(2))

    def is_read() -> bool:
        count = fcntl.ioctl(master.slots_read_fd, termios.FIONREAD, bytes(4))
        return struct.unpack("i", count) == (0,)

    wait_until(is_read, "slots pipe empty")
    master.end_slots()

    assert master.wait_exit(master.zygote_pid) == 0
    assert master.board.pid(0) == 0


def test_end_of_the_pipe_ends_the_template_and_not_its_workers(
    master: FakeMaster, listener: socket.socket
) -> None:
    """A worker outlives its template and serves."""
    master.start(listener)
    master.spawn(0)

    master.end_slots()

    assert master.wait_exit(master.zygote_pid) == 0
    assert exchange(listener.getsockname(), b"still here") == b"still here"


def test_workers_hold_no_end_of_the_pipe(master: FakeMaster, listener: socket.socket) -> None:
    """Once the template is gone the master's write fails, workers or not."""
    master.start(listener)
    master.spawn(0)
    os.kill(master.zygote_pid, signal.SIGKILL)
    master.wait_exit(master.zygote_pid)
    os.close(master.slots_read_fd)
    master.slots_read_fd = os.open(os.devnull, os.O_RDONLY)

    with pytest.raises(BrokenPipeError):
        os.write(master.slots_fd, bytes(4))


def test_a_number_beyond_the_board_ends_the_template(
    master: FakeMaster, listener: socket.socket
) -> None:
    """A master that asks for what cannot be is told so; nothing outside the board is touched."""
    master.start(listener)

    os.write(master.slots_fd, array.array("I", [8]).tobytes())

    assert master.wait_exit(master.zygote_pid) == 100
    assert master.wait_output() == b"socketd: slot number beyond the board\n"


def test_a_signal_ends_the_template_between_batches(
    master: FakeMaster, listener: socket.socket
) -> None:
    """Signals are blocked only while workers are made."""
    master.start(listener, blocked=[signal.SIGTERM])
    master.spawn(0)

    os.kill(master.zygote_pid, signal.SIGTERM)

    assert master.wait_exit(master.zygote_pid) == -signal.SIGTERM


@needs_root
def test_a_worker_that_cannot_be_made_is_stillborn(
    master: FakeMaster, listener: socket.socket
) -> None:
    """The slot says so, with the errno, the master is rung, and the template goes on."""
    master.start(listener, launcher=_as(_LIMITED_STRANGER, processes=2))
    master.spawn(0)
    master.ask(1)
    master.wait_state(1, SlotState.STILLBORN)
    master.wait_ring()
    record = master.board.record(1)
    os.kill(master.board.pid(0), signal.SIGWINCH)
    master.wait_worker_exit(0)
    master.spawn(2)

    assert (record.step, record.error, record.pid) == (Step.FORK, errno.EAGAIN, 0)


@needs_root
def test_who_may_not_signal_the_master_rings_through_the_pipe(
    master: FakeMaster, listener: socket.socket
) -> None:
    """A worker that is not root writes the byte that the signal would have written."""
    master.start(listener, launcher=_as(_STRANGER))
    master.board.ring_when_idle(wanted=True)
    master.spawn(0)

    assert set(master.wait_ring()) == {signal.SIGUSR1}
    assert os.stat(f"/proc/{master.board.pid(0)}").st_uid == _STRANGER


@needs_root
def test_a_full_doorbell_stops_nobody(master: FakeMaster, listener: socket.socket) -> None:
    """A worker that finds the pipe full serves all the same."""
    master.start(listener, launcher=_as(_STRANGER))
    master.spawn(0)
    size = fcntl.fcntl(master.doorbell_fd, fcntl.F_GETPIPE_SZ)
    os.write(master.doorbell_fd, bytes(size))

    assert exchange(listener.getsockname(), b"hello") == b"hello"


@needs_root
def test_a_doorbell_that_nobody_hears_harms_nobody(
    master: FakeMaster, listener: socket.socket
) -> None:
    """The signal of a write to a broken pipe does not reach the program."""
    master.start(listener, launcher=_as(_STRANGER))
    master.spawn(0)
    os.close(master.doorbell_read_fd)
    master.doorbell_read_fd = os.open(os.devnull, os.O_RDONLY)

    assert exchange(listener.getsockname(), b"hello") == b"hello"
