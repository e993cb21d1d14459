"""Ends before the time: aborts, web servers that go away, and signals."""

import os
import resource
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from harness.fastcgi import Record, Status, Type, begin, encode, request, stream
from harness.waiting import CAP_SECONDS

from .conftest import Script, Start
from .wrappers import HEAD, end_of

ABORT = Record(Type.ABORT_REQUEST, 1)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_an_abort_before_the_program_has_started(start: Start, script: Script, length: int) -> None:
    """The request ends at once, nothing is run, and the connection serves the next one."""
    wrapper = start(script(f"echo run >> $0.log; {HEAD}; cat"))
    records = [begin(keep=True), *stream(Type.PARAMS, 1, b"\1\1Ab", 2)]
    wrapper.peer.connection.sendall(encode([*records[:length], ABORT]))

    assert end_of(wrapper.peer.read_record()) == (0, Status.REQUEST_COMPLETE)
    assert wrapper.ask(None, b"next").body == b"next"


def test_an_abort_ends_all_processes_of_the_program(start: Start, script: Script) -> None:
    """Its group gets SIGTERM, the request ends once they are gone, the connection lives."""
    wrapper = start(script(f"{HEAD}; sleep 1000 & sleep 1000 & wait"))
    wrapper.peer.send(request(keep=True))
    wrapper.wait_programs(3)
    wrapper.peer.send([ABORT])
    answer = wrapper.peer.read_answer()

    assert (answer.app_status, answer.protocol_status) == (128 + 15, Status.REQUEST_COMPLETE)
    assert wrapper.programs() == []
    wrapper.peer.send(request(keep=True))
    wrapper.wait_programs(3)


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_a_kept_connection_ends_when_the_server_is_to_stop(
    start: Start, script: Script, family: str
) -> None:
    """Between two requests at once, otherwise with the answer to the one that is under way."""
    program = script(f"{HEAD}; exec cat")
    waiting = start(program, family=family)
    assert waiting.ask(None, b"first").body == b"first"
    waiting.process.send_signal(signal.SIGWINCH)
    assert waiting.peer.is_at_end()
    assert waiting.wait() == 0

    working = start(program, family=family)
    records = request(None, b"body", keep=True)
    working.send_and_see_read(encode(records[:-1]))
    working.wait_programs(1)
    working.process.send_signal(signal.SIGWINCH)
    working.peer.send(records[-1:])
    assert working.peer.read_answer().body == b"body"
    assert working.peer.is_at_end()
    assert working.wait() == 0


def test_what_has_been_sent_before_the_server_is_to_stop_is_answered(
    start: Start, script: Script
) -> None:
    """A request that waits in the connection is no further one."""
    wrapper = start(script(f"{HEAD}; cat"))
    assert wrapper.ask(None, b"first").body == b"first"
    os.kill(wrapper.pid, signal.SIGSTOP)
    wrapper.peer.send(request(None, b"waits", keep=True))
    os.kill(wrapper.pid, signal.SIGWINCH)
    os.kill(wrapper.pid, signal.SIGCONT)

    assert wrapper.peer.read_answer().body == b"waits"
    assert wrapper.peer.is_at_end()


def test_an_abort_gives_time_to_clean_up(start: Start, script: Script, tmp_path: Path) -> None:
    """A program may catch the signal and end in its own way."""
    wrapper = start(
        script(f"trap 'echo clean > {tmp_path}/left; exit 7' TERM; {HEAD}; sleep 1000 & wait")
    )
    wrapper.peer.send(request())
    wrapper.wait_programs(2)
    wrapper.peer.send([ABORT])

    assert wrapper.peer.read_answer().app_status == 7
    assert (tmp_path / "left").read_text() == "clean\n"


@pytest.mark.slow
def test_who_does_not_heed_an_abort_is_killed(start: Start, script: Script) -> None:
    """After a few seconds the group gets SIGKILL, also what its program has left behind."""
    wrapper = start(script(f"(trap '' TERM; {HEAD}; while :; do sleep 1; done) & wait"))
    wrapper.peer.send(request())
    assert wrapper.peer.read_record() is not None
    wrapper.peer.send([ABORT])

    assert wrapper.peer.read_answer().app_status == 128 + 15
    wrapper.wait_no_programs()


@pytest.mark.slow
def test_who_has_gone_is_not_looked_at_until_a_program_has_ended(
    start: Start, script: Script, family: str
) -> None:
    """Nothing is done in the seconds that a program holds out against its end."""
    wrapper = start(script(f"trap '' TERM; {HEAD}; while :; do sleep 1; done"), family=family)
    wrapper.peer.send(request())
    assert wrapper.peer.read_record() is not None
    wrapper.peer.connection.close()
    _, status, used = os.wait4(wrapper.pid, 0)
    wrapper.process.returncode = os.waitstatus_to_exitcode(status)

    assert wrapper.wait() == 0
    assert used.ru_utime + used.ru_stime < 0.5


@pytest.mark.parametrize("when", ["idle", "params", "body", "running", "writing", "dropped"])
def test_a_web_server_that_goes_away_takes_all_with_it(
    start: Start, script: Script, family: str, when: str
) -> None:
    """Whatever it was about, the program's group is ended and we leave."""
    texts = {"writing": f"{HEAD}; yes", "body": f"{HEAD}; cat > /dev/null"}
    wrapper = start(script(texts.get(when, f"{HEAD}; exec sleep 1000")), family=family)
    records = request({"A": "b"}, b"body", keep=True)
    count = {"idle": 0, "params": 2, "body": 4}.get(when, len(records))
    wrapper.send_and_see_read(encode(records[:count]))
    if when == "body":  # whose answer waits for the rest
        wrapper.wait_programs(2)
    elif count > 2:
        assert wrapper.peer.read_record() is not None
    if when == "dropped":  # with a reset, over TCP
        linger = struct.pack("ii", 1, 0)
        wrapper.peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    wrapper.peer.close()

    assert wrapper.wait() == 0
    wrapper.wait_no_programs()


def test_a_web_server_that_goes_away_behind_a_body_that_stands_still(
    start: Start, script: Script, family: str
) -> None:
    """That it is gone is seen though nothing more of what it has sent can be read."""
    wrapper = start(script("exec sleep 1000"), family=family)
    piece = Record(Type.STDIN, 1, bytes(60_000))
    wrapper.peer.send([*request()[:3], piece])
    wrapper.wait_programs(1)
    # One more for our buffer, and one for the kernel's. With a full window, the end of a TCP
    # connection would wait behind what does not fit.
    wrapper.peer.send([piece, piece])
    wrapper.peer.close()

    assert wrapper.wait() == 0


@pytest.mark.parametrize("when", ["body", "running", "writing", "dropped", "aborted"])
def test_a_program_may_finish_though_the_web_server_has_gone(
    start: Start, script: Script, tmp_path: Path, family: str, when: str
) -> None:
    """Asked so, nothing is ended: it has what has come of its body, its answer is dropped."""
    go, left = tmp_path / "go", tmp_path / "left"
    os.mkfifo(go)
    more = "head -c 1000000 /dev/zero; " if when == "writing" else ""
    program = script(f"{HEAD}; read _ < {go}; {more}cat > {left}.part; mv {left}.part {left}")
    wrapper = start("--client-gone", "finish", program, family=family)
    records = request(None, b"body", keep=True)
    wrapper.send_and_see_read(encode(records[: -1 if when == "body" else len(records)]))
    if when == "dropped":
        linger = struct.pack("ii", 1, 0)
        wrapper.peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    if when == "aborted":
        wrapper.peer.send([ABORT])
    wrapper.peer.close()
    go.write_text("\n")

    assert wrapper.wait() == 0
    assert left.read_text() == "body"


def test_who_stops_us_ends_a_program_that_may_finish(start: Start, script: Script) -> None:
    """A signal is no client that has gone."""
    wrapper = start("--client-gone", "finish", script("exec sleep 1000"))
    wrapper.peer.send(request())
    wrapper.wait_programs(1)
    os.kill(wrapper.pid, signal.SIGTERM)

    assert wrapper.wait() == -signal.SIGTERM
    wrapper.wait_no_programs()


@pytest.mark.parametrize("is_kept", [False, True])
def test_who_closes_all_ends_the_answer_and_works_on(
    start: Start, script: Script, tmp_path: Path, family: str, is_kept: bool
) -> None:
    """The web server has its answer at once, and its leaving does not end the work."""
    go, left = tmp_path / "go", tmp_path / "left"
    os.mkfifo(go)
    closing = f"exec < /dev/null > /dev/null 2>&1; read _ < {go}; : > {left}"
    wrapper = start(script(f"{HEAD}; echo fine; {closing}"), family=family)

    assert wrapper.ask(None, b"body", keep=is_kept).body == b"fine\n"
    wrapper.peer.close()
    go.write_text("\n")
    assert wrapper.wait() == 0
    assert left.exists()


def test_a_unix_peer_may_end_its_sending_and_read_on(start: Start, script: Script) -> None:
    """There, a half-closed connection is no departure: the last request is carried out."""
    wrapper = start(script(f"{HEAD}; cat"))
    wrapper.peer.send(request(None, b"body", keep=True))
    wrapper.peer.connection.shutdown(socket.SHUT_WR)

    assert wrapper.peer.read_answer().body == b"body"
    assert wrapper.peer.is_at_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("is_busy", [False, True])
def test_a_signal_ends_program_and_connection(
    start: Start, script: Script, number: signal.Signals, is_busy: bool
) -> None:
    """The group of the program is ended too, and we end by the signal ourselves."""
    wrapper = start(script(f'{HEAD}; test -n "$IS_BUSY" && sleep 1000'))
    wrapper.ask()
    if is_busy:
        wrapper.peer.send(request({"IS_BUSY": "yes"}, keep=True))
        wrapper.wait_programs(2)
    os.kill(wrapper.pid, number)

    assert wrapper.wait() == -number
    wrapper.wait_no_programs()


def test_a_program_does_not_outlive_us(start: Start, script: Script) -> None:
    """Where we are killed outright, the kernel ends the program."""
    wrapper = start(script("exec sleep 1000"))
    wrapper.peer.send(request())
    wrapper.wait_programs(1)
    wrapper.process.kill()
    wrapper.wait()

    wrapper.wait_no_programs()


def test_two_pipes_are_a_connection(fcgi2cgi: Path) -> None:
    """Input that ends with a whole request is no departure; output nobody reads is one."""
    done = subprocess.run(
        [fcgi2cgi, "sh", "-c", f"{HEAD}; head -c 300000 /dev/zero; cat"],
        input=encode(request(None, b"body", keep=True)),
        capture_output=True,
        timeout=CAP_SECONDS,
        check=False,
    )
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as output:
        left = subprocess.run(
            [fcgi2cgi, "yes"], input=encode(request()), stdout=output, check=False
        )

    assert b"body" in done.stdout
    assert len(done.stdout) > 300_000
    assert (done.returncode, done.stderr) == (0, b"")
    assert left.returncode == 0


def test_a_system_that_lets_nobody_wait_ends_us(start: Start) -> None:
    """Where nothing can be waited for we leave with 111 rather than turn for ever."""
    wrapper = start("true")
    wrapper.ask()
    resource.prlimit(wrapper.pid, resource.RLIMIT_NOFILE, (3, 3))
    wrapper.peer.send([begin()])

    assert wrapper.wait() == 111
    assert wrapper.process.stderr is not None
    assert wrapper.process.stderr.read() == (
        b"fcgi2cgi: cannot wait for the connection: Invalid argument\n"
    )
