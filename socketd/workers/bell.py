"""The master's doorbell, as a worker forked in Python rings it; native/doorbell.c does the same.

Owns the two ways to ring. Must not know why.
"""

import os
import signal

from socketd.dataclass import dataclass
from socketd.workers.contract import RING_SIGNAL


@dataclass(frozen=True, slots=True)
class Bell:
    """The master, and its pipe.

    All signals are to be blocked: a pipe without a reader leaves a SIGPIPE, which must not wait for
    the program.
    """

    master_pid: int
    fd: int

    def ring(self) -> None:
        """Wake the master; if privileges forbid the signal, through the pipe."""
        if os.getppid() != self.master_pid:
            return
        try:
            os.kill(self.master_pid, RING_SIGNAL)
        except PermissionError:
            self.ring_at_once()

    def ring_at_once(self) -> None:
        """Wake the master through the pipe, which is never held back."""
        try:
            os.write(self.fd, bytes((RING_SIGNAL,)))
        except BlockingIOError:
            pass  # a full pipe wakes as well
        except BrokenPipeError:
            signal.sigtimedwait({signal.SIGPIPE}, 0)
