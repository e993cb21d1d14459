"""The reaper, with real children."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from harness.waiting import wait_for
from socketd.loop.reaper import DeadChild, StoppedChild, reap

Start = Callable[..., int]

_WASTE = """
import time
memory = b"x" * (64 << 20)
while time.process_time() < 0.2:
    pass
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start children; whoever is left at the end is killed and collected."""
    pids: list[int] = []

    def start(*command: str) -> int:
        words = command or ("sleep", "1000")
        pids.append(os.posix_spawnp(words[0], words, os.environ))
        return pids[-1]

    yield start
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def wait_reaped(count: int) -> list[DeadChild | StoppedChild]:
    """Reap until so many children have been told."""
    found: list[DeadChild | StoppedChild] = []

    def has_enough() -> bool:
        found.extend(reap())
        return len(found) >= count

    wait_for(has_enough, f"{count} children reaped")
    return found


def wait_zombie(pid: int) -> None:
    """Wait until a child has ended, without collecting it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_without_children_there_is_nothing() -> None:
    """Having no child at all is no error."""
    assert list(reap()) == []


def test_living_child_is_left_alone(start: Start) -> None:
    """Nobody waits for a child that goes on."""
    start()

    assert list(reap()) == []


@pytest.mark.parametrize("status", [0, 1, 111, 126, 127, 255])
def test_exit_code_is_told(start: Start, status: int) -> None:
    """The status is the exit code."""
    pid = start("sh", "-c", f"exit {status}")
    wait_zombie(pid)

    [child] = reap()

    assert isinstance(child, DeadChild)
    assert (child.pid, child.status) == (pid, status)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_signal_is_told(start: Start, number: signal.Signals) -> None:
    """The status is minus the signal that ended the child."""
    pid = start()
    os.kill(pid, number)
    wait_zombie(pid)

    [child] = reap()

    assert isinstance(child, DeadChild)
    assert (child.pid, child.status) == (pid, -number)


def test_one_call_collects_everybody(start: Start) -> None:
    """Signals merge: one may stand for many children."""
    codes = {start("sh", "-c", f"exit {code}"): code for code in range(40)}
    living = start()
    for pid in codes:
        wait_zombie(pid)

    found = list(reap())

    assert {c.pid: c.status for c in found if isinstance(c, DeadChild)} == codes
    assert list(reap()) == []
    os.kill(living, 0)


def test_stopped_child_is_told_and_goes_on(start: Start) -> None:
    """A stop is told once, and the end of that child later."""
    pid = start()
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)

    assert list(reap()) == [StoppedChild(pid)]
    assert list(reap()) == []

    os.kill(pid, signal.SIGKILL)
    [child] = wait_reaped(1)
    assert isinstance(child, DeadChild)
    assert (child.pid, child.status) == (pid, -signal.SIGKILL)


def test_what_a_child_has_used_is_told(start: Start) -> None:
    """Processor time and peak memory are the child's own."""
    pid = start(sys.executable, "-IS", "-c", _WASTE)
    wait_zombie(pid)

    [child] = reap()

    assert isinstance(child, DeadChild)
    assert child.cpu_seconds >= 0.19
    assert child.max_rss_kib >= 64 << 10


def test_each_child_is_shown_before_it_is_collected(start: Start) -> None:
    """As long as it is there, its process id and its session are nobody else's."""
    pid = start("true")
    wait_zombie(pid)
    seen: list[tuple[int, int]] = []

    [child] = reap(lambda one: seen.append((one, os.getsid(one))))

    assert isinstance(child, DeadChild)
    assert seen == [(pid, os.getsid(0))]


def test_there_is_an_end_to_each_time(start: Start) -> None:
    """Whoever makes children faster than we collect does not keep us: we are called again."""
    pids = {start("true") for _ in range(3)}
    for pid in pids:
        wait_zombie(pid)
    calls: list[None] = []

    def collect(most: int) -> set[int]:
        return {one.pid for one in reap(go_on=lambda: calls.append(None), most=most)}

    first = collect(2)
    assert (len(first), len(calls)) == (2, 1)
    assert (first | collect(2), len(calls)) == (pids, 1)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL"])
def test_end_of_a_program_whose_memory_was_overwritten_is_a_crash(name: str) -> None:
    """It runs into what is no memory or no code of its own, or finds out itself."""
    assert DeadChild(1, -signal.Signals[name], 0.0, 0).has_crashed


@pytest.mark.parametrize("status", [0, 1, signal.SIGABRT, 139, -signal.SIGTERM, -signal.SIGKILL])
def test_end_that_was_asked_for_is_no_crash(status: int) -> None:
    """Neither is an exit code, whatever it looks like: a client may be able to choose it."""
    assert not DeadChild(1, status, 0.0, 0).has_crashed
