"""The object in a program and its master, which is the test: who gets to talk to the program."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.plans import encoded, worker_plan
from harness.waiting import wait_for
from socketd.programs.cgi import Front
from socketd.settings.readiness import ReadyLevel
from socketd.system.products import HOLD_OBJECT
from socketd.workers.board import Board
from socketd.workers.launch import HOLD_SIGNAL
from socketd.workers.plan import encode_first_call, seal

from .fake_master import wait_readable

_INVITATION = "socketd@"
# Connects, offers descriptors as the master would, and says how that has ended.
_IMPOSTOR = r"""
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
    one.connect("\0" + sys.argv[1])
    try:
        socket.send_fds(one, [b"\0"], [0] * 7)
        print("shown out" if one.recv(1) == b"" else "taken")
    except (BrokenPipeError, ConnectionResetError):
        print("shown out")
"""


@dataclass
class Held:
    """A program that waits for its master, and what that has for it."""

    process: subprocess.Popen[bytes]
    address: str
    handover: list[int]
    answer_fd: int

    def connect(self) -> socket.socket:
        """Return a connection to the program."""
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.connect(f"\0{self.address}")
        return one

    def answer(self) -> bytes:
        """Return what the program says."""
        wait_readable(self.answer_fd)
        return os.read(self.answer_fd, 512)


@pytest.fixture
def held() -> Iterator[Held]:
    """Start a program that is to be held before main()."""
    if not os.access(HOLD_OBJECT, os.R_OK):
        pytest.skip("the native worker was not built: no C compiler")
    with contextlib.ExitStack() as stack:
        board = Board(4)
        stack.callback(board.close)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        capture, stand_in = (stack.enter_context(one) for one in socket.socketpair())
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
        for pair in pipes:
            for fd in pair:
                stack.callback(os.close, fd)
        (slots, _), (_, bell), (answer_fd, answering) = pipes
        plan = worker_plan()
        plan_fd = seal(encoded(plan, level=ReadyLevel.LOAD))
        stack.callback(os.close, plan_fd)
        call = encode_first_call(plan, ReadyLevel.LOAD, HOLD_SIGNAL, 0)
        process = subprocess.Popen(
            ["cat"],
            stdin=stand_in.fileno(),
            stdout=stand_in.fileno(),
            env={"PATH": os.defpath, "LD_PRELOAD": HOLD_OBJECT, "SOCKETD_HOLD": call},
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        name = Path(f"/proc/{process.pid}/comm")
        wait_for(lambda: name.read_text().startswith(_INVITATION), "it says where it listens")
        address = name.read_text().strip().removeprefix(_INVITATION)
        ours = [slots, bell, capture.fileno(), answering, plan_fd]
        handover = [board.fd, listener.fileno(), *ours]
        yield Held(process, address, handover, answer_fd)


def test_who_is_not_the_master_is_shown_out(held: Held) -> None:
    """What somebody else offers is not taken, and the master finds the program as it was."""
    command = [sys.executable, "-I", "-c", _IMPOSTOR, held.address]
    for _ in range(3):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        assert done.stdout == b"shown out\n"

    with held.connect() as channel:
        socket.send_fds(channel, [b"\0"], held.handover)

    assert held.answer() == b"held"
    assert held.process.poll() is None


@pytest.mark.parametrize("count", [0, 1, 6, 8])
def test_a_handover_that_is_none_ends_the_program(held: Held, count: int) -> None:
    """With too few descriptors or too many it would be a template that cannot work."""
    with held.connect() as channel:
        offered = (held.handover + held.handover)[:count]
        if offered:
            socket.send_fds(channel, [b"\0"], offered)
        else:
            channel.send(b"\0")

        assert held.process.wait(10) == 111


def test_a_board_that_is_none_is_said(held: Held) -> None:
    """The program ends, and the master hears why."""
    held.handover[0] = held.handover[1]
    with held.connect() as channel:
        socket.send_fds(channel, [b"\0"], held.handover)

        assert held.answer() == b"cannot map the board"
        assert held.process.wait(10) == 111


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x" * 200, b"the plan is none"),
        (encoded(), b"the plan is for another program"),
        (
            encoded(worker_plan(master_pid=1), level=ReadyLevel.LOAD),
            b"the plan is for another program",
        ),
        (
            encoded(worker_plan(front=Front()), level=ReadyLevel.LOAD),
            b"the plan is for another program",
        ),
    ],
)
def test_a_plan_that_is_none_is_said(held: Held, content: bytes, reason: bytes) -> None:
    """One of another level, master or front, too: the program was started for something else."""
    plan_fd = seal(content)
    held.handover[-1] = plan_fd
    with held.connect() as channel:
        socket.send_fds(channel, [b"\0"], held.handover)
        os.close(plan_fd)

        assert held.answer() == reason
        assert held.process.wait(10) == 111


def test_a_first_call_that_is_none_is_not_heard() -> None:
    """The program runs as if nobody had wanted to hold it: nobody would talk to it."""
    if not os.access(HOLD_OBJECT, os.R_OK):
        pytest.skip("the native worker was not built: no C compiler")
    whole = encode_first_call(worker_plan(), ReadyLevel.LOAD, HOLD_SIGNAL, 0)
    for call in ("", "load:1:2", whole[:-2], whole + "00", "x" + whole[1:], whole.upper()):
        done = subprocess.run(
            ["printenv"],
            env={"PATH": os.defpath, "LD_PRELOAD": HOLD_OBJECT, "SOCKETD_HOLD": call},
            capture_output=True,
            check=True,
            timeout=20,
        )

        assert done.stdout == f"PATH={os.defpath}\n".encode()
