"""The parent that stays behind a program of the Python worker; see native/front/keeper.c.

Owns its fork, the forwarding of signals, and the end of the connection. Must not know what the
program is.

Closing a socket with unread input resets the connection, and so does input that arrives later; a
reset discards what the peer has not received yet, which is the answer.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import time
from typing import NoReturn

from socketd.programs.piped import exit_like
from socketd.settings.duration import LONGEST_WAIT_SECONDS

_PIECE_BYTES = 65536
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_ENDING = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
_EVERY = signal.valid_signals()


def divide() -> int:
    """Fork; return 0 in the child, which becomes the program, and its process id in the parent.

    If the fork fails, this process becomes the program, without a parent behind it. All signals
    must be blocked, and stay so in both.
    """
    own = os.getpid()
    try:
        program = os.fork()
    except OSError:
        return 0
    if program == 0:
        _LIBC.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != own:
            os._exit(0)
    return program


def stay(connection: socket.socket, linger_seconds: float, program: int, sender: int) -> NoReturn:
    """Wait for the end of the child, and end in the same way.

    Signals from `sender` went to the whole group.
    """
    try:
        status = _wait_for_end(program, sender)
        part(connection, linger_seconds)
        exit_like(status)
    finally:
        os._exit(0)


def part(connection: socket.socket, linger_seconds: float) -> None:
    """Shut the sending side down, and read what the peer still sends until it closes.

    Stop after that time, or at a signal that would end a program.
    """
    deadline_seconds = time.monotonic() + linger_seconds
    for number in _ENDING:
        signal.signal(number, lambda *_: None)
    bell, ringing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    # poll() is restarted after a handler (PEP 475), and a signal may arrive just before it.
    signal.set_wakeup_fd(ringing, warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_SETMASK, _EVERY - _ENDING)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(bell, select.POLLIN)
    with contextlib.suppress(OSError):  # the peer has gone
        connection.shutdown(socket.SHUT_WR)
        while (left := deadline_seconds - time.monotonic()) > 0:
            ready = dict(poll.poll(min(left, LONGEST_WAIT_SECONDS) * 1000))
            if bell in ready or (not ready and left <= LONGEST_WAIT_SECONDS):
                return
            if ready and not connection.recv(_PIECE_BYTES, socket.MSG_DONTWAIT):
                return


def _wait_for_end(program: int, sender: int) -> int:
    while True:
        ended, status = os.waitpid(program, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        came = signal.sigwaitinfo(_EVERY)
        is_of_group = came.si_code > 0 or came.si_pid == sender
        if came.si_signo == signal.SIGCHLD or (is_of_group and came.si_signo != signal.SIGWINCH):
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(program, came.si_signo)
