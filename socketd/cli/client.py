"""`socket host port` and `socket /path`: from the command line to a connection and its end.

Owns the order of a client's life. Client mode pays for every import, so modules for -p or a time
limit are imported only when these are given, and of socket only the part in C.
"""

import _socket as socket
import os

from socketd.cli import console
from socketd.cli.options import CommandLine
from socketd.errors import ConnectError, ExitCode, RelayError, UsageError
from socketd.relay.client import connect_tcp, connect_unix, port_name, wait_for_server
from socketd.relay.relay import Relay, RelaySettings, Sink, Source


def relay_settings(line: CommandLine) -> RelaySettings:
    """Return what the options ask of a relay."""
    return RelaySettings(
        crlf=line.has("crlf"),
        read_only=line.has("read-only"),
        write_only=line.has("write-only"),
        quits=line.has("quit"),
        half_close=line.has("half-close"),
    )


def be_quiet(text: str) -> None:
    """Say nothing: there is no -v."""


def carry_own_streams(connection: socket.socket, line: CommandLine) -> None:
    """Relay between a connection and our own stdin and stdout. Raises RelayError."""
    settings = relay_settings(line)
    source = None if settings.read_only else Source(console.STDIN_FD, "stdin")
    sink = None if settings.write_only else Sink(console.STDOUT_FD, "stdout")
    say = console.say if line.has("verbose") else be_quiet
    try:
        Relay(connection, source, sink, settings, say).run()
    finally:
        if sink is not None:
            sink.close()


def run_client(line: CommandLine) -> int:
    """Connect and relay to the end; return the exit code. Raises SocketdError."""
    if line.has("program"):
        return _run_with_program(line)
    carry_own_streams(_connect(line), line)
    return ExitCode.DONE


def _connect(line: CommandLine) -> socket.socket:
    limit_seconds = _limit_seconds(line)
    local = line.values.get("bind")
    if len(line.operands) == 1:
        path = line.operands[0]
        if local is not None:
            raise UsageError(f"-B {local} does not apply to the UNIX path {path!r}")

        def connect() -> socket.socket:
            return connect_unix(path, limit_seconds)
    else:
        host, port = line.operands

        def connect() -> socket.socket:
            return connect_tcp(host, port, local, limit_seconds)

    is_verbose = line.has("verbose")
    if line.has("wait"):

        def tell(error: ConnectError) -> None:
            if is_verbose:
                console.say(f"waiting for the server: {error}")

        connection = wait_for_server(connect, tell)
    else:
        connection = connect()
    if line.has("send-proxy"):
        _introduce(connection, line.values["send-proxy"])
    if is_verbose:
        console.say(_connected_line(connection, line))
    return connection


def _introduce(connection: socket.socket, version: str) -> None:
    from socketd.relay.introduction import introduction

    try:
        connection.sendall(introduction(connection, version))
    except OSError as error:
        raise ConnectError(error.errno or 0, "the header of the PROXY protocol") from error


def _connected_line(connection: socket.socket, line: CommandLine) -> str:
    if len(line.operands) == 1:
        return f"unix: connected to {line.operands[0]}"
    try:
        host, port = connection.getpeername()[:2]
    except OSError:  # it is gone already; reading will report it
        return f"inet: connected to {line.operands[0]} port {line.operands[1]}"
    name = port_name(port)
    return f"inet: connected to {host} port {port}" + (f" ({name})" if name else "")


def _limit_seconds(line: CommandLine) -> float | None:
    text = line.values.get("connect-timeout")
    if text is None:
        return None
    from socketd.settings.duration import LONGEST_WAIT_SECONDS, parse_duration

    return min(parse_duration(text, "--connect-timeout"), LONGEST_WAIT_SECONDS)


def _run_with_program(line: CommandLine) -> int:
    """Run a program instead of our stdin and stdout; return its exit code."""
    from socketd.cli.choices import choice
    from socketd.programs.command import ShellUse, resolve
    from socketd.programs.piped import PipedProgram, start_program
    from socketd.settings.stderr import StderrTarget

    settings = relay_settings(line)
    environment = dict(os.environ)
    stderr = choice(StderrTarget, line, "stderr", StderrTarget.SOCKET)
    program = resolve(
        line.values["program"], choice(ShellUse, line, "shell", ShellUse.AUTO), environment
    )
    connection = _connect(line)
    piped: PipedProgram | None = None
    try:
        with console.SignalsHeld():  # one must not arrive before we know which process to end
            piped = start_program(program, environment, settings, stderr)
        say = console.say if line.has("verbose") else be_quiet
        try:
            Relay(connection, piped.source, piped.sink, settings, say, piped.close_stdin).run()
        except RelayError:
            piped.wait()
            raise
        status = piped.wait()
    except SystemExit:
        if piped is not None:
            piped.terminate()
        raise
    return status if status >= 0 else 128 - status
