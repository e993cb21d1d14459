"""Workers of both kinds have what was configured and nothing more, before any foreign code runs."""

import grp
import os
import pwd
import resource
import select
import signal
from pathlib import Path

import pytest

from harness.processes import view
from harness.waiting import wait_for
from socketd.settings.confinement import RESOURCES, Confinement, ResourceLimit
from socketd.workers.layout import SlotState

from .conftest import StartWorkers

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user")
pytestmark = [pytest.mark.slow]

USER = "nobody"
MIB = 1 << 20
STATUS = "cat /proc/self/status"


def status_of(text: str) -> dict[str, str]:
    """Return the lines of /proc/PID/status by their names."""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: " ".join(value.split()) for name, _, value in lines}


def status_of_idle(pid: int) -> dict[str, str]:
    """Return the same of a process that waits."""
    return status_of(Path(f"/proc/{pid}/status").read_text())


def limits_of(text: str) -> dict[str, list[str]]:
    """Return soft and hard limit of each line of /proc/PID/limits."""
    return {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()}


@needs_root
def test_program_is_the_user_with_its_groups_and_no_capability(workers: StartWorkers) -> None:
    """Real, effective, saved and file system ids are the user's; every capability set is empty."""
    entry = pwd.getpwnam(USER)
    groups = sorted(os.getgrouplist(USER, entry.pw_gid))

    found = status_of(workers(Confinement(user=USER), STATUS).ask())

    assert found["Uid"] == " ".join([str(entry.pw_uid)] * 4)
    assert found["Gid"] == " ".join([str(entry.pw_gid)] * 4)
    assert sorted(map(int, found["Groups"].split())) == groups
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found[name], 16) == 0, name


@needs_root
def test_groups_that_are_named_are_all_there_are(workers: StartWorkers) -> None:
    """The first is the group of the process, and none of the database is added."""
    names = ("games", "daemon")
    gids = [grp.getgrnam(name).gr_gid for name in names]

    found = status_of(workers(Confinement(user=USER, groups=names), STATUS).ask())

    assert found["Gid"] == " ".join([str(gids[0])] * 4)
    assert sorted(map(int, found["Groups"].split())) == sorted(gids)


@needs_root
def test_user_may_be_a_number_that_no_database_has(workers: StartWorkers) -> None:
    """With a group beside it."""
    found = status_of(workers(Confinement(user="54321", groups=("54322",)), STATUS).ask())

    assert found["Uid"].split()[0] == "54321"
    assert (found["Gid"].split()[0], found["Groups"]) == ("54322", "54322")


@needs_root
def test_everything_is_given_up_before_the_first_connection(workers: StartWorkers) -> None:
    """A worker that waits is the user already and cannot be traced."""
    crowd = workers(Confinement(user=USER, no_new_privs=True), STATUS)
    pid = crowd.board.pid(0)

    found = status_of_idle(pid)

    assert found["Uid"].split() == [str(pwd.getpwnam(USER).pw_uid)] * 4
    assert int(found["CapPrm"], 16) == 0
    assert found["NoNewPrivs"] == "1"
    # proc(5): what is not dumpable belongs to root in /proc.
    assert os.stat(f"/proc/{pid}/fd").st_uid == 0


@needs_root
def test_a_worker_that_may_not_signal_its_master_rings_by_a_byte(workers: StartWorkers) -> None:
    """The self-pipe has the byte that the signal would have put there."""
    crowd = workers(Confinement(user=USER), "true")
    crowd.doorbell.answer()

    crowd.ask()

    assert select.select([crowd.doorbell.read_fd], [], [], 10)[0]
    wait_for(lambda: crowd.board.find(SlotState.ACCEPTED) == [0], "the connection is on the board")


@needs_root
def test_a_worker_of_another_user_retires(workers: StartWorkers) -> None:
    """A change of user does not take the retire handler away."""
    crowd = workers(Confinement(user=USER), "true")
    pid = crowd.board.pid(0)

    os.kill(pid, signal.SIGWINCH)

    wait_for(lambda: (one := view(pid)) is None or one.is_zombie, "the worker has left")


_ATTACK = """
exec 2> /dev/null
kill -0 {master} && echo master signalled
head -c 1 /proc/{master}/environ && echo master traced
head -c 1 /proc/{master}/mem && echo master traced
for fd in /proc/{master}/fd/*; do echo x > $fd && echo master written; done
ls /proc/{master}/fd && echo master seen
for fd in /proc/{sibling}/fd/*; do echo x > $fd && echo sibling written; done
head -c 1 /proc/{sibling}/environ && echo sibling traced
head -c 1 /proc/{sibling}/mem && echo sibling traced
ls /proc/{sibling}/map_files /proc/{sibling}/fd && echo sibling seen
grep board /proc/self/maps && echo board mapped
for fd in /proc/$$/fd/*; do readlink $fd; done | grep -v -e ^socket: -e /dev/null
echo tried
"""


@needs_root
def test_program_cannot_reach_master_board_or_siblings(workers: StartWorkers) -> None:
    """No signal, no tracing, no write: not by descriptor, nor through /proc, nor by a sibling."""
    crowd = workers(Confinement(user=USER), 'eval "$(cat)"', count=2)
    attack = _ATTACK.format(master=os.getpid(), sibling="{sibling}")

    # Which of the two accepts is the kernel's choice: each is the other's sibling.
    siblings = [attack.format(sibling=crowd.board.pid(number)) for number in (0, 1)]
    victim = "; ".join(f"[ $$ = {crowd.board.pid(n)} ] || {{ {siblings[n]}\n}}" for n in (0, 1))

    assert crowd.ask(victim) == "tried\n"


def may_raise_limits() -> bool:
    """Tell whether we have CAP_SYS_RESOURCE, which a container may lack."""
    return bool(int(status_of_idle(os.getpid())["CapEff"], 16) >> 24 & 1)


LIMITS = (
    ResourceLimit("nofile", 64, 128),
    ResourceLimit("core", 0, 0),
    ResourceLimit("cpu", 10, 20),
    ResourceLimit("as", 256 * MIB, 512 * MIB),
    ResourceLimit("nproc", 500, 600),
    ResourceLimit("fsize", None, None),
)


def test_limits_are_those_that_were_asked_for(workers: StartWorkers) -> None:
    """Soft and hard, with `None` for no limit."""
    found = limits_of(workers(Confinement(limits=LIMITS), "cat /proc/self/limits").ask())

    assert found["Max open files"] == ["64", "128"]
    assert found["Max core file size"] == ["0", "0"]
    assert found["Max cpu time"] == ["10", "20"]
    assert found["Max address space"] == [str(256 * MIB), str(512 * MIB)]
    assert found["Max processes"] == ["500", "600"]


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_every_limit_of_the_system_can_be_set(workers: StartWorkers, name: str) -> None:
    """Both kinds know the same names, and unlimited is a value."""
    soft, hard = resource.getrlimit(RESOURCES[name])
    values = (None if one == resource.RLIM_INFINITY else one for one in (soft, hard))
    ours = Path("/proc/self/limits").read_text()

    found = workers(Confinement(limits=(ResourceLimit(name, *values),)), "cat /proc/self/limits")

    assert limits_of(found.ask()) == limits_of(ours)


@needs_root
@pytest.mark.skipif(not may_raise_limits(), reason="this root lacks CAP_SYS_RESOURCE")
@pytest.mark.parametrize("name", ["cpu", "as", "nproc"])
def test_root_may_raise_a_limit_that_the_user_then_keeps(workers: StartWorkers, name: str) -> None:
    """Limits come before the change of user."""
    before = resource.getrlimit(RESOURCES[name])
    resource.prlimit(0, RESOURCES[name], (1 << 40, 1 << 40))
    try:
        limit = ResourceLimit(name, 1 << 41, 1 << 42)
        crowd = workers(Confinement(user=USER, limits=(limit,)), "cat /proc/self/limits")
        assert [str(1 << 41), str(1 << 42)] in limits_of(crowd.ask()).values()
    finally:
        resource.prlimit(0, RESOURCES[name], before)


def test_umask_directory_nice_and_no_new_privs_are_as_asked_for(
    workers: StartWorkers, tmp_path: Path
) -> None:
    """Each reaches the program."""
    chosen = Confinement(umask=0o027, directory=str(tmp_path), nice=7, no_new_privs=True)
    script = "umask; pwd; cut -d' ' -f19 /proc/self/stat; grep NoNewPrivs /proc/self/status"

    found = workers(chosen, script).ask()

    assert found.split() == ["0027", str(tmp_path), "7", "NoNewPrivs:", "1"]


@needs_root
def test_niceness_may_be_negative_for_another_user(workers: StartWorkers) -> None:
    """It is set while that is still allowed."""
    crowd = workers(Confinement(user=USER, nice=-5), "cut -d' ' -f19 /proc/self/stat")

    assert crowd.ask() == "-5\n"


def test_nothing_is_changed_that_was_not_asked_for(workers: StartWorkers) -> None:
    """A worker without settings is what its master is."""
    names = ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Umask")
    ours = status_of_idle(os.getpid())

    found = status_of(workers(Confinement(), STATUS).ask())

    assert [found[name] for name in names] == [ours[name] for name in names]
