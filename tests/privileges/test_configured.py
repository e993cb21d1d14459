"""Privileges from a configuration file: every key reaches the program."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.supervisors import Supervisor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can change user"),
]

FILE = """
[service.who]
listen = ["tcp:127.0.0.1:0"]
program = "id -u; id -G; pwd; umask; cut -d' ' -f19 /proc/self/stat; ulimit -n; ulimit -Hn; \
grep NoNewPrivs /proc/self/status; grep CapEff /proc/self/status; echo $USER"
worker = "{kind}"
user = "{user}"
groups = ["daemon", "games"]
directory = "/usr"
umask = "027"
nice = 3
no_new_privs = true

[service.who.limits]
nofile = [64, 128]

[service.other]
listen = ["tcp:127.0.0.1:0"]
program = "id -u"
worker = "{kind}"
"""


@pytest.fixture(params=["native", "python"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of worker in turn."""
    return str(request.param)


@pytest.fixture
def supervisor(kind: str, tmp_path: Path) -> Iterator[Supervisor]:
    """Lend a running `socketd run` of the file."""
    file = tmp_path / "services.toml"
    file.write_text(FILE.format(kind=kind, user="nobody"))
    supervisor = Supervisor(file)
    yield supervisor
    supervisor.server.close()


def test_every_key_reaches_the_program(supervisor: Supervisor) -> None:
    """Of its own service, and of no other."""
    assert exchange(supervisor.place("who")).decode().split() == [
        "65534", "1", "60", "/usr", "0027", "3", "64", "128", "NoNewPrivs:", "1", "CapEff:",
        "0000000000000000", "nobody",
    ]  # fmt: skip
    assert exchange(supervisor.place("other")) == b"0\n"


def test_reload_changes_the_user_and_a_vanished_one_changes_nothing(
    supervisor: Supervisor, kind: str
) -> None:
    """The next connections are the new user's; with an unknown user all goes on as before."""
    place = supervisor.place("who")
    supervisor.wait_ready()

    assert supervisor.reload(FILE.format(kind=kind, user="daemon"))["event"] == "reloaded"
    supervisor.wait_events("service_ready", 1, service="other")
    assert exchange(place).split()[0].decode() in ("1", "65534")  # the old idle are leaving
    found = {exchange(place).split()[0].decode() for _ in range(20)}
    assert str(pwd.getpwnam("daemon").pw_uid) in found

    supervisor.server.is_quiet = False
    failed = supervisor.reload(FILE.format(kind=kind, user="no-such-user"))
    assert failed["event"] == "reload_failed"
    assert "no-such-user" in failed["reason"]
    assert exchange(place).split()[0] == b"1"
