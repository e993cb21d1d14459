"""What a server says of itself is true, of every key of the document."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import typing
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from control.asking import asked, closed, connected, listening, path_of, say, state, when
from control.test_document import paths_of
from harness.clients import connect, exchange
from harness.storms import Storm
from harness.supervisors import Supervisor
from harness.waiting import wait_for
from socketd.control.client import ControlError
from socketd.control.document import Listening, State

Serve = Callable[..., Supervisor]
CAT = '[service.s]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "cat"\n'
ENDS = '[service.s]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "read n; exit $n"\nready = "fork"\n'
KILLED = '[service.k]\nlisten = ["tcp:127.0.0.1:0"]\nprogram = "kill -KILL $$"\nready = "fork"\n'
ONE = "[service.s.workers]\nmin = 1\nmax = 1\n"


def counted(one: Listening) -> int:
    """Return how many connections are over or open, by result and by what workers do."""
    return sum(one.connections.closed.values()) + one.workers.busy


def test_who_says_nothing_gets_the_whole_state(serve: Serve) -> None:
    """At its end of file, and after a moment as well, a silent client gets one line: the state."""
    server = serve(CAT)
    for is_all in (True, False):
        answer = say(path_of(server), b"", is_all=is_all)
        assert answer.count(b"\n") == 1
        assert msgspec.json.decode(answer, type=State).server.pid == server.pid


def test_who_has_a_name_is_waited_for(serve: Serve) -> None:
    """Who was kept from asking for longer than the silent are given is answered what it asks."""
    server = serve(CAT)
    with asked(server) as slow:
        say(path_of(server), b"", is_all=False)  # until that is over
        assert b'"services"' not in slow.ask(get="server")


def test_document_has_the_keys_of_the_example(serve: Serve) -> None:
    """A real server writes every key that the example has, and no other."""
    found = list(paths_of(msgspec.json.decode(say(path_of(serve(CAT)), b"")), State))
    for value, kind in found:
        assert isinstance(value, dict)
        assert isinstance(kind, type)
        assert set(value) == set(typing.get_type_hints(kind)), kind


def test_requests_are_answered_one_after_another(serve: Serve) -> None:
    """A client may ask again on the same connection; a mistake is answered, and costs no more."""
    server = serve(CAT)
    lines = say(
        path_of(server),
        b'{"get":"nothing"}\nnonsense\n{"get":"state","do":"stop"}\n{"get":"state"}',
    ).splitlines()

    assert ["error" in json.loads(line) for line in lines] == [True, True, True, False]


def test_connections_are_counted_by_their_results(serve: Serve) -> None:
    """Programs that end with 0, with another status and by a signal are told apart."""
    server = serve(ENDS + KILLED)
    for answer in (b"0\n", b"0\n", b"3\n"):
        exchange(server.place("s"), answer)
    with contextlib.suppress(OSError):
        exchange(server.place("k"))

    one = when(server, closed(3))
    other = when(server, closed(1), "k")
    assert {k: n for k, n in one.connections.closed.items() if n} == {"ok": 2, "failed": 1}
    assert {k: n for k, n in other.connections.closed.items() if n} == {"signal": 1}
    assert one.connections.duration_seconds.counts[-1] == 3
    assert one.connections.duration_seconds.sum > 0
    assert one.connections.max_rss_bytes.counts[0] < 3
    assert one.connections.cpu_seconds > 0


def test_a_limit_is_told_that_has_ended_a_connection(serve: Serve) -> None:
    """What the time limit ends counts as such, and not as ended by a signal."""
    server = serve(CAT + '[service.s.timeouts]\nconnection = "50ms"\n')
    with connect(server.place("s")) as client:
        assert client.recv(1) == b""

    one = when(server, closed(1))
    assert (one.connections.closed["limit"], one.connections.ended["time"]) == (1, 1)


def test_everything_is_answered_when_all_are_busy_and_some_wait(serve: Serve) -> None:
    """With its one worker busy and three in the queue a server says so: it needs no worker."""
    server = serve(CAT.replace('"]\n', f'", "unix:{unix_of(serve)}"]\n', 1) + ONE)
    for position in (0, 1):
        kind, _, place = listening(server, "s", position).address.partition(":")
        host, _, port = place.rpartition(":")
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                client = stack.enter_context(connect((host, int(port)) if kind == "tcp" else place))
            one = when(server, three_wait, "s", position)
            assert one.workers.busy == 1
            assert one.board == "W"
            assert (one.max_reached, one.nobody_idle) >= (1, 1)
            assert one.queue is not None
            assert one.queue.limit >= 3
            del client


def three_wait(one: Listening) -> bool:
    """Tell whether one worker is busy and three clients wait."""
    return one.workers.busy == 1 and one.queue is not None and one.queue.length == 3


def unix_of(serve: Serve) -> str:
    """Return a path for a listener, short enough for one."""
    return f"/tmp/socketd-control-{os.getpid()}-{id(serve)}.sock"


def test_counters_go_on_through_reloads_and_replacements(serve: Serve) -> None:
    """No counter ever goes back, and at the end they are what the clients have counted."""
    server = serve(CAT + "[service.s.workers]\nmin = 2\nmax = 8\n")
    place = server.place("s")
    assert isinstance(place, tuple)
    storm = Storm(place, 4, 600)
    former = listening(server).connections.accepted
    for turn in range(4):
        if turn == 2:
            assert server.replace()["event"] == "reexec_done"
        else:
            server.reload()
        one = listening(server)
        assert one.connections.accepted >= former
        assert counted(one) == one.connections.accepted
        former = one.connections.accepted
    answered, errors = storm.result()

    assert errors == []
    last = when(server, closed(answered))
    assert last.connections.closed["ok"] == last.connections.accepted == answered
    found = state(server).server
    assert (found.reloads.done >= 3, found.reexecs.done) == (True, 1)
    assert found.executed_at > found.started_at


def test_last_reload_is_told_with_its_mistakes(serve: Serve) -> None:
    """After a reload that failed the state has a text for each mistake, as the log has."""
    server = serve(CAT, is_quiet=False)
    text = server.file.read_text()
    assert server.reload(text + "nothing = 1\nnowhere = 2\n")["event"] == "reload_failed"

    last = state(server).server.reloads
    assert (last.done, last.failed) == (0, 1)
    assert last.last is not None
    assert [one.partition(": unknown")[0].rpartition(".")[2] for one in last.last.errors] == [
        "nothing",
        "nowhere",
    ]


def test_refused_clients_are_counted_by_reason(serve: Serve) -> None:
    """Who is sent away by a rule is no connection, and has a counter."""
    server = serve(CAT + 'deny = ["127.0.0.1"]\n')
    for _ in range(3):
        with contextlib.suppress(OSError):
            exchange(server.place("s"))

    one = when(server, lambda one: one.refused["denied"] == 3)
    assert one.connections.accepted == 0
    server.replace()
    assert listening(server).refused["denied"] == 3


def test_workers_are_listed_with_their_clients(serve: Serve) -> None:
    """A list of workers says who is busy for whom, and what that has cost so far."""
    server = serve(CAT + "[service.s.workers]\nmin = 2\nmax = 4\n")
    with connect(server.place("s")) as client:
        when(server, lambda one: one.workers.busy == 1)
        with asked(server) as connection:
            workers = list(connection.workers("s"))
        (busy,) = [one for one in workers if one.state == "busy"]
        assert busy.peer == "{}:{}".format(*client.getsockname()[:2])
        assert busy.pid is not None
        assert os.readlink(f"/proc/{busy.pid}/exe").endswith("/cat")
        assert busy.connection_seconds is not None
        assert (busy.rss_bytes or 0) > 0
        assert all(one.peer is None for one in workers if one is not busy)
    with asked(server) as connection, pytest.raises(ControlError, match="there are: s"):
        list(connection.workers("t"))


def test_fall_back_is_told_with_its_reason(serve: Serve) -> None:
    """A program that cannot be held at the wanted level has the level that it got, and why."""
    server = serve(
        CAT.replace('"cat"\n', '"cat"\nready = "stop"\nhold_timeout = "100ms"\n'), is_quiet=False
    )
    one = listening(server)

    assert (one.level.wanted, one.level.had) == ("stop", "load")
    assert one.level.reason
    assert one.template.pid is not None
    assert one.template.begun == 1


def test_failing_workers_are_told_with_the_pause(serve: Serve, tmp_path: Path) -> None:
    """A program that is gone makes workers fail: how many, why, and until when none is started."""
    program = tmp_path / "p"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    server = serve(CAT.replace('"cat"', f'["{program}"]\nready = "fork"'), is_quiet=False)
    program.unlink()
    place = server.place("s")
    exchange(place)

    # The first pause is short: each further failure makes it longer.
    one = when(server, lambda one: one.back_off is not None or exchange(place))
    assert one.back_off is not None
    assert "exec" in one.back_off.reason
    assert one.failures.count >= 1
    assert one.failures.reason == one.back_off.reason


def test_stopping_is_told(serve: Serve) -> None:
    """While the last connections of a server are served, it says that it is stopping."""
    server = serve(CAT)
    with connect(server.place("s")):
        when(server, lambda one: one.workers.busy == 1)
        server.server.signal(signal.SIGTERM)
        wait_for(lambda: state(server).server.state == "stopping", "it says so")
        assert listening(server).state == "stopping"
    server.server.wait()
    assert not os.path.exists(path_of(server))


def test_netcat_is_enough(serve: Serve) -> None:
    """`nc -U` without any input gets the state."""
    server = serve(CAT)
    try:
        answer = subprocess.run(
            ["nc", "-U", path_of(server)], stdin=subprocess.DEVNULL, capture_output=True, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("nc is not installed")
    assert msgspec.json.decode(answer, type=State).server.pid == server.pid


def test_connection_that_hangs_up_while_it_is_answered_costs_nothing(serve: Serve) -> None:
    """A client that is gone before its answer is no error of the server."""
    server = serve(CAT)
    for _ in range(20):
        with connected(path_of(server)) as connection:
            connection.sendall(b'{"get":"state"}\n' * 4)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert state(server).server.faults == 0


def test_many_services_are_told_in_steps(serve: Serve) -> None:
    """A state that takes many steps is whole, for two who ask at once, also before a re-exec."""
    texts = [
        CAT.replace(".s]", f".s{n}]").replace('"cat"', '"cat"\nready = "fork"') for n in range(60)
    ]
    server = serve("".join(texts))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(path_of(server))) for _ in range(4)]
        for client in clients:
            client.sendall(b'{"get":"state"}\n')
        server.replace()
        for client in clients:
            with client.makefile("rb") as answer:
                found = msgspec.json.decode(answer.readline(), type=State)
            assert [one.name for one in found.services] == [f"s{n}" for n in range(60)]
    assert state(server).server.faults == 0


def test_removed_service_is_told_as_finished_until_it_is_forgotten(serve: Serve) -> None:
    """Of a service whose last worker is gone nothing is asked any more, and nothing breaks."""
    server = serve(CAT + CAT.replace(".s]", ".t]"))
    text = server.file.read_text()
    server.reload(text.partition("[service.t]")[0])
    when(server, lambda one: one.state == "finished", "t")
    found = state(server)
    assert found.server.faults == 0
    with asked(server) as connection, pytest.raises(ControlError, match="there are: s"):
        list(connection.workers("t"))
    server.reload()
    assert [one.name for one in state(server).services] == ["s"]
