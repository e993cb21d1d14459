"""What cannot be applied is refused before anything is served, in one line that says what to do."""

import os
import pwd
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from socketd.errors import ExitCode, SystemFailureError
from socketd.programs.privileges import Privileges, grant, look_up
from socketd.settings.confinement import Confinement, ResourceLimit
from socketd.system.accounts import login_variables

from .conftest import StartWorkers

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user")
NOBODY = pwd.getpwnam("nobody")
SHELL = "/bin/sh"

MISTAKES = {
    "user": (Confinement(user="no-such-user"), "unknown user 'no-such-user': give a name of the"),
    "user of all ones": (Confinement(user="4294967295"), "unknown user '4294967295'"),
    "group": (Confinement(groups=("no-such-group",)), "unknown group 'no-such-group': give"),
    "user without group": (
        Confinement(user="54321"), "user '54321' is not in the user database and so has no group",
    ),
    "limit": (
        Confinement(limits=(ResourceLimit("files", 1, 1),)), "unknown limit 'files': this system",
    ),
    "soft above hard": (
        Confinement(limits=(ResourceLimit("nofile", 9, 8),)),
        "limit 'nofile': the soft limit is above the hard one",
    ),
    "soft unlimited": (
        Confinement(limits=(ResourceLimit("nofile", None, 8),)),
        "limit 'nofile': the soft limit is above the hard one",
    ),
    "directory": (
        Confinement(directory="/no/such"),
        "cannot enter the directory '/no/such': No such file or directory",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name: str) -> None:
    """The line says what is wrong, of which setting, with which value; the code is 71."""
    confinement, reason = MISTAKES[name]

    with pytest.raises(SystemFailureError) as caught:
        grant(confinement, SHELL)

    assert str(caught.value).startswith(reason)
    assert caught.value.exit_code == ExitCode.SYSTEM


def test_both_kinds_of_worker_refuse(workers: StartWorkers) -> None:
    """Before any process of the service is there."""
    with pytest.raises(SystemFailureError, match="cannot enter the directory"):
        workers(Confinement(directory="/no/such"), "true")


def said_as_nobody(attempt: Callable[[], object]) -> str:
    """Return the error that an ordinary user gets; nothing if there is none."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = ""
        try:
            os.setgroups([NOBODY.pw_gid])
            os.setresgid(*[NOBODY.pw_gid] * 3)
            os.setresuid(*[NOBODY.pw_uid] * 3)
            attempt()
        except SystemFailureError as error:
            said = str(error)
        except BaseException:  # noqa: BLE001  the parent shows it
            said = traceback.format_exc()
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


@needs_root
@pytest.mark.parametrize(
    ("confinement", "said"),
    [
        (
            Confinement(user="daemon"),
            "cannot set the groups of user 'daemon': Operation not permitted; this needs root",
        ),
        (
            Confinement(groups=("daemon",)),
            "cannot set the groups of user '65534': Operation not permitted; this needs root",
        ),
        (
            Confinement(nice=-1),
            "cannot set the niceness to -1: Operation not permitted; this needs root",
        ),
        (
            Confinement(limits=(ResourceLimit("rtprio", 99, 99),)),
            "cannot set the limit rtprio to 99:99: Operation not permitted; this needs root",
        ),
        (Confinement(user="nobody"), ""),
        (Confinement(nice=5, umask=0o77, no_new_privs=True, directory="/"), ""),
        (Confinement(limits=(ResourceLimit("nofile", 20, 20),)), ""),
    ],
)
def test_an_ordinary_user_is_told_what_needs_root(confinement: Confinement, said: str) -> None:
    """What an ordinary user may do is done without complaint, to be oneself included."""
    assert said_as_nobody(lambda: grant(confinement, SHELL)) == said


@needs_root
def test_a_program_that_the_user_may_not_run_is_found_at_the_start(tmp_path: Path) -> None:
    """And not at the first connection."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)

    with pytest.raises(SystemFailureError) as caught:
        grant(Confinement(user="nobody"), str(program))

    assert str(caught.value) == f"cannot run '{program}' as user 'nobody': Permission denied"


def test_nothing_to_give_up_is_nothing_to_try() -> None:
    """Without settings no process is made for the proof, and none is changed."""
    assert grant(Confinement(), "/no/such/program") == Privileges()


@needs_root
def test_groups_of_a_user_are_those_of_the_database() -> None:
    """The user's own group first, each once."""
    identity = look_up(Confinement(user="daemon")).identity

    entry = pwd.getpwnam("daemon")
    assert identity is not None
    assert identity.gid == identity.groups[0] == entry.pw_gid
    assert sorted(identity.groups) == sorted(set(os.getgrouplist("daemon", entry.pw_gid)))


def test_login_variables_are_those_of_the_database() -> None:
    """HOME, LOGNAME, SHELL and USER, as a login has them; a mere number has none."""
    assert login_variables("nobody") == {
        "HOME": NOBODY.pw_dir,
        "LOGNAME": "nobody",
        "SHELL": NOBODY.pw_shell,
        "USER": "nobody",
    }
    assert login_variables("54321") == {}
