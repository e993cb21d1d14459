"""What a server is told by its control socket is done, and what comes of it is an exit code."""

import contextlib
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from control.asking import asked, connected, listening, path_of, state, when
from harness.clients import connect, exchange
from harness.controls import controlled
from harness.screens import ScreenedCommand
from harness.servers import Outcome
from harness.supervisors import SOCKETD, Supervisor, run_socketd
from harness.waiting import wait_for
from socketd.control.client import OlderError, RefusedError
from socketd.control.document import State

Serve = Callable[..., Supervisor]
CAT = '[service.s]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\n'
TWO = "[service.s.workers]\nmin = 2\nmax = 4\n"


def told(server: Supervisor, *words: str) -> Outcome:
    """Give an order by a command."""
    return run_socketd(*words, str(server.file))


def test_reload_waits_for_its_outcome(serve: Serve) -> None:
    """A file that is right is in force when the command ends with 0."""
    server = serve(CAT + TWO)
    server.rewrite(server.file.read_text().replace("max = 4", "max = 6"))
    outcome = told(server, "reload")

    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "reloaded\n", "")
    assert listening(server).workers.max == 6


def test_broken_file_is_an_error_for_who_has_asked(serve: Serve) -> None:
    """Every mistake is a line on the terminal of who reloads, and the code is 78."""
    server = serve(CAT, is_quiet=False)
    server.rewrite(server.file.read_text() + "nothing = 1\nnowhere = 2\n")
    outcome = told(server, "reload")

    assert (outcome.status, outcome.stdout) == (78, "")
    first, second = outcome.stderr.splitlines()
    assert first.startswith(f"socketd: {server.file}: service.s.nothing: unknown key")
    assert second.startswith(f"socketd: {server.file}: service.s.nowhere: unknown key")


def test_file_that_is_no_toml_is_an_error_for_who_has_asked(serve: Serve) -> None:
    """Its server is found by what stands before the first table, or else the file is to blame."""
    server = serve(CAT, is_quiet=False)
    server.rewrite(server.file.read_text() + "nothing =\n")
    by_file = told(server, "reload")
    server.rewrite("no TOML")
    unknown = told(server, "reload")
    by_path = run_socketd("reload", "--control", path_of(server))

    assert (by_file.status, by_path.status) == (78, 78)
    assert by_file.stderr.startswith(f"socketd: {server.file}: is not TOML: ")
    assert by_path.stderr.startswith(f"socketd: {server.file}: is not TOML: ")
    assert unknown.status == 15
    assert f"{server.file}: is not TOML: " in unknown.stderr
    assert unknown.stderr.endswith("give the path of the control socket with --control\n")


def test_replacement_is_answered_by_the_new_version(serve: Serve) -> None:
    """The command waits until the next version serves; its answer comes on the same connection."""
    server = serve(CAT)
    former = state(server).server
    assert told(server, "reexec").stdout == "replaced\n"
    now = state(server).server

    assert (now.pid, now.reexecs.done, now.started_at) == (former.pid, 1, former.started_at)
    assert now.executed_at > former.executed_at


def test_client_lives_through_a_replacement(serve: Serve) -> None:
    """Who is connected and has been told everything may go on asking on the same connection."""
    server = serve(CAT)
    with connected(path_of(server)) as asking, asking.makefile("rb") as answers:
        for count in (0, 1):
            asking.sendall(b'{"get":"state"}\n')
            found = msgspec.json.decode(answers.readline(), type=State).server
            assert found.reexecs.done == count
            assert told(server, "reexec").status == 0
            # Who has asked before does not count as one who says nothing.
            assert select.select([asking], [], [], 0.4)[0] == []


def test_replacement_that_fails_says_why(serve: Serve) -> None:
    """A version that would not start replaces nothing: the code is 71, with its complaint."""
    server = serve(CAT, is_quiet=False)
    server.rewrite("wrong = 1\n")
    outcome = run_socketd("reexec", "--control", path_of(server))

    assert outcome.status == 71
    assert "the new version would not start" in outcome.stderr
    assert (state(server).server.reexecs.failed, exchange(server.place("s"), b"x")) == (1, b"x")


def test_stop_waits_for_the_last_connection(serve: Serve) -> None:
    """The command ends when the server does, which serves its last client first."""
    server = serve(CAT)
    with connect(server.place("s")) as client:
        when(server, lambda one: one.workers.busy == 1)
        outcomes: list[Outcome] = []
        stopping = threading.Thread(target=lambda: outcomes.append(told(server, "stop")))
        stopping.start()
        wait_for(lambda: state(server).server.state == "stopping", "it is stopping")
        client.sendall(b"last")
        assert client.recv(4) == b"last"
        with asked(server) as asking, pytest.raises(RefusedError, match="the server is stopping"):
            asking.order("reload")
        assert outcomes == []
    stopping.join()

    assert (outcomes[0].status, outcomes[0].stdout) == (0, "stopped\n")
    assert server.server.wait() == 0


def test_drained_service_serves_again_when_it_is_resumed(serve: Serve) -> None:
    """While it is drained, who is served is finished, and who comes waits; a re-exec keeps that."""
    server = serve(CAT + TWO)
    place = server.place("s")
    with connect(place) as served, contextlib.ExitStack() as stack:
        when(server, lambda one: one.workers.busy == 1)
        assert told(server, "drain", "s").status == 0
        when(server, lambda one: one.board.strip("W.") == "")
        assert listening(server).state == "drained"
        later = stack.enter_context(connect(place))
        later.sendall(b"later")
        when(server, lambda one: one.queue is not None and one.queue.length == 1)
        served.sendall(b"now")
        assert served.recv(3) == b"now"

        assert told(server, "reexec").status == 0
        one = listening(server)
        assert (one.state, one.queue and one.queue.length) == ("drained", 1)
        assert told(server, "resume", "s").status == 0
        assert later.recv(5) == b"later"
    one = when(server, lambda one: one.workers.idle == 2)
    assert (one.state, one.workers.is_set) == ("running", False)


def test_sizes_hold_until_the_next_reload(serve: Serve) -> None:
    """Other sizes are in force at once, through a re-exec, and not after a reload."""
    server = serve(CAT + TWO)
    assert told(server, "size", "s", "--min", "3", "--max", "9").status == 0
    one = when(server, lambda one: one.workers.idle == 3)
    assert (one.workers.min, one.workers.max, one.workers.is_set) == (3, 9, True)
    told(server, "reexec")
    one = when(server, lambda one: one.workers.idle == 3)
    assert one.workers.max == 9
    told(server, "reload")
    one = when(server, lambda one: one.workers.idle == 2)
    assert (one.workers.max, one.workers.is_set) == (4, False)
    for wrong in (["--min", "5"], ["--max", "40000"], ["--min", "0"], []):
        assert told(server, "size", "s", *wrong).status == 15


def test_retired_workers_are_replaced(serve: Serve) -> None:
    """Who waits leaves, and others take the place; only one does if it is named."""
    server = serve(CAT + TWO)

    def pids() -> dict[int | None, str]:
        with asked(server) as asking:
            return {one.pid: one.state for one in asking.workers("s")}

    former = pids()
    assert told(server, "retire", "s").stdout == "2 workers of s asked to leave\n"
    wait_for(lambda: not former.keys() & pids().keys() and len(pids()) == 2, "both are replaced")
    chosen, kept = pids()
    assert chosen is not None
    assert told(server, "retire", "s", "--pid", str(chosen)).status == 0
    wait_for(lambda: chosen not in pids() and len(pids()) == 2, "it is replaced")
    assert kept in pids()
    assert told(server, "retire", "s", "--pid", "1").status == 15
    assert listening(server).failures.count == 0


def test_template_is_renewed(serve: Serve) -> None:
    """There is another process to copy from, and the pool goes on."""
    server = serve(CAT + TWO)
    former = listening(server).template
    assert told(server, "renew", "s").status == 0
    one = when(server, lambda one: one.template.begun == 2)

    assert one.template.pid not in (None, former.pid)
    assert exchange(server.place("s"), b"x") == b"x"


def test_one_connection_is_ended(serve: Serve) -> None:
    """The client of that worker sees the end, another does not; it counts as asked for."""
    server = serve(CAT + TWO)
    with connect(server.place("s")) as first, connect(server.place("s")) as second:
        when(server, lambda one: one.workers.busy == 2)
        name = "{}:{}".format(*first.getsockname()[:2])
        with asked(server) as asking:
            (pid,) = [one.pid for one in asking.workers("s") if one.peer == name]
        assert told(server, "end", str(pid)).status == 0
        assert first.recv(1) == b""
        second.sendall(b"x")
        assert second.recv(1) == b"x"
        one = when(server, lambda one: one.connections.closed["limit"] == 1)
        assert one.connections.ended["asked"] == 1
    assert told(server, "end", "1").status == 15
    (line,) = server.wait_events("ordered", 1)
    assert line["order"] == "end"


def test_log_level_is_set(serve: Serve) -> None:
    """From then on lines of that level are written, and then not any more."""
    server = serve(CAT)
    assert told(server, "log-level", "debug").status == 0
    exchange(server.place("s"))
    told(server, "renew", "s")
    server.wait_events("template_started", 1)
    assert state(server).server.log_level == "debug"
    assert told(server, "log-level", "warning").status == 0
    lines = len(server.server.lines)
    exchange(server.place("s"))
    when(server, lambda one: sum(one.connections.closed.values()) == 2)
    assert len(server.server.lines) == lines
    assert told(server, "reexec").status == 0
    assert (
        state(server).server.log_level == "warning"
    )  # which the next version was not started with
    told(server, "log-level", "info")


def test_order_about_nobody_is_refused(serve: Serve) -> None:
    """An unknown service, an unknown order and a service on its way out are refused in a line."""
    server = serve(CAT)
    for words in (["drain", "t"], ["resume", "t"], ["renew", "t"], ["size", "t", "--min", "1"]):
        outcome = told(server, *words)
        assert (outcome.status, outcome.stdout) == (15, "")
        assert outcome.stderr == "socketd: there is no service 't'; there are: s\n"
    with (
        asked(server) as asking,
        pytest.raises(OlderError, match="does not know the order 'dance'"),
    ):
        asking.order("dance")


def test_signals_do_where_there_is_no_socket(serve: Serve, tmp_path: Path) -> None:
    """With a pid file of a server without a control socket, the commands send the old signals."""
    server = serve(CAT)
    server.reload(server.file.read_text().replace(f'"{path_of(server)}"', '"off"'))
    wait_for(lambda: not os.path.exists(path_of(server)), "the socket is gone")
    pid_file = tmp_path / "pid"
    pid_file.write_text(str(server.pid))
    before = len(server.wait_events("reloaded", 1))
    outcome = run_socketd("reload", "--pidfile", str(pid_file))
    assert outcome.status == 0
    assert "sent SIGHUP" in outcome.stderr
    server.wait_events("reloaded", before + 1)
    assert run_socketd("stop", "--pidfile", str(pid_file)).status == 0
    assert server.server.wait() == 0
    assert run_socketd("drain", "s", "--pidfile", str(pid_file)).status == 15


def test_pid_file_that_is_left_over_costs_nobody_his_life(tmp_path: Path) -> None:
    """Its number is another process's by now."""
    pid_file = tmp_path / "pid"
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        try:
            pid_file.write_text(str(stranger.pid))
            outcome = run_socketd("stop", "--pidfile", str(pid_file))
            assert outcome.status == 15
            assert outcome.stderr == (
                f"socketd: process {stranger.pid} is no server of socketd: the pid file "
                f"{str(pid_file)!r} is left over; remove it\n"
            )
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["log-level", "loud"], "'loud' is not one of"),
        (["end", "x"], "'x' is not a whole number"),
        (["end", "0"], "0 is not in the range"),
        (["drain"], "Missing argument 'SERVICE'"),
        (["drain", ""], "the value is empty"),
        (["size", "s"], "give --min, --max or both"),
        (["size", "s", "--min", "many"], "'many' is not a whole number"),
        (["retire", "s", "--pid", "-1"], "'-1' is not a whole number"),
    ],
)
def test_nonsense_is_told_in_a_line(words: list[str], said: str) -> None:
    """A value that makes no sense ends with 15, and nobody is asked."""
    outcome = run_socketd(*words)

    assert outcome.status == 15
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_older_server_gets_the_signal_or_is_named(tmp_path: Path) -> None:
    """What is no order to an older server is a signal to it, or an error that says why."""
    with (
        controlled(tmp_path / "control") as control,
        subprocess.Popen(["sleep", "infinity"]) as older,
    ):
        control.document["server"]["pid"] = older.pid
        control.orders = b"'do' cannot be 'stop'"
        outcome = run_socketd("stop", "--control", str(control.path))
        assert (outcome.status, outcome.stderr, older.wait()) == (0, "", -signal.SIGTERM)

        outcome = run_socketd("drain", "s", "--control", str(control.path))
        assert outcome.status == 71
        assert outcome.stderr == (
            f"socketd: the server at '{control.path}' is older than this command and does not know "
            "the order 'drain'; replace it by a newer version\n"
        )


def test_order_that_was_not_heard_is_an_error(tmp_path: Path) -> None:
    """An older server tells its state to who was kept from giving an order: nothing was done."""
    with controlled(tmp_path / "control") as control:
        outcome = run_socketd("reload", "--control", str(control.path))

    assert outcome.status == 71
    assert "did not hear the order; try again" in outcome.stderr


def test_stop_says_at_a_terminal_how_many_are_left(serve: Serve) -> None:
    """Who waits for a stop sees for whom, in a line that is gone at the end."""
    server = serve(CAT)
    with connect(server.place("s")) as client:
        when(server, lambda one: one.workers.busy == 1)
        with ScreenedCommand(SOCKETD, "stop", str(server.file)) as screen:
            screen.wait_for("stopping: 1 connection left")
            client.close()
            assert screen.wait_end() == 0
            assert [line for line in screen.lines if line] == ["stopped"]
