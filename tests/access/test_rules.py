"""Rules about clients, in force: at each level, from a file, changed under way."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from access.services import ECHO, say, service

from harness.clients import connect
from harness.supervisors import Supervisor, run_socketd
from harness.waiting import wait_for

Supervise = Callable[..., Supervisor]


def test_who_is_denied_is_sent_away_and_who_is_not_is_served(
    supervise: Supervise, early: str
) -> None:
    """By the worker that goes on waiting: no worker has ended, and no program has run."""
    mark = "sh -c 'read line; echo $line ${TENANT-none} $REMOTE_ADDR; echo >&2 ran'"
    supervisor = supervise(
        service(
            early,
            'allow = ["127.0.0.0/8 TENANT=all", "127.0.0.2 TENANT=two"]',
            'deny = ["127.0.0.3", "127.1.0.0/16"]',
            'refusal_text = "421 not you\\r\\n"',
            'stderr = "inherit"',
            program=mark,
        ),
        is_quiet=False,
    )
    place = supervisor.place("s")

    assert say(place, "127.0.0.3") == b"421 not you\r\n"
    assert say(place, "127.1.2.3") == b"421 not you\r\n"
    assert say(place, "127.0.0.1") == b"hello all 127.0.0.1\n"
    assert say(place, "127.0.0.2") == b"hello two 127.0.0.2\n"
    refused = supervisor.wait_events("connection_refused", 2, service="s", reason="denied")
    hosts = {str(line["peer"]).partition(":")[0] for line in refused}
    assert hosts == {"127.0.0.3", "127.1.2.3"}
    assert len(supervisor.wait_events("connection_closed", 2)) == 2
    supervisor.server.stop()
    assert supervisor.server.noise == ["ran", "ran"]


def test_client_that_sends_before_it_is_looked_at_still_hears_why(
    supervise: Supervise, kind: str
) -> None:
    """What it has sent is read, so its connection is not reset and the text arrives."""
    supervisor = supervise(service(kind, 'deny = ["all"]', 'refusal_text = "no"', program=ECHO))
    place = supervisor.place("s")

    for _ in range(10):
        assert say(place, text=b"x" * 10_000) == b"no"


def test_user_of_a_unix_socket_is_who_the_kernel_says(
    supervise: Supervise, early: str, tmp_path: Path
) -> None:
    """Whom a rule names by number or name."""
    listen = f"unix:{tmp_path}/socket"
    own = os.getuid()
    supervisor = supervise(service(early, f'allow = ["uid:{own} TENANT=me"]', listen=listen))
    assert say(supervisor.place("s")) == b"hello me\n"

    supervisor.reload(service(early, f'deny = ["uid:{own}"]', listen=listen))
    assert say(supervisor.place("s")) == b""


def test_changed_file_of_rules_is_in_force_without_new_workers(
    supervise: Supervise, early: str, tmp_path: Path
) -> None:
    """The workers that wait look at the new rules: written anew, or moved into place."""
    rules = tmp_path / "rules"
    rules.write_text("127.0.0.1 TENANT=one\n")
    supervisor = supervise(service(early, f'allow_file = "{rules}"'), level="debug")
    place = supervisor.place("s")
    assert say(place, "127.0.0.2") == b""
    born = len(supervisor.wait_events("worker_started", 2))

    rules.write_text("# the other one\n127.0.0.2 TENANT=two\n")
    supervisor.wait_events("rules_in_force", 2)
    assert say(place, "127.0.0.1") == b""
    assert len(supervisor.wait_events("worker_started", 2)) == born
    assert say(place, "127.0.0.2") == b"hello two 127.0.0.2\n"

    (tmp_path / "new").write_text("all\n")
    (tmp_path / "new").rename(rules)
    supervisor.wait_events("rules_in_force", 3)
    assert say(place, "127.0.0.1") == b"hello none 127.0.0.1\n"


def test_file_that_cannot_be_used_leaves_the_rules_in_force(
    supervise: Supervise, tmp_path: Path
) -> None:
    """A line that is no rule, then no file at all; and it is used again when it is right."""
    rules = tmp_path / "rules"
    rules.write_text("127.0.0.2\n")
    supervisor = supervise(service("fork", f'deny_file = "{rules}"'), is_quiet=False)
    place = supervisor.place("s")

    rules.write_text("127.0.0.3\n127.0.0.300\n")
    [line] = supervisor.wait_events("rules_unusable", 1, service="s")
    assert "line 2: '127.0.0.300' is not an address" in str(line["reason"])
    assert say(place, "127.0.0.2") == b""
    assert say(place, "127.0.0.3") == b"hello none 127.0.0.3\n"
    rules.unlink()
    supervisor.wait_events("rules_unusable", 2)
    assert say(place, "127.0.0.2") == b""
    rules.write_text("127.0.0.3\n")
    supervisor.wait_events("rules_in_force", 2)
    assert say(place, "127.0.0.2") == b"hello none 127.0.0.2\n"
    assert say(place, "127.0.0.3") == b""


def test_reload_gives_and_takes_rules(supervise: Supervise, kind: str) -> None:
    """From none to some and back, with workers that were there before."""
    supervisor = supervise(service(kind, program=ECHO))
    place = supervisor.place("s")
    assert say(place, "127.0.0.2") == b"hello\n"

    supervisor.reload(service(kind, 'deny = ["127.0.0.2"]', program=ECHO))
    assert say(place, "127.0.0.2") == b""
    assert say(place, "127.0.0.1") == b"hello\n"
    supervisor.reload(service(kind, program=ECHO))
    assert say(place, "127.0.0.2") == b"hello\n"


def test_flood_of_who_is_denied_is_a_few_lines_a_second(supervise: Supervise) -> None:
    """Each is counted, ten are named at a time, and the rest is a number."""
    supervisor = supervise(service("fork", 'deny = ["127.0.0.2"]'))
    place = supervisor.place("s")
    for _ in range(200):
        assert say(place, "127.0.0.2") == b""

    def told() -> int:
        named = len(supervisor.server.events("connection_refused"))
        more = supervisor.server.events("connections_refused")
        return named + sum(int(line["count"]) for line in more)

    wait_for(lambda: told() == 200, "all two hundred are accounted for")
    named = supervisor.wait_events("connection_refused", 1)
    assert len(named) < 100


def test_reexec_keeps_rules_in_force(supervise: Supervise, tmp_path: Path) -> None:
    """Nobody comes in meanwhile, and the file is watched by the next version too."""
    rules = tmp_path / "rules"
    rules.write_text("127.0.0.2\n")
    supervisor = supervise(service("load", f'deny_file = "{rules}"'))
    place = supervisor.place("s")
    supervisor.replace()

    assert say(place, "127.0.0.2") == b""
    assert say(place, "127.0.0.1") == b"hello none 127.0.0.1\n"
    rules.write_text("127.0.0.1\n")
    wait_for(lambda: say(place, "127.0.0.1") == b"", "the next version reads the file again")


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ('allow = ["10.0.0.1/8"]', "give 10.0.0.0/8 or the address alone"),
        ('allow = ["10.0.0.0/8 PATH=x"]', "sets PATH, which the program has anyway"),
        ('deny_file = "/no/such/file"', "/no/such/file: No such file or directory"),
        ('refusal_text = "no"', "needs allow, deny, source_limit, rate, source_rate"),
        ('allow = ["all A=b"]\nready = "read"', "started ahead as far as read"),
    ],
)
def test_rules_that_cannot_be_are_a_mistake_of_the_file(
    tmp_path: Path, keys: str, complaint: str
) -> None:
    """One line at the start, with the place and what to give."""
    file = tmp_path / "services.toml"
    file.write_text(
        service("python" if "ready" in keys else "fork", keys).replace('worker = "python"\n', "")
    )
    outcome = run_socketd("run", str(file))

    assert outcome.status == 78
    assert complaint in outcome.stderr


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
def test_ipv4_client_of_a_dual_stack_listener_is_an_ipv4_client(supervise: Supervise) -> None:
    """A rule for IPv4 is for it, and one for all of IPv6 is not."""
    rules = 'allow = ["127.0.0.1"]\ndeny = ["::/0"]'
    supervisor = supervise(service("fork", rules, listen="tcp:0"))
    place = supervisor.place("s")
    assert isinstance(place, tuple)

    assert say(("127.0.0.1", place[1])) == b"hello none 127.0.0.1\n"


def test_stop_does_not_wait_for_who_was_sent_away(supervise: Supervise, early: str) -> None:
    """The last one in the queue is nobody's connection, and soon after another no worker rings.

    It is still in the queue when the stop begins, for the workers have been stopped.
    """
    supervisor = supervise(service(early, 'deny = ["all"]', 'timeouts.drain = "1h"'))
    place, workers = supervisor.place("s"), supervisor.server.workers()
    say(place)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    with connect(place):
        supervisor.server.signal(signal.SIGTERM)
        supervisor.wait_events("stopping", 1)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        assert supervisor.server.wait() == 0
