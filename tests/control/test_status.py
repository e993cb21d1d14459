"""`socketd status`: a table, fields for scripts, a check for monitors, a wait for a start."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from control.asking import path_of, when
from harness.clients import connect
from harness.supervisors import Supervisor, run_socketd
from socketd.control.client import Connection, ControlError

Serve = Callable[..., Supervisor]
CAT = '[service.s]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\n'
ONE = "[service.s.workers]\nmin = 1\nmax = 1\n"


def test_server_is_found_by_each_of_its_names(serve: Serve, tmp_path: Path) -> None:
    """Its file, its pid file and its socket lead to the same server."""
    server = serve(CAT)
    pid_file = tmp_path / "pid"
    pid_file.write_text(f"{server.pid}\n")
    ways = (
        [str(server.file)],
        ["--pidfile", str(pid_file)],
        ["--control", path_of(server)],
    )
    for way in ways:
        outcome = run_socketd("status", *way)
        assert (outcome.status, outcome.stderr) == (0, "")
        assert f"pid {server.pid}, running" in outcome.stdout


def test_fields_are_for_scripts(serve: Serve) -> None:
    """-o prints just these, a line for each listener, and "-" for what is not known."""
    server = serve(CAT + "[service.s.workers]\nmin = 3\nmax = 9\n" + CAT.replace(".s]", ".t]"))
    outcome = run_socketd(
        "status", "-o", "service,idle,busy,max,queue,back_off", "--service", "s", str(server.file)
    )

    assert (outcome.status, outcome.stdout) == (0, "s 3 0 9 0 -\n")
    wrong = run_socketd("status", "-o", "idle,idol", str(server.file))
    assert wrong.status == 15
    assert "no field 'idol'; there are: service, address" in wrong.stderr
    wrong = run_socketd("status", "--service", "u", str(server.file))
    assert wrong.status == 15
    assert "no service 'u'; there are: s, t" in wrong.stderr


def test_json_is_the_state(serve: Serve) -> None:
    """--json prints what the control socket says."""
    server = serve(CAT)
    outcome = run_socketd("status", "--json", str(server.file))

    assert json.loads(outcome.stdout)["server"]["pid"] == server.pid


def test_check_speaks_as_monitors_want(serve: Serve) -> None:
    """One line and 0, 1, 2 or 3: well, all workers busy, nobody there, and not to be told."""
    server = serve(CAT + ONE)
    outcome = run_socketd("status", "--check", str(server.file))
    assert (outcome.status, outcome.stdout.count("\n")) == (0, 1)
    assert outcome.stdout.startswith(
        "OK - 1 services, 0 of 1 workers busy, 0 clients wait | busy=0"
    )

    with connect(server.place("s")):
        when(server, lambda one: one.workers.busy == 1)
        outcome = run_socketd("status", "--check", str(server.file))
    assert outcome.status == 1
    assert outcome.stdout.startswith("WARNING - s tcp:")

    server.server.stop()
    outcome = run_socketd("status", "--check", str(server.file))
    assert outcome.status == 2
    assert outcome.stdout.startswith("CRITICAL - cannot ask the server at ")
    outcome = run_socketd("status", "--check", "--pidfile", str(server.file))
    assert outcome.status == 3
    assert outcome.stdout.startswith("UNKNOWN - ")


def test_wait_ends_when_the_server_is_up(serve: Serve) -> None:
    """--wait-ready ends with 0 for a server that is up, and with 71 in time for one that is not."""
    server = serve(CAT)
    assert run_socketd("status", "--wait-ready", str(server.file)).status == 0
    server.server.stop()
    outcome = run_socketd("status", "--wait-ready", "--timeout", "50ms", str(server.file))

    assert outcome.status == 71
    assert "was not ready within 0.05 s" in outcome.stderr


def test_server_that_is_stopped_is_told_apart(serve: Serve) -> None:
    """A server that hangs is said to do so, and not waited for without an end."""
    server = serve(CAT)
    server.server.signal(signal.SIGSTOP)
    try:
        with (
            Connection(path_of(server), 0.2) as asking,
            pytest.raises(ControlError, match="does not answer; is it stopped"),
        ):
            asking.state()
    finally:
        server.server.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json", "--check"], "--json and --check exclude each other"),
        (["--timeout", "1s"], "--timeout is for --wait-ready"),
        (["--wait-ready", "--timeout", "soon"], "'soon' is not a duration"),
        (["--service", "s", "--json"], "--service does not go with --json"),
        (["--control", ""], "the value is empty"),
        (["--pidfile", "/nowhere"], "cannot read the pid file '/nowhere': No such file"),
        (["/nowhere.toml"], "cannot ask the server at "),
        (["--control", f"/tmp/{'x' * 120}"], "cannot ask the server at '/tmp/xx"),
        (["--control", f"/tmp/{'x' * 120}"], "': File name too long"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments: list[str], said: str) -> None:
    """What makes no sense ends with 15 and the reason; who is not there, with 71."""
    outcome = run_socketd("status", *arguments)

    assert outcome.status == (71 if "cannot ask" in outcome.stderr else 15)
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr
