"""A process id belongs to one child, until that is collected."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from socketd.workers.children import Child, Children

Start = Callable[..., int]


def test_each_child_is_found_with_its_family() -> None:
    """Two services have a worker and a template each; a slot alone says nothing."""
    children = Children()
    one, other = children.add_family(), children.add_family()

    one.note_template(10)
    other.note_template(20)
    assert one.note_worker(11, 3)
    assert other.note_worker(21, 3)

    assert children.find(10) == Child(one, None)
    assert children.find(21) == Child(other, 3)
    assert children.find(12) is None
    assert (one.slot_of(11), one.slot_of(21), one.slot_of(10), one.slot_of(12)) == (
        3, None, None, None,
    )  # fmt: skip
    assert (one.workers, other.workers) == ({11: 3}, {21: 3})


def test_process_id_of_somebody_else_is_not_believed() -> None:
    """Neither that of a template, nor of another service, nor of another slot."""
    children = Children()
    one, other = children.add_family(), children.add_family()
    other.note_template(20)
    other.note_worker(21, 0)
    one.note_worker(11, 0)

    assert not one.note_worker(20, 0)
    assert not one.note_worker(21, 0)
    assert not one.note_worker(11, 1)
    assert one.note_worker(11, 0)

    assert children.find(20) == Child(other, None)
    assert children.find(21) == Child(other, 0)
    assert children.find(11) == Child(one, 0)


def test_forgotten_process_id_is_free_for_the_next() -> None:
    """The kernel gives the number of a collected child to whoever comes."""
    children = Children()
    one, other = children.add_family(), children.add_family()
    one.note_worker(11, 0)

    assert children.forget(11) == Child(one, 0)
    assert children.forget(11) is None
    assert one.workers == {}
    assert other.note_worker(11, 5)
    assert len(children) == 1


def test_families_that_lack_a_child_are_few() -> None:
    """Those alone are asked when room is made, and stay until they have been."""
    children = Children()
    one, _ = children.add_family(), children.add_family()
    one.note_shortage()
    one.note_shortage()

    assert children.in_shortage == {one}
    one.clear_shortage()
    one.clear_shortage()
    assert children.in_shortage == set()


def test_family_is_restored_as_it_was() -> None:
    """What a re-exec passes on."""
    children = Children()
    family = children.add_family()

    family.restore({11: 0, 12: 1}, (10,), (9, 10))

    assert family.workers == {11: 0, 12: 1}
    assert family.pid_in(1) == 12
    assert family.sessions == (9, 10)
    assert children.find(10) == Child(family, None)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start children of ours; whoever is left is killed and collected."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*, in_session: bool = False) -> int:
        started.append(subprocess.Popen(["sleep", "1000"], start_new_session=in_session))
        return started[-1].pid

    yield start
    for one in started:
        one.kill()
        one.wait()


def start_template() -> subprocess.Popen[bytes]:
    """Start the leader of a session with a child of ours in it, whose process id it tells."""
    script = (
        "import ctypes, os, signal, sys\n"
        "CLONE_PARENT = 0x8000\n"
        "pid = ctypes.CDLL(None).syscall(%d, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)\n"
        "if pid:\n"
        "    print(pid, flush=True)\n"
        "signal.pause()\n"
    )
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    return subprocess.Popen(
        [sys.executable, "-IS", "-c", script % number],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Lend a template and a worker of it, which is a child of ours."""
    with start_template() as template:
        assert template.stdout is not None
        worker = int(template.stdout.readline())
        yield template.pid, worker
        for pid in (worker, template.pid):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(worker, 0)


def test_claim_is_believed_of_a_child_that_has_come_of_a_template(pair: tuple[int, int]) -> None:
    """Its session says so, and it is noted."""
    template, worker = pair
    family = Children().add_family()
    family.note_template(template)

    assert family.verify_worker(worker, 3)
    assert (family.slot_of(worker), family.pid_in(3)) == (3, worker)
    assert family.verify_worker(worker, 3)
    assert not family.verify_worker(worker, 4)


def test_claim_of_a_child_of_another_service_is_not_believed(pair: tuple[int, int]) -> None:
    """Nor that of a template, whosesoever it is; not even where all run as the same user."""
    template, worker = pair
    children = Children()
    one, other = children.add_family(), children.add_family()
    other.note_template(template)
    one.uids.add(os.getuid())

    assert children.family_of(worker) is other
    assert not one.verify_worker(worker, 0)
    assert not one.verify_worker(template, 0)
    assert not other.verify_worker(template, 0)
    assert one.workers == {}


def test_claim_of_a_slot_that_is_taken_is_not_believed(pair: tuple[int, int]) -> None:
    """Who has been noted stays who it is."""
    template, worker = pair
    family = Children().add_family()
    family.note_template(template)
    family.note_worker(4711, 3)

    assert not family.verify_worker(worker, 3)
    assert family.pid_in(3) == 4711


@pytest.mark.parametrize("pid", [-(2**31), -1, 0, 1, 2**31 - 1])
def test_claim_of_nobody_is_not_believed(pid: int) -> None:
    """Whoever the service runs as."""
    family = Children().add_family()
    family.uids.add(os.getuid())

    assert not family.verify_worker(pid, 0)


def test_claim_of_a_child_in_our_own_session_is_not_believed(start: Start) -> None:
    """It was started for something else: a proof of the next version, a look into memory."""
    family = Children().add_family()
    family.uids.add(os.getuid())

    assert not family.verify_worker(start(), 0)


def test_program_that_has_made_a_session_is_believed_by_its_user(start: Start) -> None:
    """Of the service's user, or of ours, who may signal us anyhow; of nobody else."""
    pid = start(in_session=True)
    stranger, own = Children().add_family(), Children().add_family()
    stranger.uids.add(os.getuid() + 1)
    own.uids.add(os.getuid())

    assert not stranger.verify_worker(pid, 0)
    assert own.verify_worker(pid, 0)


def test_session_belongs_to_whoever_has_had_its_number_last() -> None:
    """A number is free again only when nobody is left in the session."""
    children = Children()
    one, other = children.add_family(), children.add_family()
    one.note_template(10)
    children.forget(10)
    other.note_template(10)

    assert (one.sessions, other.sessions) == ((), (10,))


def test_sessions_of_a_family_have_a_bound_and_an_end() -> None:
    """The oldest go, and all with the service."""
    family = Children().add_family()
    for pid in range(1000, 2000):
        family.note_template(pid)

    assert len(family.sessions) == 512
    assert family.sessions[-1] == 1999
    family.disband()
    assert family.sessions == ()


def test_family_that_is_dissolved_leaves_nobody() -> None:
    """Its workers are forgotten, those of others are not."""
    children = Children()
    gone, staying = children.add_family(), children.add_family()
    gone.note_worker(17, 0)
    staying.note_worker(19, 0)
    children.dissolve(gone)

    assert (children.find(17), len(children), gone.workers) == (None, 1, {})
