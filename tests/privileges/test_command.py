"""`socket --user`: a master as root, a program as somebody else, from the command line."""

import os
import pwd
import signal
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.processes import marked, view
from harness.servers import Server, run_socket
from harness.waiting import wait_for

pytestmark = pytest.mark.slow
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user")

SERVE = ["-B", "127.0.0.1", "-s", "0"]
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(params=["native", "python"])
def kind(request: pytest.FixtureRequest) -> list[str]:
    """Return the option for each kind of worker."""
    return ["--worker", str(request.param)]


@needs_root
def test_program_runs_as_the_user_in_the_directory_with_the_mask(
    kind: list[str], tmp_path: Path
) -> None:
    """With HOME and the rest of a login; the master stays root."""
    Path(tmp_path).chmod(0o755)
    program = "id -u; id -G; pwd; umask; echo $HOME $USER $LOGNAME"
    confined = ["--user", "nobody:daemon", "--directory", "/usr", "--umask", "027"]
    server = Server([*kind, *confined, "-p", program, "-W", "2", *SERVE])
    try:
        gid = str(pwd.getpwnam("daemon").pw_gid)
        said = exchange(server.place).decode().splitlines()

        assert said == ["65534", gid, "/usr", "0027", f"{NOBODY.pw_dir} nobody nobody"]
        assert os.stat(f"/proc/{server.pid}").st_uid == 0
        assert server.stop() == 0
    finally:
        server.close()


@needs_root
def test_many_connections_are_served_though_workers_may_not_signal_the_master(
    kind: list[str],
) -> None:
    """Each rings by a byte, and the pool stays full."""
    server = Server([*kind, "--user", "nobody", "-p", "cat", "-W", "4", *SERVE])
    try:
        for number in range(100):
            assert exchange(server.place, b"%d" % number) == b"%d" % number
        server.wait_settled(idle=4)
        assert server.stop() == 0
        assert server.events("stopped")[0]["connections"] == 100
    finally:
        server.close()


@needs_root
def test_idle_workers_of_another_user_leave_when_the_master_is_killed(kind: list[str]) -> None:
    """The request about the master's death is made after the change of user, which clears it."""
    server = Server([*kind, "--user", "nobody", "-p", "cat", "-W", "3", *SERVE])
    try:
        server.wait_settled(idle=3)
        pids = server.workers()
        server.signal(signal.SIGKILL)
        server.wait()

        wait_for(
            lambda: not any((one := view(pid)) and not one.is_zombie for pid in pids),
            "the idle have left",
        )
        wait_for(lambda: not marked(server.mark), "so has the template")
    finally:
        server.close()


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--user", "no-such-user"], 71, "socket: unknown user 'no-such-user': give a name of"),
        (["--user", "nobody:no-such"], 71, "socket: unknown group 'no-such': give a name of"),
        (["--directory", "/no/such"], 71, "socket: cannot enter the directory '/no/such': No such"),
        (["--umask", "8"], 15, "socket: --umask: '8' is not an octal number from 0 to 777"),
        (["--umask", "1000"], 15, "socket: --umask: '1000' is not an octal number from 0 to 777"),
    ],
)
def test_what_cannot_be_applied_refuses_the_start(
    kind: list[str], options: list[str], status: int, said: str
) -> None:
    """One line, and the documented exit code."""
    outcome = run_socket(*kind, *options, "-p", "cat", "-W", "1", *SERVE)

    assert outcome.status == status
    assert outcome.stderr.startswith(said)
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--user", "--directory", "--umask", "--allow"])
def test_only_a_program_of_a_server_can_be_confined(option: str) -> None:
    """A client, or a server of its own streams, has nobody to confine."""
    outcome = run_socket(option, "0", "-s", "0")

    assert outcome.status == 15
    assert outcome.stderr.startswith(f"socket: {option} needs -s and -p")
