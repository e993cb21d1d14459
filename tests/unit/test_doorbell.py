"""The doorbell: signals merge, nothing is lost, and what was there before comes back."""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from types import FrameType

import pytest

from socketd.loop.doorbell import Doorbell, open_anew

_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_DEFERRABLE = frozenset({signal.SIGUSR2})


@pytest.fixture
def doorbell() -> Iterator[Doorbell]:
    """Lend a doorbell that is hung up."""
    with Doorbell(_SIGNALS) as doorbell:
        yield doorbell


def is_rung(doorbell: Doorbell) -> bool:
    """Tell whether whoever waits for the doorbell would wake up."""
    return bool(select.select(doorbell.fds, [], [], 0)[0])


def fill(fd: int) -> None:
    """Write until nothing fits any more."""
    with contextlib.suppress(BlockingIOError):
        while os.write(fd, bytes(65536)):
            pass
    with pytest.raises(BlockingIOError):
        os.write(fd, b"\0")


def test_silence_is_answered_with_nothing(doorbell: Doorbell) -> None:
    """Nobody has rung: nobody wakes, and answering does not wait."""
    assert not is_rung(doorbell)
    assert doorbell.answer() == set()


def test_signal_wakes_and_is_answered_once(doorbell: Doorbell) -> None:
    """A signal is told once, and the doorbell is silent afterwards."""
    signal.raise_signal(signal.SIGUSR1)

    assert is_rung(doorbell)
    assert doorbell.answer() == {signal.SIGUSR1}
    assert not is_rung(doorbell)
    assert doorbell.answer() == set()


def test_signals_are_merged_by_kind(doorbell: Doorbell) -> None:
    """Many signals of two kinds are two facts."""
    for _ in range(100):
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGWINCH)

    assert doorbell.answer() == {signal.SIGUSR1, signal.SIGWINCH}
    assert not is_rung(doorbell)


def test_signal_is_no_byte_of_the_answer(doorbell: Doorbell) -> None:
    """What is written to the pipe wakes, but is no signal."""
    os.write(doorbell.write_fd, bytes((signal.SIGUSR2,)))

    assert is_rung(doorbell)
    assert doorbell.answer() == set()
    assert not is_rung(doorbell)


def test_byte_of_another_process_wakes(doorbell: Doorbell) -> None:
    """A worker without the right to signal its master rings by writing a byte."""
    fd = doorbell.write_fd
    with subprocess.Popen(["sh", "-c", f"echo >/proc/self/fd/{fd}"], pass_fds=[fd]):
        assert select.select([doorbell.read_fd], [], [], 10)[0]

    assert doorbell.answer() == set()
    assert not is_rung(doorbell)


def test_byte_stands_for_the_signal_that_was_said() -> None:
    """Who may not signal us rings by a byte, also at the moment when others signal."""
    with Doorbell(_SIGNALS, bell=signal.SIGUSR1) as doorbell:
        os.write(doorbell.write_fd, b"\0\0")
        signal.raise_signal(signal.SIGWINCH)

        assert doorbell.answer() == {signal.SIGUSR1, signal.SIGWINCH}
        assert doorbell.answer() == set()


def test_full_pipe_loses_no_signal(doorbell: Doorbell, capfd: pytest.CaptureFixture[str]) -> None:
    """A signal that finds the pipe full is known all the same, and nobody complains."""
    for _ in range(1 << 17):  # more than a pipe holds
        signal.raise_signal(signal.SIGUSR1)

    assert doorbell.answer() == {signal.SIGUSR1}

    assert not is_rung(doorbell)
    assert capfd.readouterr().err == ""


def test_no_flag_that_another_process_has_makes_a_signal_wait(doorbell: Doorbell) -> None:
    """Where their pipe is full and no longer says so, our signals go another way."""
    fd = open_anew(doorbell.write_fd)
    fill(fd)
    for each in (fd, doorbell.write_fd):
        os.set_blocking(each, True)
    os.close(fd)

    signal.raise_signal(signal.SIGUSR1)

    assert doorbell.answer() == {signal.SIGUSR1}


def test_who_opens_the_pipe_anew_has_flags_of_his_own(doorbell: Doorbell) -> None:
    """One that makes its writes wait makes nobody else's wait, and none is inherited."""
    mine, other = open_anew(doorbell.write_fd), open_anew(doorbell.write_fd)
    try:
        os.set_blocking(mine, True)

        assert not os.get_inheritable(mine)
        assert not os.get_blocking(other)
        assert not os.get_blocking(doorbell.write_fd)
    finally:
        os.close(mine)
        os.close(other)


def test_a_turn_reads_a_bounded_part_of_a_flood(doorbell: Doorbell) -> None:
    """What is left rings again: who writes faster than we read does not keep us."""
    fcntl.fcntl(doorbell.write_fd, fcntl.F_SETPIPE_SZ, 1 << 18)
    fill(doorbell.write_fd)

    for _ in range(4):
        assert is_rung(doorbell)
        assert doorbell.answer() == set()

    assert not is_rung(doorbell)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)
def test_who_may_write_may_not_read(doorbell: Doorbell) -> None:
    """Another user cannot turn the write end into a read end and swallow the rings of others."""
    fd = doorbell.write_fd
    script = f"(: > /proc/self/fd/{fd}) && echo w; (: < /proc/self/fd/{fd}) && echo r; echo tried"
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", script],
        pass_fds=[fd],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "tried\n"


def test_held_back_signal_wakes_nobody(doorbell: Doorbell) -> None:
    """What is held back merges and is told to whoever asks; the other signals wake as ever."""
    doorbell.hold_back(_DEFERRABLE)
    for _ in range(3):
        signal.raise_signal(signal.SIGUSR2)

    assert not is_rung(doorbell)
    assert doorbell.answer() == {signal.SIGUSR2}
    assert doorbell.answer() == set()
    signal.raise_signal(signal.SIGUSR1)
    assert is_rung(doorbell)
    assert doorbell.answer() == {signal.SIGUSR1}


def test_others_than_those_held_back_wake(doorbell: Doorbell) -> None:
    """What is held back is exactly what was said last."""
    doorbell.hold_back(frozenset({signal.SIGUSR1}))
    doorbell.hold_back(frozenset({signal.SIGUSR2}))
    signal.raise_signal(signal.SIGUSR2)
    assert not is_rung(doorbell)

    signal.raise_signal(signal.SIGUSR1)
    assert is_rung(doorbell)
    assert doorbell.answer() == {signal.SIGUSR1, signal.SIGUSR2}


def test_released_signal_wakes_again(doorbell: Doorbell) -> None:
    """What was held back wakes as soon as it is let through, and so does what comes later."""
    doorbell.hold_back(_DEFERRABLE)
    signal.raise_signal(signal.SIGUSR2)

    doorbell.let_through()

    for _ in range(2):
        assert is_rung(doorbell)
        assert doorbell.answer() == {signal.SIGUSR2}
        signal.raise_signal(signal.SIGUSR2)


def test_holding_back_twice_is_holding_back_once(doorbell: Doorbell) -> None:
    """One release is enough, and one too many is harmless."""
    doorbell.hold_back(_DEFERRABLE)
    doorbell.hold_back(_DEFERRABLE)
    doorbell.let_through()
    doorbell.let_through()

    signal.raise_signal(signal.SIGUSR2)

    assert is_rung(doorbell)


def test_hanging_up_leaves_no_signal_blocked() -> None:
    """A doorbell that ends while it holds signals back leaves the mask as it was, and no signal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Doorbell(_SIGNALS) as doorbell:
        doorbell.hold_back(_DEFERRABLE)
        signal.raise_signal(signal.SIGUSR2)

    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_handlers_and_wakeup_descriptor_come_back() -> None:
    """Afterwards a signal does what it did before, and the pipe is gone."""
    noted: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        noted.append(number)

    reading, writing = os.pipe2(os.O_NONBLOCK)
    before = [signal.signal(signal.SIGUSR1, note), signal.signal(signal.SIGUSR2, signal.SIG_IGN)]
    previous_fd = signal.set_wakeup_fd(writing)
    try:
        with Doorbell((signal.SIGUSR1, signal.SIGUSR2)) as doorbell:
            signal.raise_signal(signal.SIGUSR1)
            assert noted == []

        assert signal.getsignal(signal.SIGUSR1) is note
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
        signal.raise_signal(signal.SIGUSR1)
        assert noted == [signal.SIGUSR1]
        assert os.read(reading, 10) == bytes((signal.SIGUSR1,))
    finally:
        signal.set_wakeup_fd(previous_fd)
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGUSR2, before[1])
        os.close(reading)
        os.close(writing)
    for fd in (*doorbell.fds, doorbell.write_fd):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_handlers_come_back_after_an_error() -> None:
    """An exception does not leave our handlers behind."""
    before = signal.getsignal(signal.SIGUSR1)

    with pytest.raises(KeyError), Doorbell((signal.SIGUSR1,)):
        raise KeyError

    assert signal.getsignal(signal.SIGUSR1) == before


def test_neither_end_of_the_pipe_blocks_or_is_inherited(doorbell: Doorbell) -> None:
    """A program gets nothing of it, and neither a worker nor the master ever waits for it."""
    for fd in (*doorbell.fds, doorbell.write_fd):
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)
