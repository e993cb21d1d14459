"""The doorbell: pipes that signals and workers ring.

Owns the pipes and the signal handlers, and puts back what was there before. Must not know what a
signal means.

Signals are noted in a set by their Python handlers and a pipe only wakes the loop, so a full
pipe loses nothing and merged signals are harmless. The kernel runs signal.set_wakeup_fd's C
handler at once; the Python handler runs in the main thread before the next bytecode, so by the
time that select() has returned and the pipe is drained, the set is up to date.

Others hold the write end of a second pipe: a worker that has given up its privileges may not signal
a master that runs as root, and rings by writing a byte. Who shares an open file description shares
its flags too: with that of the first pipe a process could clear O_NONBLOCK, fill the pipe, and have
us wait for ourselves in a signal handler. So it is not shared, and each template and each worker
opens the second pipe anew. However much is written there, a turn of ours reads a bounded part.

A signal by which a terminal ends what belongs to it, and that was ignored before, stays ignored:
nohup(1) asks for that, and so does a shell that starts a job in the background.

The two pipes are sources of a loop; they only note that there is something to answer.

Some signals may be held back for a while, that is, blocked: they merge in the kernel instead of
waking the loop, and are noted all at once when the time is over.
"""

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Self

from socketd.loop.sources import Sources

_DRAIN_BYTES = 65536
_OF_A_TERMINAL = frozenset({signal.SIGHUP, signal.SIGINT})


def open_anew(write_fd: int) -> int:
    """Open the write end that others ring with as a description of its own; raises OSError.

    Without /proc it is the one that all share.
    """
    with contextlib.suppress(FileNotFoundError):
        return os.open(f"/proc/self/fd/{write_fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return fcntl.fcntl(write_fd, fcntl.F_DUPFD_CLOEXEC, 0)


class Doorbell:
    """A context in which the given signals wake the loop whose sources hear it.

    Any of them can be held back. Others ring by a byte into `write_fd`, which is read at `read_fd`;
    `pipe` is one that they have already, `bell` the signal that a byte stands for.
    """

    def __init__(
        self,
        signals: Iterable[signal.Signals],
        pipe: tuple[int, int] | None = None,
        bell: signal.Signals | None = None,
    ) -> None:
        self._bell = bell
        self._signals = tuple(signals)
        self._held_back: frozenset[signal.Signals] = frozenset()
        self.has_rung = False
        self._rung: set[int] = set()
        self._previous: dict[signal.Signals, signal.Handlers] = {}
        self._previous_fd = -1
        self._previous_mask: set[int] = set()
        self._signal_fds = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.read_fd, self.write_fd = pipe or os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for fd in pipe or ():
            os.set_inheritable(fd, False)

    @property
    def fds(self) -> tuple[int, int]:
        """Return the descriptors that have something to read after a ring."""
        return self._signal_fds[0], self.read_fd

    def watch(self, sources: Sources) -> None:
        """Be heard by these sources: `has_rung` tells afterwards. Raises OSError."""
        sources.add(self._signal_fds[0], lambda _: self._hear_signals())
        sources.add(self.read_fd, lambda _: self._hear_others())

    def __enter__(self) -> Self:
        """Install the handlers, then let through what may have been blocked until now."""
        self._previous_fd = signal.set_wakeup_fd(self._signal_fds[1], warn_on_full_buffer=False)
        for number in self._signals:
            if number in _OF_A_TERMINAL and signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._note)  # type: ignore[assignment]  # typeshed: any callable or int
        self._previous_mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the former mask and handlers back and close the pipe."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._previous_mask)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        for fd in (*self._signal_fds, self.read_fd, self.write_fd):
            os.close(fd)

    def ring(self, number: signal.Signals) -> None:
        """Be heard as if that signal had come; only while sources are heard."""
        self._rung.add(number)
        self.has_rung = True

    def hold_back(self, signals: frozenset[signal.Signals]) -> None:
        """Hold exactly these back: they do not wake the loop until they are let through."""
        if signals != self._held_back:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._held_back - signals)
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
            self._held_back = signals

    def let_through(self) -> None:
        """Let through what was held back, and all that comes from now on."""
        self.hold_back(frozenset())

    def answer(self) -> set[int]:
        """Return the signals since the last time, heard or not, and be silent.

        If others have written so much that some is left, they have rung again.
        """
        self._hear_signals()
        self._hear_others()
        return self.take()

    def take(self) -> set[int]:
        """Return the signals that were heard since the last time, and those held back."""
        self.has_rung = False
        if self._held_back:
            while held_back := signal.sigtimedwait(self._held_back, 0):
                self._rung.add(held_back.si_signo)
        rung, self._rung = self._rung, set()
        return rung

    def _hear_signals(self) -> None:
        self.has_rung |= self._drain(self._signal_fds[0])

    def _hear_others(self) -> None:
        if self._drain(self.read_fd):
            self.has_rung = True
            if self._bell is not None:
                self._rung.add(self._bell)

    @staticmethod
    def _drain(fd: int) -> bool:
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(fd, _DRAIN_BYTES))
        return False

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  signal.signal's signature
        self._rung.add(number)
