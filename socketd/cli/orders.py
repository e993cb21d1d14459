"""Telling a running server what to do, and waiting for what comes of it.

Owns what is said of an outcome, and the signals that do the same where there is no control socket.
Must not know what an order does.
"""

import contextlib
import functools
import os
import select
import signal
from collections.abc import Callable

from socketd.cli import console
from socketd.cli.asking import Target
from socketd.control.client import Connection, ControlError, OlderError, RefusedError, state_of
from socketd.errors import ExitCode, SystemFailureError, UsageError, describe_errno

_STOP = "stop"
_SIGNALS = {"reload": signal.SIGHUP, "reexec": signal.SIGUSR2, _STOP: signal.SIGTERM}


def give(target: Target, do: str, **about: object) -> int:
    """Give an order; return the exit code that says what came of it. Raises SocketdError."""
    try:
        path = target.path()
    except UsageError:
        if target.pid_file is None or do not in _SIGNALS:
            raise
        pid = target.pid()
        return _signal(do, pid, functools.partial(target.check, pid))
    try:
        with Connection(path) as connection:
            done = connection.order(do, **about)
            if do == _STOP:
                _wait_for_end(connection)
                done = "stopped"
    except OlderError:
        if do not in _SIGNALS:
            raise
        return _signal_older(path, do)
    except RefusedError as error:
        for line in error.errors:
            console.say(f"socketd: {line}")
        return error.exit_code
    return ExitCode.DONE if console.show(done, "socketd") else ExitCode.SYSTEM


def _wait_for_end(connection: Connection) -> None:
    """Wait until a server is gone; say at a terminal, below all lines, what is left of it."""
    if not os.isatty(console.STDERR_FD):
        connection.wait_for_end()
        return

    def show() -> None:
        with contextlib.suppress(ControlError):  # it has ended meanwhile
            state = state_of(connection.path)
            listeners = [one for service in state.services for one in service.listeners]
            left = sum(one.workers.busy for one in listeners)
            console.write(f"{console.WIPE}stopping: {left} connection{'s' * (left != 1)} left")

    show()
    try:
        connection.wait_for_end(show)
    finally:
        console.write(console.WIPE)


def _signal_older(path: str, do: str) -> int:
    """Send the signal to a server that does not know the order: it answers, so it is there."""
    with Connection(path) as connection:
        pid = connection.state().server.pid

        def check() -> None:
            if connection.state().server.pid != pid:
                raise SystemFailureError(f"the server at {path!r} is another one by now; try again")

        return _signal(do, pid, check)


def _signal(do: str, pid: int, check: Callable[[], None]) -> int:
    """Send the signal that means the same; only of a stop is the outcome known.

    The number of a process that has ended may be anybody's by now. So it is checked who it is,
    while a descriptor of it says that it is still the same.
    """
    number = _SIGNALS[do]
    try:
        process = os.pidfd_open(pid)
        try:
            check()
            signal.pidfd_send_signal(process, number)
            if do == _STOP:
                waiting = select.poll()
                waiting.register(process, select.POLLIN)
                waiting.poll()
        finally:
            os.close(process)
    except OSError as error:
        why = describe_errno(error.errno or 0)
        raise SystemFailureError(f"cannot send {number.name} to process {pid}: {why}") from error
    if do != _STOP:
        console.say(f"socketd: sent {number.name} to process {pid}; its log says what comes of it")
    return ExitCode.DONE
