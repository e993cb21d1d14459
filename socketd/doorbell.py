"""The doorbell: a self-pipe that signals and workers ring.

Owns the pipe and the signal handlers, and puts back what was there before. Must not know what a
signal means.

Signals are noted in a set by their Python handlers and the pipe only wakes the loop, so a full
pipe loses nothing and merged signals are harmless. The kernel runs signal.set_wakeup_fd's C
handler at once; the Python handler runs in the main thread before the next bytecode, so by the
time that select() has returned and the pipe is drained, the set is up to date.

Workers hold the write end too: one that has given up its privileges may not signal a master that
runs as root, and rings by writing a byte.

A signal by which a terminal ends what belongs to it, and that was ignored before, stays ignored:
nohup(1) asks for that, and so does a shell that starts a job in the background.

Some signals may be muffled for a while, that is, blocked: they merge in the kernel instead of
waking anybody, and are noted all at once when the time is over.
"""

import os
import signal
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Self

_DRAIN_BYTES = 65536
_OF_A_TERMINAL = frozenset({signal.SIGHUP, signal.SIGINT})


class Doorbell:
    """A context in which the given signals wake whoever waits for `read_fd`.

    Any of them can be muffled. `pipe` is one that workers hold the write end of.
    """

    def __init__(
        self,
        signals: Iterable[signal.Signals],
        pipe: tuple[int, int] | None = None,
    ) -> None:
        self._signals = tuple(signals)
        self._muffled: frozenset[signal.Signals] = frozenset()
        self._rung: set[int] = set()
        self._previous: dict[signal.Signals, signal.Handlers] = {}
        self._previous_fd = -1
        self._previous_mask: set[int] = set()
        self.read_fd, self.write_fd = pipe or os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for fd in pipe or ():
            os.set_inheritable(fd, False)

    def __enter__(self) -> Self:
        """Install the handlers, then let through what may have been blocked until now."""
        self._previous_fd = signal.set_wakeup_fd(self.write_fd, warn_on_full_buffer=False)
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
        os.close(self.read_fd)
        os.close(self.write_fd)

    def muffle(self, signals: frozenset[signal.Signals]) -> None:
        """Hold these back, and none but these; they wake nobody until they are let through."""
        if signals != self._muffled:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._muffled - signals)
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
            self._muffled = signals

    def unmuffle(self) -> None:
        """Let through what was held back, and all that comes from now on."""
        self.muffle(frozenset())

    def answer(self) -> set[int]:
        """Empty the pipe and return the signals since the last time, held back ones included."""
        try:
            while len(os.read(self.read_fd, _DRAIN_BYTES)) == _DRAIN_BYTES:
                pass
        except BlockingIOError:
            pass
        if self._muffled:
            while held_back := signal.sigtimedwait(self._muffled, 0):
                self._rung.add(held_back.si_signo)
        rung, self._rung = self._rung, set()
        return rung

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  signal.signal's signature
        self._rung.add(number)
