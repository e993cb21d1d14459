"""Where lines go beside standard error: files that are rotated, and the journal."""

import fcntl
import os
import re
import shutil
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from socketd.errors import SystemFailureError
from socketd.operations import log
from socketd.operations.log import EVENTS, LogFormat, LogLevel
from socketd.operations.log_targets import (
    FileTarget,
    JournalTarget,
    Outlet,
    StderrTarget,
    encode_fields,
    is_journal,
)

_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z socket: (\w+): (\w+)(.*)")
_CLOSED = {
    "service": "s", "pid": 7, "peer": "127.0.0.1:5000", "id": "1", "status": 0, "duration_s": 0.1,
    "cpu_s": 0.01, "max_rss_kib": 900, "memory_peak_kib": None, "limit": None, "trace": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet_afterwards() -> Iterator[None]:
    yield
    log.configure(LogFormat.CONSOLE, LogLevel.ERROR, "socket")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a log file."""
    return tmp_path / "log"


@pytest.fixture
def target(file: Path) -> Iterator[FileTarget]:
    """Lend the file as a target."""
    target = FileTarget(str(file))
    yield target
    target.close()


def _raise_late(_number: int, _frame: object) -> NoReturn:
    raise AssertionError("it waits for room")


@pytest.fixture(params=["pipe", "socket"])
def narrow(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Return two ends of a way that has room, but not for a long line; nothing may wait for it."""
    before = signal.signal(signal.SIGALRM, _raise_late)
    signal.alarm(10)
    if request.param == "pipe":
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
        os.write(writing, b"x" * 4096)
    else:
        ends = socket.socketpair()
        ends[1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        reading, writing = (end.detach() for end in ends)
    yield reading, writing
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    os.close(reading)
    os.close(writing)


def test_standard_error_that_others_fill_is_not_waited_for(narrow: tuple[int, int]) -> None:
    """There may be room, but not enough; what follows a torn line begins one of its own."""
    reading, writing = narrow
    target = StderrTarget()
    target.fd = writing

    with pytest.raises(BlockingIOError):
        target.send(b"long" * 4096)
    torn = os.read(reading, 1 << 20)
    target.send(b"short")

    assert torn[-1:] in b"long"
    assert os.read(reading, 1 << 20) == b"\nshort\n"
    assert os.get_blocking(writing)


def test_file_is_appended_to_and_not_for_everybody(file: Path) -> None:
    """What stands in it stays; a new one is not readable by others."""
    file.write_text("before\n")
    target = FileTarget(str(file))
    target.send(b"one", b"two")
    target.close()
    other = file.with_name("other")
    FileTarget(str(other)).close()

    assert file.read_text() == "before\none\ntwo\n"
    assert other.stat().st_mode & 0o777 & ~0o640 == 0


@pytest.mark.parametrize("successor", [False, True])
def test_file_that_was_moved_away_is_begun_anew(
    file: Path, target: FileTarget, successor: bool
) -> None:
    """Logrotate moves, and may create the next one itself: no line is lost, none is in both."""
    target.send(b"first")
    moved = file.rename(file.with_name("log.1"))
    if successor:
        file.touch()
    target.send(b"second")
    target.send(b"third")

    assert moved.read_text() == "first\n"
    assert file.read_text() == "second\nthird\n"


def test_file_that_was_cut_short_is_written_from_its_start(file: Path, target: FileTarget) -> None:
    """Copytruncate leaves no hole."""
    target.send(b"first")
    copy = Path(shutil.copy(file, file.with_name("log.1")))
    os.truncate(file, 0)
    target.send(b"second")

    assert copy.read_text() == "first\n"
    assert file.read_text() == "second\n"


def test_file_that_cannot_be_begun_anew_is_kept(tmp_path: Path) -> None:
    """With its directory gone the lines still go somewhere, and into a new file once they can."""
    folder = tmp_path / "folder"
    folder.mkdir()
    target = FileTarget(str(folder / "log"))
    moved = folder.rename(tmp_path / "moved")
    target.send(b"first")
    folder.mkdir()
    target.send(b"second")
    target.close()

    assert (moved / "log").read_text() == "first\n"
    assert (folder / "log").read_text() == "second\n"


@pytest.mark.parametrize(
    ("path", "why"), [("/no/such/log", "No such file or directory"), ("/", "Is a directory")]
)
def test_file_that_cannot_be_opened_refuses_the_start(path: str, why: str) -> None:
    """One line says which and why."""
    with pytest.raises(SystemFailureError) as caught:
        FileTarget(path)

    assert str(caught.value) == f"cannot open the log file {path!r}: {why}"


def test_fifo_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    """It is refused instead."""
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(SystemFailureError, match="No such device or address"):
        FileTarget(str(tmp_path / "fifo"))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("link", "it is a symbolic link; name the file itself"),
        ("dangling link", "it is a symbolic link; name the file itself"),
        ("hard link", "it is a hard link: the file has another name"),
    ],
)
def test_file_is_not_written_through_a_link(file: Path, kind: str, why: str) -> None:
    """Neither at the start, where it is refused, nor after a rotation, where the former is kept."""
    other = file.with_name("other")
    other.write_text("precious")
    if kind == "dangling link":
        other.unlink()
    target = FileTarget(str(file))
    target.send(b"first")
    moved = file.rename(file.with_name("log.1"))
    if kind == "hard link":
        file.hardlink_to(other)
    else:
        file.symlink_to(other)

    target.send(b"second")
    with pytest.raises(SystemFailureError) as caught:
        FileTarget(str(file))

    assert str(caught.value) == f"cannot open the log file {str(file)!r}: {why}"
    assert moved.read_text() == "first\nsecond\n"
    assert not other.exists() if kind == "dangling link" else other.read_text() == "precious"
    file.unlink()
    target.send(b"third")
    assert file.read_text() == "third\n"
    target.close()


def test_device_that_is_named_gets_the_lines() -> None:
    """It is ours or root's, so somebody has meant it."""
    target = FileTarget("/dev/null")
    target.send(b"nothing")
    target.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_fifo_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Who can put one there would read the log."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    os.chown(fifo, 65534, 65534)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    with pytest.raises(SystemFailureError, match="it belongs to another user, 65534"):
        FileTarget(str(fifo))

    os.close(reader)


def test_lines_of_a_file_have_their_time_and_are_all_that_the_level_allows(file: Path) -> None:
    """No script reads the classic messages there."""
    log.configure(LogFormat.CONSOLE, LogLevel.INFO, "socket", str(file))
    log.emit("connection_closed", **_CLOSED)
    log.emit("native_worker_missing", reason="x")
    log.emit("template_started", service="s", pid=1, ready="fork", descriptors="", canary="own")

    found = [_LINE.fullmatch(line) for line in file.read_text().splitlines()]
    assert [match and match[1] for match in found] == ["info", "info"]
    assert [match and match[2] for match in found] == ["connection_closed", "native_worker_missing"]
    assert found[0]
    assert found[0][3].startswith(
        " service=s pid=7 peer=127.0.0.1:5000 id=1 status=0 duration_s=0.1"
    )


class Journal:
    """A journal that keeps records as they come."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)

    def read(self) -> dict[str, str]:
        """Take the next record apart, as the journal's documentation has it."""
        data = self.socket.recv(1 << 20)
        fields = {}
        while data:
            name, sign, rest = re.split(rb"([=\n])", data, maxsplit=1)
            if sign == b"=":
                value, _, data = rest.partition(b"\n")
            else:
                (size,) = struct.unpack("<Q", rest[:8])
                value, end, data = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
                assert end == b"\n"
            assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name)
            fields[name.decode()] = value.decode()
        return fields


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Lend a journal."""
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.socket.close()


def test_journal_gets_fields_with_their_values(journal: Journal) -> None:
    """A text to read, a priority, a name, and a field for each key."""
    log.configure(LogFormat.JOURNAL, LogLevel.INFO, "socket", journal_socket=journal.path)
    log.emit("connection_closed", **_CLOSED)

    record = journal.read()

    assert record.pop("MESSAGE").startswith("connection_closed service=s pid=7 peer=127.0.0.1:5000")
    assert record == {
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "socket",
        "SOCKETD_EVENT": "connection_closed",
        **{
            f"SOCKETD_{key.upper()}": "" if value is None else str(value)
            for key, value in _CLOSED.items()
        },
    }


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_journal_takes_every_event_whatever_its_values(journal: Journal, event: str) -> None:
    """Newlines do not end a field, and the priority is that of the level."""
    weird = 'a\nPRIORITY=0\n"c" é \udcff'
    log.configure(LogFormat.JOURNAL, LogLevel.DEBUG, "socket", journal_socket=journal.path)
    log.emit(event, **dict.fromkeys(EVENTS[event].keys, weird))

    record = journal.read()

    priorities = {"debug": "7", "info": "6", "warning": "4", "error": "3"}
    assert record["PRIORITY"] == priorities[EVENTS[event].level.value]
    assert record["SOCKETD_EVENT"] == event
    for key in EVENTS[event].keys:
        assert record[f"SOCKETD_{key.upper()}"] == weird.replace("\udcff", "?")


def test_full_journal_is_not_waited_for_and_the_loss_is_told(journal: Journal) -> None:
    """What has no room is dropped; the next that gets through is preceded by their number."""
    log.configure(LogFormat.JOURNAL, LogLevel.INFO, "socket", journal_socket=journal.path)
    for _ in range(1000):
        log.emit("native_worker_missing", reason="x")
    kept = 0
    while True:
        try:
            journal.read()
        except BlockingIOError:
            break
        kept += 1
    log.emit("native_worker_missing", reason="x")

    note = journal.read()

    assert 0 < kept < 1000
    assert note["SOCKETD_EVENT"] == "log_lines_dropped"
    assert note["SOCKETD_COUNT"] == str(1000 - kept)
    assert journal.read()["SOCKETD_EVENT"] == "native_worker_missing"


def test_journal_that_was_restarted_gets_what_comes_next(tmp_path: Path) -> None:
    """It is another socket under the same name."""
    first = Journal(tmp_path / "journal")
    outlet = Outlet(JournalTarget(first.path), lambda count: encode_fields([("N", str(count))]))
    outlet.msg(encode_fields([("MESSAGE", "one")]))
    first.socket.close()
    os.unlink(first.path)
    outlet.msg(encode_fields([("MESSAGE", "two")]))
    second = Journal(tmp_path / "journal")
    outlet.msg(encode_fields([("MESSAGE", "three")]))

    assert [second.read(), second.read()] == [{"N": "1"}, {"MESSAGE": "three"}]
    second.socket.close()
    outlet.close()


def test_journal_that_is_not_there_refuses_the_start(tmp_path: Path) -> None:
    """For who has asked for it by name."""
    with pytest.raises(SystemFailureError) as caught:
        log.configure(LogFormat.JOURNAL, LogLevel.INFO, "s", journal_socket=f"{tmp_path}/none")

    assert str(caught.value) == (
        f"cannot reach the journal at '{tmp_path}/none': No such file or directory"
    )


def test_journal_is_usual_only_where_stderr_leads_there(journal: Journal) -> None:
    """JOURNAL_STREAM names device and inode of a stream that may not be ours any more."""
    stderr = os.fstat(2)
    ours = {"JOURNAL_STREAM": f"{stderr.st_dev}:{stderr.st_ino}"}

    assert is_journal(ours)
    assert log.usual_format(ours, journal.path) is LogFormat.JOURNAL
    assert log.usual_format(ours, journal.path + "/none") is LogFormat.CONSOLE
    for stream in ("", "1", f"{stderr.st_dev}:{stderr.st_ino + 1}", f"x:{stderr.st_ino}"):
        assert log.usual_format({"JOURNAL_STREAM": stream}, journal.path) is LogFormat.CONSOLE
    assert log.usual_format({}, journal.path) is LogFormat.CONSOLE
