"""What is left of a service: signalled is who is verified to be a child, and nobody else."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from socketd.loop.wheel import Wheel
from socketd.master.remains import Remains
from socketd.pool.settings import PoolSettings, Strategy
from socketd.settings.table import MOST_WORKERS
from socketd.workers.board import Board
from socketd.workers.children import Children

POOL = PoolSettings(1, 2, Strategy.EAGER, 30.0, 30.0)


@pytest.fixture
def children() -> Iterator[list[int]]:
    """Return two children that end at SIGWINCH never, and at SIGTERM at once."""
    pids = [os.posix_spawn("/bin/sleep", ["sleep", "60"], {}, setsid=True) for _ in range(2)]
    yield pids
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def test_nobody_but_children_is_kept(children: list[int]) -> None:
    """A board may name anybody: init, ourselves, everybody, a process of somebody else."""
    board = Board(MOST_WORKERS)
    claims = [1, 0, -1, os.getpid(), os.getppid(), 2**31 - 1, children[1]]
    for slot, pid in enumerate(claims):
        board.set_pid(slot, pid)
    everybody = Children()
    family = everybody.add_family()
    family.uids.add(os.getuid())
    family.note_worker(children[0], 0)
    family.note_worker(1, 1)
    remains = Remains("echo", family, board.fd, POOL, Wheel(time.monotonic()))
    board.close()

    assert sorted(remains.pids) == sorted(children)


def test_child_of_another_service_is_left_to_it(children: list[int]) -> None:
    """Whom another service has noted is not taken from it by a board."""
    board = Board(MOST_WORKERS)
    board.set_pid(0, children[0])
    everybody = Children()
    everybody.add_family().note_worker(children[0], 0)
    remains = Remains("echo", everybody.add_family(), board.fd, POOL, Wheel(time.monotonic()))
    board.close()

    assert remains.is_gone


def test_stop_has_the_steps_of_any_other(children: list[int]) -> None:
    """First nothing but time, then SIGTERM; whoever is collected is forgotten."""
    wheel = Wheel(0.0)
    family = Children().add_family()
    for slot, pid in enumerate(children):
        family.note_worker(pid, slot)
    remains = Remains("echo", family, -1, POOL, wheel, clock=lambda: 0.0)
    assert wheel.next_due() is None
    remains.stop()
    wheel.advance(29.0)
    assert os.waitpid(children[0], os.WNOHANG) == (0, 0)
    wheel.advance(31.0)

    for pid in children:
        assert os.waitpid(pid, 0) == (pid, signal.SIGTERM)
        remains.on_exit(pid)
    assert remains.is_gone
    assert wheel.next_due() is None


def test_second_stop_does_not_wait(children: list[int]) -> None:
    """A stop in more haste is SIGTERM at once."""
    family = Children().add_family()
    family.note_worker(children[0], 0)
    remains = Remains("echo", family, -1, POOL, Wheel(0.0), clock=lambda: 0.0)
    remains.stop()
    remains.stop()

    assert os.waitpid(children[0], 0) == (children[0], signal.SIGTERM)


def test_time_limit_holds_for_those_who_are_left(children: list[int]) -> None:
    """A connection that was there at the crash has no more time than any other."""
    wheel = Wheel(0.0)
    family = Children().add_family()
    family.note_worker(children[0], 0)
    pool = PoolSettings(1, 2, Strategy.EAGER, 30.0, 30.0, limit_seconds=5.0)
    remains = Remains("echo", family, -1, pool, wheel, clock=lambda: 0.0)
    wheel.advance(6.0)

    assert os.waitpid(children[0], 0) == (children[0], signal.SIGTERM)
    assert not remains.is_gone
