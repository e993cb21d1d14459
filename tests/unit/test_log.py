"""The log: a closed list of events, the classic messages, and a writer that never waits."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from socketd.operations import log
from socketd.operations.log import EVENTS, LogFormat, LogLevel
from socketd.programs.peer import Peer

Lines = Callable[[], list[str]]

_TCP = {"service": "s", "listener": "tcp:[::]:7392", "pid": 7, "id": "1"}
LINK_LOCAL = Peer(socket.AF_INET6, bytes.fromhex("fe80") + bytes(11) + b"\1\0\2", 5000)
CLIENT = Peer(socket.AF_INET, bytes((127, 0, 0, 1)), 5000)
_UNIX = {"service": "s", "listener": "unix:./u.sock", "pid": 7, "id": "1"}
_READY = {
    "service": "s",
    "listener": "tcp:[::]:7392",
    "address": "::",
    "workers": 4,
    "ready": "fork",
}
_CLOSED = {
    "service": "s", "pid": 7, "peer": CLIENT, "id": "1", "status": 0, "duration_s": 0.1,
    "cpu_s": 0.01, "max_rss_kib": 900, "memory_peak_kib": None, "limit": None, "trace": None,
}  # fmt: skip
_BACKING_OFF = {"service": "s", "delay_s": 0.1, "step": 1, "reason": "no more processes"}

# What the child prints: line after line as told on its stdin, each answered on its stdout.
_CHILD = """
import sys
from socketd.operations import log
log.configure(log.LogFormat(sys.argv[1]), log.LogLevel.DEBUG, "socket")
for word in sys.stdin:
    for number in range(int(word)):
        log.emit("worker_started", service="x" * 40, worker=1, pid=number)
    print("done", flush=True)
"""


@pytest.fixture
def configured(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Lines]]:
    """Configure the log; what that returns gives the lines so far."""

    def configure(log_format: LogFormat, level: LogLevel = LogLevel.INFO) -> Lines:
        log.configure(log_format, level, "socket")
        return lambda: capfd.readouterr().err.splitlines()

    yield configure
    log.configure(LogFormat.CONSOLE, LogLevel.ERROR, "socket")


def keys_of(event: str) -> dict[str, object]:
    """Return some value for every key of an event."""
    keys = EVENTS[event].keys
    return {**dict.fromkeys(keys, "x:y"), **({"peer": CLIENT} if "peer" in keys else {})}


def test_list_of_events_is_closed() -> None:
    """These are all the events there are, each with its level and exactly its keys."""
    found = {
        event: (kind.level.value, " ".join(sorted(kind.keys))) for event, kind in EVENTS.items()
    }

    assert found == {
        "service_ready": ("info", "address listener port port_name ready service workers"),
        "template_started": ("debug", "canary descriptors pid ready service"),
            "warm_up_answered": ("info", "answer_bytes service status"),
        "template_fell_back": ("warning", "ready reason service wanted"),
        "ready_chosen": ("info", "ready reason service"),
        "template_failed": ("warning", "delay_s reason service step"),
        "native_worker_missing": ("info", "reason"),
        "worker_started": ("debug", "pid service worker"),
        "connection_accepted": ("info", "id listener peer pid service"),
        "connection_closed": (
            "info",
            "cpu_s duration_s id limit max_rss_kib memory_peak_kib peer pid service status trace",
        ),
        "connection_refused": ("info", "peer reason service"),
    "connections_refused": ("info", "count reason service"),
    "client_sensed": ("info", "duration_s peer service"),
    "rules_in_force": ("info", "allow deny service"),
    "rules_unusable": ("error", "reason service"),
        "client_gone": ("info", "pid service"),
        "leftover_ended": ("info", "name pid signal"),
        "connection_unseen": ("warning", "pid service"),
        "pool_resized": ("info", "busy idle service target"),
        "favourite_started": ("info", "canary pid program service"),
        "favourite_dropped": ("info", "program reason service"),
        "favourite_refused": ("info", "program reason service"),
        "request_refused": ("info", "id peer pid reason service status trace variable"),
        "variable_left_out": ("warning", "others service variable"),
        "program_killed": ("warning", "id others peer pid service signal"),
        "worker_failed": ("info", "reason service worker"),
        "worker_distrusted": ("warning", "pid reason service worker"),
        "signal_refused": ("warning", "pid service signal"),
        "command_not_run": ("warning", "service status"),
        "service_crashed": ("error", "delay_s listener reason service step traceback"),
        "restart_failed": ("warning", "delay_s listener reason service step"),
        "put_away_failed": ("error", "reason service traceback"),
        "master_fault": ("error", "attempt reason traceback"),
        "backing_off": ("warning", "delay_s reason service step"),
        "recovered": ("info", "reason service"),
        "notification_failed": ("warning", "reason"),
        "reload_unavailable": ("info", "reason"),
        "reloaded": ("info", "added changed removed services"),
        "reload_failed": ("error", "reason"),
        "listener_lost": ("warning", "listener service"),
        "ordered": ("info", "order service"),
        "control_unavailable": ("warning", "path reason"),
        "reexec_started": ("info", "command"),
        "reexec_done": ("info", "former services version"),
        "reexec_failed": ("error", "reason"),
        "log_lines_dropped": ("warning", "count"),
        "departing": ("info", "aim seconds service"),
        "stopping": ("info", "busy idle service signal"),
        "stopped": ("info", "connections service"),
    }  # fmt: skip


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_wrong_keys_are_a_bug(event: str) -> None:
    """A key too few or too many raises, even for a line that would not be printed."""
    right = keys_of(event)
    in_shortage = dict(list(right.items())[1:])

    with pytest.raises(KeyError, match=f"{event} has the keys"):
        log.emit(event, **in_shortage)
    with pytest.raises(KeyError, match=f"{event} has the keys"):
        log.emit(event, **right, extra=1)


def test_unknown_event_is_a_bug() -> None:
    """What is not in the list cannot be said."""
    with pytest.raises(KeyError):
        log.emit("worker_exploded", service="s")


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_json_is_one_object_a_line(configured: Callable[..., Lines], event: str) -> None:
    """Every event is printed with its keys, its level and the time in UTC."""
    lines = configured(LogFormat.JSON, LogLevel.DEBUG)
    keys = dict.fromkeys(keys_of(event), 'a\nb "c" é \udcff')

    log.emit(event, **keys)

    [line] = lines()
    found: dict[str, Any] = json.loads(line)
    stamp = datetime.fromisoformat(found.pop("timestamp"))
    assert stamp.utcoffset() == timedelta(0)
    assert abs(datetime.now(tz=stamp.tzinfo) - stamp) < timedelta(minutes=1)
    assert found == {**keys, "event": event, "level": EVENTS[event].level.value}


def test_json_keeps_the_types(configured: Callable[..., Lines]) -> None:
    """Numbers are numbers and None is null: programs read this."""
    lines = configured(LogFormat.JSON)

    log.emit("service_ready", **_READY, port=None, port_name=None)
    log.emit("connection_closed", **_CLOSED)

    ready, closed = map(json.loads, lines())
    assert (ready["port"], ready["workers"]) == (None, 4)
    assert (closed["duration_s"], closed["status"]) == (0.1, 0)


@pytest.mark.parametrize(
    ("event", "keys", "line"),
    [
        ("service_ready", _READY | {"port": 7392, "port_name": None},
         "inet: listening on port 7392"),
        ("service_ready", _READY | {"port": 80, "port_name": "http"},
         "inet: listening on port 80 (http)"),
        ("service_ready", _READY | {"port": 80, "port_name": "http", "ready": "load"},
         "inet: listening on port 80 (http)"),
        ("service_ready", _READY | {"port": 80, "port_name": "http", "ready": "read"},
         "inet: listening on port 80 (http), ready at read"),
        ("service_ready", _READY | {"port": None, "port_name": None, "address": "./u.sock"},
         "unix: bound to ./u.sock"),
        ("connection_accepted", _TCP | {"peer": CLIENT},
         "inet: connection from 127.0.0.1"),
        ("connection_accepted", _TCP | {"peer": LINK_LOCAL},
         "inet: connection from fe80::1:2"),
        ("connection_accepted", _UNIX | {"peer": Peer(socket.AF_UNIX, pid=7)},
         "unix: connection from ./u.sock"),
        ("connection_closed", _CLOSED, "connection closed"),
    ],
)  # fmt: skip
def test_console_speaks_as_the_classic_program(
    configured: Callable[..., Lines], event: str, keys: dict[str, object], line: str
) -> None:
    """To the letter: scripts read these lines."""
    lines = configured(LogFormat.CONSOLE)

    log.emit(event, **keys)

    assert lines() == [line]


@pytest.mark.parametrize("level", [LogLevel.INFO, LogLevel.DEBUG])
@pytest.mark.parametrize(
    "event",
    [
        event
        for event, kind in EVENTS.items()
        if kind.level in (LogLevel.INFO, LogLevel.DEBUG)
        and event not in ("service_ready", "connection_accepted", "connection_closed")
    ],
)
def test_console_hides_what_the_classic_program_never_said(
    configured: Callable[..., Lines], event: str, level: LogLevel
) -> None:
    """An event without a classic text is only for those who ask for debug."""
    lines = configured(LogFormat.CONSOLE, level)

    log.emit(event, **keys_of(event))

    assert len(lines()) == (1 if level is LogLevel.DEBUG else 0)


def test_console_prints_warnings_with_their_keys(configured: Callable[..., Lines]) -> None:
    """What somebody may have to act on is named for the program; a text of words is quoted."""
    lines = configured(LogFormat.CONSOLE, LogLevel.WARNING)

    log.emit("backing_off", **_BACKING_OFF)

    assert lines() == [
        "socket: warning: backing_off service=s delay_s=0.1 step=1 reason='no more processes'"
    ]


def test_event_is_always_one_line(configured: Callable[..., Lines]) -> None:
    """A newline in a value does not become a line that we have not said."""
    lines = configured(LogFormat.CONSOLE)

    log.emit("backing_off", **_BACKING_OFF | {"reason": "a\nsocket:warning:forged"})
    log.emit("service_ready", **_READY | {"port": None, "port_name": None, "address": "/a\nb"})

    assert len(lines()) == 2


@pytest.mark.parametrize("log_format", [LogFormat.CONSOLE, LogFormat.JSON])
@pytest.mark.parametrize("level", list(LogLevel))
def test_level_is_the_least_that_is_printed(
    configured: Callable[..., Lines], log_format: LogFormat, level: LogLevel
) -> None:
    """What is below the level is neither printed nor enabled; JSON prints all of the rest."""
    order = list(LogLevel)
    lines = configured(log_format, level)
    loud = [e for e, kind in EVENTS.items() if order.index(kind.level) >= order.index(level)]

    for event in EVENTS:
        log.emit(event, **keys_of(event))

    assert [event for event in EVENTS if log.is_enabled(event)] == loud
    if log_format is LogFormat.JSON:
        assert [json.loads(line)["event"] for line in lines()] == loud


class Talker:
    """A child that logs into a pipe as its standard error."""

    def __init__(self, log_format: LogFormat) -> None:
        self.log_format = log_format
        self.read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, 4096)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, log_format.value],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=write_fd,
            text=True,
        )
        os.close(write_fd)

    def say(self, count: int) -> None:
        """Have so many lines logged, and wait until that is over."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def read(self) -> list[str]:
        """Return the lines in the pipe."""
        return os.read(self.read_fd, 1 << 20).decode().splitlines()

    def end(self) -> int:
        """Let the child end by itself; return its status."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()
        return self.process.returncode


@pytest.fixture(params=[LogFormat.CONSOLE, LogFormat.JSON])
def talker(request: pytest.FixtureRequest) -> Iterator[Talker]:
    """Lend a child that logs."""
    talker = Talker(request.param)
    yield talker
    talker.process.kill()
    talker.end()
    os.close(talker.read_fd)


@pytest.mark.slow
def test_full_pipe_blocks_nobody_and_the_loss_is_told(talker: Talker) -> None:
    """What has no room is dropped, and the first line that gets through says how many were."""
    talker.say(1000)
    kept = len(talker.read())
    talker.say(1)

    note, line = talker.read()

    assert 0 < kept < 1000
    if talker.log_format is LogFormat.JSON:
        told = json.loads(note)
        assert (told["event"], told["level"]) == ("log_lines_dropped", "warning")
        assert told["count"] == 1000 - kept
        assert "timestamp" in told
    else:
        assert note == f"({1000 - kept} log lines dropped)"
    assert "worker_started" in line
    talker.say(1)
    assert len(talker.read()) == 1
    assert talker.end() == 0


@pytest.mark.slow
def test_vanished_reader_harms_nobody(talker: Talker) -> None:
    """A log that nobody can read any more neither ends the process nor raises."""
    talker.say(1)
    reader = os.open(os.devnull, os.O_RDONLY)
    os.dup2(reader, talker.read_fd)
    os.close(reader)

    talker.say(100)

    assert talker.end() == 0


def test_line_is_printed_though_structlog_cannot_be_imported() -> None:
    """Descriptors may have run out by then: the line matters more than who makes it."""
    program = (
        "import sys; sys.modules['structlog'] = None\n"
        "from socketd.operations import log\n"
        "log.configure(log.LogFormat.JSON, log.LogLevel.INFO, 'socket')\n"
        "log.emit('warm_up_answered', service='s', status=0, answer_bytes=1)\n"
        "log.emit('worker_started', service='s', worker=1, pid=2)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    [line] = done.stderr.splitlines()
    found = json.loads(line)
    assert (found["event"], found["service"]) == ("warm_up_answered", "s")
    assert found["level"] == "info"


def _say_one_and(code: str, tmp_path: Path) -> str:
    """Run code after a first line, where rich can be imported; return what it prints.

    Nobody measures its coverage: that imports some of the modules in question.
    """
    (tmp_path / "rich.py").write_text("print('rich was imported')\n")
    unmeasured = {name: value for name, value in os.environ.items() if "COV" not in name}
    return subprocess.run(
        [sys.executable, "-c", _CHILD + code, "json"],
        env=unmeasured | {"PYTHONPATH": str(tmp_path)},
        input="1\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout


def test_first_line_brings_nothing_that_nobody_uses(tmp_path: Path) -> None:
    """Structlog imports these, rich if `socketd top` is installed; no server pays for it."""
    code = "print([name for name in ('asyncio', 'rich', 'ssl', 'uuid') if name in sys.modules])"

    assert _say_one_and(code, tmp_path) == "done\n[]\n"


def test_what_the_first_line_has_not_brought_is_there_for_who_asks(tmp_path: Path) -> None:
    """Whoever imports it gets the module, and structlog's own coroutines find it as well."""
    code = (
        "import structlog\n"
        "print(structlog.stdlib.asyncio.get_running_loop.__module__)\n"
        "import asyncio, uuid\n"
        "print(asyncio.run(asyncio.sleep(0, 'slept')), uuid.UUID(int=1).int)"
    )

    assert _say_one_and(code, tmp_path) == "done\n_asyncio\nslept 1\n"
