"""Signals go to children that nobody has collected, and to nobody else, whoever named them."""

import ast
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import socketd
from harness.waiting import wait_for
from socketd.workers import kin

PACKAGE = Path(socketd.__file__).parent
NOBODY = (-(2**31), -2, -1, 0, 1, 2**31 - 1, 2**31, 2**63)

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start children that say when they are there; whoever is left is killed and collected."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*, in_session: bool = False, in_group: bool = True) -> subprocess.Popen[bytes]:
        group = 0 if in_group and not in_session else None
        child = subprocess.Popen(
            ["sh", "-c", "echo; exec sleep 1000"],
            stdout=subprocess.PIPE,
            start_new_session=in_session,
            process_group=group,
        )
        assert child.stdout is not None
        child.stdout.readline()
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def wait_zombie(pid: int) -> None:
    """Wait until a child has ended, without collecting it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_child_is_one_until_it_is_collected(start: Start) -> None:
    """Alive and dead; afterwards its number may be anybody's."""
    child = start()
    assert kin.is_child(child.pid)
    child.kill()
    wait_zombie(child.pid)

    assert kin.is_child(child.pid)
    child.wait()
    assert not kin.is_child(child.pid)


@pytest.mark.parametrize("pid", NOBODY)
def test_number_that_is_nobodys_is_no_child(start: Start, pid: int) -> None:
    """Neither of a group, nor of all processes, nor of process 1, nor beyond all numbers."""
    start()

    assert not kin.is_child(pid)


def test_stranger_is_no_child() -> None:
    """Neither ourselves, nor our parent, nor the child of a child."""
    script = "sleep 1000 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, process_group=0) as shell:
        assert shell.stdout is not None
        grandchild = int(shell.stdout.readline())

        found = [kin.is_child(pid) for pid in (os.getpid(), os.getppid(), grandchild)]

        os.killpg(shell.pid, signal.SIGKILL)
    assert found == [False, False, False]


def test_signal_reaches_a_child(start: Start) -> None:
    """That is what it is for."""
    child = start()

    kin.send(child.pid, signal.SIGTERM)

    assert child.wait() == -signal.SIGTERM


@pytest.mark.parametrize("pid", NOBODY)
def test_signal_to_nobody_is_not_sent(start: Start, pid: int) -> None:
    """-1 does not become everybody, nor 1, whose group is everybody for killpg()."""
    child = start()

    kin.send(pid, signal.SIGTERM)
    kin.send_to_group(pid, signal.SIGTERM)
    kin.end(pid)

    assert child.poll() is None


def test_signal_to_a_group_reaches_all_of_it_and_nobody_else(start: Start) -> None:
    """A child may lead one, and not be there any more itself."""
    other = start()
    script = "sleep 1000 & echo $!; exec sleep 1000"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, process_group=0) as leader:
        assert leader.stdout is not None
        left = int(leader.stdout.readline())
        leader.kill()
        wait_zombie(leader.pid)

        kin.send_to_group(leader.pid, signal.SIGTERM)

        assert leader.stdout.read() == b"", "it has the pipe too"
    wait_for(lambda: not Path(f"/proc/{left}").exists() or is_zombie(left), "it has ended")
    assert other.poll() is None


def is_zombie(pid: int) -> bool:
    """Tell whether a process has ended and its parent has not noticed."""
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_child_that_leads_no_group_is_signalled_itself(start: Start) -> None:
    """It has been born an instant ago."""
    child = start(in_group=False)

    kin.send_to_group(child.pid, signal.SIGTERM)

    assert child.wait() == -signal.SIGTERM


def test_session_and_user_are_what_the_kernel_says(start: Start) -> None:
    """Of a child that has ended, too; nothing of one that does not exist."""
    own, inherited = start(in_session=True), start()
    own.kill()
    wait_zombie(own.pid)

    assert kin.session_of(own.pid) == own.pid
    assert kin.session_of(inherited.pid) == os.getsid(0)
    assert kin.real_uid_of(own.pid) == os.getuid()
    assert kin.session_of(2**31 - 1) is None
    assert kin.real_uid_of(2**31 - 1) is None


def test_all_children_are_listed(start: Start) -> None:
    """More than anybody else would be asked of."""
    pids = {start().pid for _ in range(3)}

    assert pids <= set(kin.children())


# Who signals itself, its parent, or a child of its own that no board knows.
_ALLOWED = {
    "hold.py": "itself, in a program",
    "kin.py": "children",
    "loop.py": "itself",
    "peek.py": "its own child, by a pidfd",
    "piped.py": "its own child, and itself, in a worker",
    "rehearsal.py": "its own child, by a pidfd",
    "borrowed.py": "nobody: it copies a descriptor of a child",
    "queue.py": "nobody: it waits for the end of a worker, by a pidfd",
    "sources.py": "nobody: it waits for the end of a worker, by a pidfd",
    "bell.py": "the master, in a worker",
    "orders.py": "the server of a pid file, by a pidfd, in a command",
    "keeper.py": "in a worker",
}
_SENDING = {"kill", "killpg", "pidfd_send_signal", "pidfd_open", "pthread_kill", "tgkill"}


def test_nobody_else_sends_signals() -> None:
    """A process id may have come from the board; one room asks whose it is before."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        calls = {
            node.func.attr
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in ("os", "signal", "_LIBC")
            and node.func.attr in _SENDING
        }
        if calls:
            found[path.name] = calls

    assert set(found) <= set(_ALLOWED), found
