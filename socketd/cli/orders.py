"""Telling a running server what to do, and waiting for what comes of it.

Owns what is said of an outcome, and the signals that do the same where there is no control socket.
Must not know what an order does.
"""

import os
import select
import signal

from socketd.cli import console
from socketd.cli.asking import Target
from socketd.control.client import Connection, RefusedError
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
        return _signal(target, do)
    try:
        with Connection(path) as connection:
            done = connection.order(do, **about)
            if do == _STOP:
                connection.wait_for_end()
                done = "stopped"
    except RefusedError as error:
        for line in error.errors:
            console.say(f"socketd: {line}")
        return error.exit_code
    return ExitCode.DONE if console.show(done, "socketd") else ExitCode.SYSTEM


def _signal(target: Target, do: str) -> int:
    """Send the signal that means the same; only of a stop is the outcome known.

    The number in a pid file that was left over may be anybody's by now. So the process is asked who
    it is, while a descriptor of it says that it is still the same.
    """
    number, pid = _SIGNALS[do], target.pid()
    try:
        process = os.pidfd_open(pid)
        try:
            target.check(pid)
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
