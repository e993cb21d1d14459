"""A worker from birth to exec."""

import contextlib
import errno
import fcntl
import os
import random
import resource
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from socketd.workers.layout import SlotState, Step

from .fake_master import CAP_SECONDS, FakeMaster, exchange, read_to_end, wait_readable

_DYING_MASTER = """
import signal, sys
from pathlib import Path
from native.fake_master import FakeMaster
from socketd.workers.layout import SlotState

with FakeMaster(Path(sys.argv[1])) as master:
    master.start(int(sys.argv[2]))
    master.spawn(0, 1)
    print(master.zygote_pid, master.board.pid(0), master.board.pid(1), flush=True)
    while not master.board.find(SlotState.ACCEPTED):
        master.wait_ring()
    print("accepted", flush=True)
    signal.pause()
"""


@pytest.fixture
def client(listener: socket.socket) -> Iterator[socket.socket]:
    """Return a connection that waits in the kernel's queue."""
    with socket.create_connection(listener.getsockname(), 20) as client:
        yield client


def _retire(master: FakeMaster, number: int) -> None:
    os.kill(master.board.pid(number), signal.SIGWINCH)


def _end(pid_fd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pid_fd, signal.SIGKILL)
    os.close(pid_fd)


@pytest.mark.shipped
def test_the_program_gets_and_sends_every_byte(master: FakeMaster, listener: socket.socket) -> None:
    """What goes in and comes out is untouched, and half-close reaches the program as the end."""
    request = random.Random(1).randbytes(100_000)
    master.start(listener)
    master.spawn(0)

    assert exchange(listener.getsockname(), request) == request


def test_accepting_is_recorded_and_rung(master: FakeMaster, listener: socket.socket) -> None:
    """The record tells who came and when, and the master is called to look."""
    master.start(listener)
    master.spawn(0)
    before = time.monotonic_ns()
    with socket.create_connection(listener.getsockname()) as client:
        host, port = client.getsockname()
        master.wait_ring()
        after = time.monotonic_ns()
        record = master.board.record(0)

    assert master.board.state(0) == SlotState.ACCEPTED
    assert before <= record.accepted_ns <= after
    assert (record.client.family, record.client.port) == (socket.AF_INET, port)
    assert record.client.address == socket.inet_aton(host) + bytes(12)
    assert (record.generation, record.step, record.error) == (1, Step.NONE, 0)


def test_the_wish_to_be_rung_by_idle_workers_is_heard(
    master: FakeMaster, listener: socket.socket
) -> None:
    """A worker that is ready rings when the master waits for it."""
    master.board.ring_when_idle(wanted=True)
    master.start(listener)
    master.ask(0)

    master.wait_ring()

    master.wait_state(0, SlotState.IDLE)


def test_the_last_accept_that_may_wait_rings_a_master_that_hears_no_signal(
    master: FakeMaster, listener: socket.socket
) -> None:
    """It rings by the pipe; the one before it and the one after it ring by the signal."""
    master.board.wait_for_accepts(2)
    master.start(listener)
    master.spawn(0, 1, 2)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the master of the test puts it back

    rings = []
    for _ in range(3):
        exchange(listener.getsockname(), b"request")
        rings.append(master.take_rings())

    assert rings == [b"", bytes((signal.SIGUSR1,)), b""]


def test_an_idle_worker_has_a_name_and_a_group_of_its_own(
    master: FakeMaster, listener: socket.socket
) -> None:
    """An operator tells workers from templates, and a group is signalled alone."""
    master.start(listener)
    master.spawn(0)
    pid = master.board.pid(0)
    names = []
    for process in (pid, master.zygote_pid):
        with open(f"/proc/{process}/comm", encoding="ascii") as comm:
            names.append(comm.read().strip())

    assert os.getpgid(pid) == pid
    assert names == ["socketd-worker", "socketd-zygote"]


@pytest.mark.shipped
def test_a_retired_worker_leaves(master: FakeMaster, listener: socket.socket) -> None:
    """An idle worker that is asked to leave exits 0."""
    master.start(listener)
    master.spawn(0)

    _retire(master, 0)

    assert master.wait_worker_exit(0) == 0


def test_a_worker_that_was_retired_before_its_birth_leaves(
    master: FakeMaster, listener: socket.socket
) -> None:
    """The request that stands in the record is found by whoever is born there."""
    master.start(listener)
    master.board.claim(0, generation=1)
    master.board.ask_to_retire(0)
    os.write(master.slots_fd, bytes(4))

    assert master.wait_worker_exit(0) == 0


def test_a_busy_worker_is_deaf_to_retirement(
    master: FakeMaster, listener: socket.socket, client: socket.socket
) -> None:
    """The signal does nothing to a program that has a connection."""
    master.start(listener)
    master.ask(0)
    client.sendall(b"before")
    received = client.recv(6, socket.MSG_WAITALL)
    _retire(master, 0)
    client.sendall(b" after")
    client.shutdown(socket.SHUT_WR)

    assert received + read_to_end(client) == b"before after"


@pytest.mark.shipped
@pytest.mark.slow
def test_no_connection_is_lost_to_retirement(zygote: Path, listener: socket.socket) -> None:
    """Whenever the signal lands around accept(), the connection is served: here or by the next."""
    rounds = 150
    pause = random.Random(2)
    with FakeMaster(zygote, capacity=2 * rounds) as master:
        master.start(listener)
        for turn in range(rounds):
            early, late = 2 * turn, 2 * turn + 1
            master.spawn(early)
            with socket.create_connection(listener.getsockname(), 20) as client:
                until = time.perf_counter_ns() + pause.randrange(400_000)
                while time.perf_counter_ns() < until:
                    pass
                _retire(master, early)
                master.spawn(late)
                client.sendall(b"served")
                client.shutdown(socket.SHUT_WR)

                assert read_to_end(client) == b"served"
            assert master.wait_worker_exit(early) == 0
            _retire(master, late)
            assert master.wait_worker_exit(late) == 0


def test_a_listener_that_does_not_block_is_waited_for(
    master: FakeMaster, listener: socket.socket
) -> None:
    """An inherited listener may be non-blocking: workers wait, serve and retire as ever."""
    listener.setblocking(False)
    master.start(listener)
    master.spawn(0)
    reply = exchange(listener.getsockname(), b"hello")
    master.spawn(1)
    _retire(master, 1)

    assert reply == b"hello"
    assert master.wait_worker_exit(1) == 0


def test_the_program_starts_with_signals_as_they_are_by_default(
    master: FakeMaster, listener: socket.socket
) -> None:
    """Nothing is blocked, ignored or pending, whatever the master was started with."""
    master.start(
        listener, ("/bin/cat", "cat", "/proc/self/status"), blocked=[signal.SIGTERM, signal.SIGHUP]
    )
    master.spawn(0)
    lines = exchange(listener.getsockname()).decode().splitlines()
    sets = dict(line.split(maxsplit=1) for line in lines if line.startswith(("Sig", "Shd")))
    names = ("SigBlk:", "SigIgn:", "SigPnd:", "ShdPnd:")

    assert [int(sets[name], 16) for name in names] == [0, 0, 0, 0]


def test_the_program_gets_three_descriptors_and_nothing_else(
    master: FakeMaster, listener: socket.socket
) -> None:
    """Nothing of ours reaches the program, and nothing that the master was started with."""
    stray_fd = fcntl.fcntl(listener, fcntl.F_DUPFD, 200)
    try:
        master.start(listener, ("/bin/ls", "ls", "/proc/self/fd"))
    finally:
        os.close(stray_fd)
    master.spawn(0)

    assert exchange(listener.getsockname()).split() == [b"0", b"1", b"2", b"3"]  # 3: ls's own


@pytest.mark.parametrize(
    ("target", "reply", "output"),
    [
        ("socket", b"out\nerror\n", b""),
        ("inherit", b"out\n", b"error\n"),
        ("null", b"out\n", b""),
    ],
)
def test_stderr_goes_where_it_is_told_to(
    master: FakeMaster, listener: socket.socket, target: str, reply: bytes, output: bytes
) -> None:
    """Standard error is the connection, the master's own, or nowhere."""
    master.start(listener, ("/bin/sh", "sh", "-c", "echo out; echo error >&2"), stderr=target)
    master.spawn(0)

    assert exchange(listener.getsockname()) == reply
    master.wait_worker_exit(0)
    master.end_slots()
    master.wait_exit(master.zygote_pid)
    assert master.wait_output() == output


def test_a_program_that_is_not_there_ends_in_127(
    master: FakeMaster, listener: socket.socket, client: socket.socket
) -> None:
    """The record says at which step and why."""
    master.start(listener, ("/nowhere/program", "program"))
    master.ask(0)
    status = master.wait_worker_exit(0)
    record = master.board.record(0)

    assert (status, record.step, record.error) == (127, Step.EXEC, errno.ENOENT)
    assert read_to_end(client) == b""


def test_a_program_below_a_file_ends_in_127(
    master: FakeMaster, listener: socket.socket, client: socket.socket
) -> None:
    """A path that cannot exist counts as not found."""
    master.start(listener, ("/dev/null/program", "program"))
    master.ask(0)
    status = master.wait_worker_exit(0)
    record = master.board.record(0)

    assert (status, record.step, record.error) == (127, Step.EXEC, errno.ENOTDIR)
    assert read_to_end(client) == b""


def test_a_program_that_may_not_be_run_ends_in_126(
    master: FakeMaster, listener: socket.socket, client: socket.socket, tmp_path: Path
) -> None:
    """A file without the right to execute it is found, but no program."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    master.start(listener, (str(program), "program"))
    master.ask(0)
    status = master.wait_worker_exit(0)
    record = master.board.record(0)

    assert (status, record.step, record.error) == (126, Step.EXEC, errno.EACCES)
    assert read_to_end(client) == b""


def test_a_script_without_interpreter_line_is_run_by_the_shell(
    master: FakeMaster, listener: socket.socket, tmp_path: Path
) -> None:
    """As execvp() does it, with all arguments after the zeroth."""
    program = tmp_path / "program"
    program.write_text('echo "$0" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    master.start(listener, (str(program), "renamed", "one", "two words"))
    master.spawn(0)

    assert exchange(listener.getsockname()).decode() == f"{program} one two words\n"


def test_a_worker_without_a_free_descriptor_says_so(
    master: FakeMaster, listener: socket.socket
) -> None:
    """When accept() has no number to give, the worker leaves with the errno in its record."""
    master.start(listener)
    master.spawn(0)
    resource.prlimit(master.zygote_pid, resource.RLIMIT_NOFILE, (3, 3))
    master.ask(1)
    status = master.wait_worker_exit(1)
    record = master.board.record(1)

    assert (status, record.step, record.error) == (111, Step.ACCEPT, errno.EMFILE)


def test_a_listener_that_listens_no_more_is_a_failure(
    master: FakeMaster, listener: socket.socket
) -> None:
    """An error that will not pass is reported, not tried again for ever."""
    master.start(listener)
    master.spawn(0)
    listener.shutdown(socket.SHUT_RDWR)
    status = master.wait_worker_exit(0)
    record = master.board.record(0)

    assert (status, record.step, record.error) == (111, Step.ACCEPT, errno.EINVAL)


def test_idle_workers_die_with_the_master_and_busy_ones_do_not(
    zygote: Path, listener: socket.socket
) -> None:
    """A killed master leaves the connections that are being served, and nobody who waits."""
    tests, root = Path(__file__).parents[1], Path(__file__).parents[2]
    arguments = [sys.executable, "-c", _DYING_MASTER, str(zygote), str(listener.fileno())]
    master = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        pass_fds=[listener.fileno()],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{root}:{tests}"},
    )
    assert master.stdout is not None
    with master, socket.socket() as client, contextlib.ExitStack() as ends:
        zygote_fd, *worker_fds = map(os.pidfd_open, map(int, master.stdout.readline().split()))
        for fd in (zygote_fd, *worker_fds):
            ends.callback(_end, fd)
        client.connect(listener.getsockname())
        assert master.stdout.readline() == b"accepted\n"
        master.kill()
        wait_readable(zygote_fd)
        idle_fds, _, _ = select.select(worker_fds, [], [], CAP_SECONDS)
        client.sendall(b"after its death")
        client.shutdown(socket.SHUT_WR)

        assert len(idle_fds) == 1
        assert read_to_end(client) == b"after its death"

        for fd in worker_fds:
            wait_readable(fd)
