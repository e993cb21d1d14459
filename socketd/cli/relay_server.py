"""`socket -s` without a program: connections to our own stdin and stdout.

Owns the life of such a server. It serves one connection, with -l one after another, with -l and -f
each in its own process; they share our stdin and stdout then, as in socket 1.1.
"""

import contextlib
import os
import signal
import socket

from socketd.cli import console
from socketd.cli.background import detach
from socketd.cli.client import be_quiet, carry_own_streams
from socketd.cli.given import given
from socketd.cli.operand import listening_address
from socketd.cli.options import CommandLine
from socketd.cli.passed import passed_listeners
from socketd.config.services import DEFAULT_BACKLOG
from socketd.errors import (
    ExitCode,
    ListenError,
    RelayError,
    SystemFailureError,
    describe_errno,
    describe_refusal,
)
from socketd.loop.listeners import Listener, listen
from socketd.loop.transience import TRANSIENT_ERRORS
from socketd.operations.pidfile import PidFile
from socketd.programs.peer import identify
from socketd.settings.address import InheritedAddress
from socketd.system.directory import absolute


def serve_own_streams(line: CommandLine) -> int:
    """Serve until it is over; return the exit code. Raises SocketdError if it cannot begin."""
    passed = passed_listeners(line, os.environ)
    if len(passed) > 1:
        raise ListenError(f"{len(passed)} sockets were passed: without -p only one can be served")
    pid_path = line.values.get("pidfile")
    if pid_path is not None:
        pid_path = absolute(pid_path)
    values = given(line)
    backlog = values.number("backlog") or DEFAULT_BACKLOG
    address = listening_address(line, values)
    if isinstance(address, InheritedAddress):
        passed[0].set_options(address.options)
    announce = detach(console.speak_to, relays=True) if line.has("background") else None
    listener = passed[0] if passed else listen(address, backlog)
    with contextlib.ExitStack() as undoing:
        undoing.callback(listener.close)
        if pid_path is not None:
            # The socket comes first: a second server fails to bind before it touches the pid file.
            undoing.callback(PidFile(pid_path).remove)
        if line.has("verbose") or line.operands == ["0"]:
            console.say(_listening_line(listener))
        if announce is not None:
            announce()
        return _serve(listener, line)


def _serve(listener: Listener, line: CommandLine) -> int:
    if not line.has("loop"):
        carry_own_streams(_accept(listener, line), line)
        return ExitCode.DONE
    if line.has("fork"):
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel discards ended children
    while True:
        connection = _accept(listener, line)
        if not line.has("fork"):
            _carry(connection, line)
        else:
            _fork_for(listener, connection, line)
        connection.close()


def _fork_for(listener: Listener, connection: socket.socket, line: CommandLine) -> None:
    """Relay a connection in a child; if the fork fails, only this connection ends."""
    try:
        pid = os.fork()
    except OSError as error:
        console.say(f"socket: cannot fork for a connection: {describe_refusal(error.errno or 0)}")
        return
    if pid == 0:
        _live_as_child(listener, connection, line)


def _carry(connection: socket.socket, line: CommandLine) -> int:
    """Relay one connection of many. Raises RelayError if the others would fail as well."""
    try:
        carry_own_streams(connection, line)
    except RelayError as error:
        if not error.is_of_connection:
            raise
        console.say(f"socket: {error}")
        return error.exit_code
    return ExitCode.DONE


def _live_as_child(listener: Listener, connection: socket.socket, line: CommandLine) -> None:
    """Relay one connection and exit without the parent's cleanup."""
    status: int = ExitCode.BUG
    try:
        console.answer_by_default()
        listener.socket.close()
        status = _carry(connection, line)
    except RelayError as error:
        console.say(f"socket: {error}")
        status = error.exit_code
    finally:
        os._exit(status)


def _accept(listener: Listener, line: CommandLine) -> socket.socket:
    while True:
        try:
            connection, name = listener.socket.accept()
        except OSError as error:
            if error.errno in TRANSIENT_ERRORS:
                continue
            why = describe_errno(error.errno or 0)
            raise SystemFailureError(f"accept on {listener}: {why}") from error
        say = console.say if line.has("verbose") else be_quiet
        if listener.port is None:
            say(f"unix: connection from {listener.host}")
        else:
            with contextlib.suppress(OSError):  # it has been reset already
                say(f"inet: connection from {identify(connection, name).host}")
        return connection


def _listening_line(listener: Listener) -> str:
    if listener.port is None:
        return f"unix: bound to {listener.host}"
    name = f" ({listener.port_name})" if listener.port_name else ""
    return f"inet: listening on port {listener.port}{name}"
