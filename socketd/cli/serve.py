"""`socket -s -p`: from the command line to a running pool and back to an exit code.

Owns the order of a start: settings, background, pid file, listener, pool; and of the end.
"""

import dataclasses
import os
import signal

from socketd import log
from socketd.accounts import login_variables, parse_user
from socketd.address import Address, InheritedAddress, UnixAddress, parse_operand
from socketd.cli import console
from socketd.cli.background import detach
from socketd.cli.choices import choice
from socketd.cli.client import relay_settings
from socketd.cli.descriptors import settle_descriptors
from socketd.cli.options import CommandLine
from socketd.cli.passed import passed_listeners
from socketd.config import (
    DEFAULT_BACKLOG,
    HIGHEST_BACKLOG,
    MOST_WORKERS,
    ServiceSettings,
    parse_count,
    size_pool,
    usual_stderr,
    why_no_front,
)
from socketd.confinement import Confinement
from socketd.directory import absolute
from socketd.duration import parse_duration
from socketd.environment import base_environment
from socketd.errors import ExitCode, SystemFailureError, UsageError
from socketd.filemode import parse_mode
from socketd.front import FrontKind, Waits, check_root, put_behind, unwrap
from socketd.listeners import Listener, listen
from socketd.master import STOP_SIGNALS, Master
from socketd.pidfile import PidFile
from socketd.pool import PoolSettings, Strategy
from socketd.program import Program, ShellUse, resolve
from socketd.spawner import Readiness, ReadyLevel, StderrTarget, WorkerKind
from socketd.systemd import find_manager
from socketd.template import is_built

_CLASSIC_NAMES = {
    signal.SIGTERM: "Termination signal",
    signal.SIGINT: "Interrupt",
    signal.SIGHUP: "Hangup signal",
}


def serve(line: CommandLine, environment: dict[str, str]) -> int:
    """Serve until told to stop; return the exit code. Raises SocketdError if it cannot begin."""
    given = settle_descriptors()
    console.stay_running()
    passed = passed_listeners(line, environment)
    settings = _settings(line, environment)
    _configure_log(line)
    manager = find_manager(environment, os.getpid())
    pid_path = line.values.get("pidfile")
    if pid_path is not None:
        pid_path = absolute(pid_path)
    announce = None
    if line.has("background"):
        kept = {listener.socket.fileno() for listener in passed}
        others = [fd for fd in given if fd not in kept]
        announce = detach(console.speak_to, log.speak_to, given=others)
    # From here to the end there is something to clean up: a signal waits until the loop, which
    # lets it through, can act on it.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    listeners = passed or [listen(settings.address, settings.backlog)]
    try:
        # The socket comes first: a second server fails to bind before it touches the pid file.
        pid_file = PidFile(pid_path) if pid_path is not None else None
        try:

            def on_ready() -> None:
                if _is_port_untold(line):
                    _say_port(listeners[0])
                if announce is not None:
                    announce()

            services = [(_settings_at(settings, listener), listener) for listener in listeners]
            renewed = [one for one, _ in services]
            # Nobody who has put it there sees a terminal hang up: it may mean something else.
            read = (lambda: renewed) if line.has("background") else None
            master = Master(on_ready, manager, read, lambda one: listen(one.address, one.backlog))
            master.run(services)
        finally:
            if pid_file is not None:
                pid_file.remove()
    finally:
        for listener in listeners:
            listener.close()
    return _exit_code(line, master.stop_signal)


def _is_port_untold(line: CommandLine) -> bool:
    """Tell whether the port is the system's choice and nobody says it otherwise."""
    is_told = log.is_enabled("service_ready") and _log_format(line) is not log.LogFormat.JOURNAL
    return line.operands == ["0"] and (line.has("log-file") or not is_told)


def _say_port(listener: Listener) -> None:
    log.say(f"inet: listening on port {listener.port}")


def _settings(line: CommandLine, environment: dict[str, str]) -> ServiceSettings:
    user, group = parse_user(line.values["user"], "--user") if line.has("user") else (None, None)
    login = {} if user is None else login_variables(user)
    inherited = base_environment(environment) | login
    directory = absolute(line.values["directory"]) if line.has("directory") else None
    kind = choice(FrontKind, line, "front", FrontKind.NONE)
    stderr = choice(StderrTarget, line, "stderr", usual_stderr(kind))
    front, chosen = None, None
    if kind is FrontKind.NONE:
        if line.has("root") or line.has("head-timeout"):
            raise UsageError("--root and --head-timeout need --front scgi or fcgi")
        _refuse_keeping(line)
        program, variables = _program(line, inherited), inherited
        chosen = _unwrap(line, program)
        if chosen is not None:
            # As the wrapper: its program has the request's variables alone, and complaints are
            # kept out of the answer.
            kind, login = FrontKind.SCGI, {}
            stderr = StderrTarget.SYSLOG if stderr is StderrTarget.SOCKET else stderr
    else:
        _check_front(line, kind)
        chosen = check_root(line.values["root"]) if line.has("root") else _program(line, inherited)
    if chosen is not None:
        waits = Waits(
            _duration(line, "head-timeout", "30s"), _duration(line, "keep-timeout", "75s")
        )
        cgi = put_behind(kind, chosen, login, waits)
        program, front, variables = cgi.program, cgi.front, cgi.environment
        directory = directory or cgi.directory
    return ServiceSettings(
        name="socket",
        address=_address(line),
        program=program,
        environment=variables,
        pool=_pool_settings(line),
        backlog=_count(line, "backlog", 1, HIGHEST_BACKLOG) or DEFAULT_BACKLOG,
        worker=_worker_kind(line),
        relay=relay_settings(line) if line.needs_relay else None,
        stderr=stderr,
        readiness=_readiness(line),
        front=front,
        confinement=Confinement(
            user=user,
            groups=None if group is None else (group,),
            directory=directory,
            umask=_umask(line),
        ),
    )


def _program(line: CommandLine, environment: dict[str, str]) -> Program:
    return resolve(
        line.values["program"], choice(ShellUse, line, "shell", ShellUse.AUTO), environment
    )


def _unwrap(line: CommandLine, program: Program) -> Program | str | None:
    """Return what a call of our SCGI wrapper runs, where a front can do it; None otherwise."""
    chosen = unwrap(program)
    level, worker = _readiness(line).level, _worker_kind(line)
    has_root = isinstance(chosen, str)
    reason = why_no_front(FrontKind.SCGI, level, worker, has_root=has_root)
    # From another directory the wrapper would look for another program, and leave that again.
    is_left = line.needs_relay or line.has("directory") or not is_built()
    return None if is_left or reason is not None else chosen


def _refuse_keeping(line: CommandLine) -> None:
    if line.has("keep-timeout"):
        raise UsageError("--keep-timeout needs --front fcgi: no other connection is kept")


def _check_front(line: CommandLine, kind: FrontKind) -> None:
    """Raise SocketdError if a front does not go together with what else was asked for."""
    if kind is not FrontKind.FCGI:
        _refuse_keeping(line)
    if line.needs_relay:
        raise UsageError(f"--front {kind.value}: -c, -r and -w would change a request's bytes")
    reason = why_no_front(
        kind, _readiness(line).level, _worker_kind(line), has_root=line.has("root")
    )
    if reason is not None:
        raise UsageError(f"--front {kind.value}: {reason}")
    if not is_built():
        raise SystemFailureError(
            f"--front {kind.value}: the native worker was not built when socketd was installed; "
            "install a C compiler and install socketd again"
        )


def _umask(line: CommandLine) -> int | None:
    text = line.values.get("umask")
    return None if text is None else parse_mode(text, "--umask")


def _settings_at(settings: ServiceSettings, listener: Listener) -> ServiceSettings:
    """Return the settings of the pool that serves one of the sockets that were passed."""
    return dataclasses.replace(settings, address=listener.address)


def _address(line: CommandLine) -> Address:
    if not line.operands:
        return InheritedAddress("")
    address = parse_operand(line.operands[0], line.values.get("bind"))
    if isinstance(address, UnixAddress) and line.has("background"):  # which leaves the directory
        address = UnixAddress(absolute(address.path))
    return address


def _readiness(line: CommandLine) -> Readiness:
    text = line.values.get("ready", ReadyLevel.FORK.value)
    is_strict = text.endswith("!")
    try:
        level = ReadyLevel(text.removesuffix("!"))
    except ValueError:
        allowed = ", ".join(level.value for level in ReadyLevel)
        raise UsageError(
            f"--ready: {text!r} is not one of {allowed}, with or without a ! behind it"
        ) from None
    if level is not ReadyLevel.FORK:
        if line.needs_relay:
            raise UsageError(f"--ready {text}: -c, -r and -w need a process that relays")
        if line.values.get("worker") == WorkerKind.PYTHON.value:
            raise UsageError(f"--ready {text}: --worker python has no template")
        if is_strict and not is_built():
            raise SystemFailureError(
                f"--ready {text}: the native template was not built when socketd was installed"
            )
    hold_seconds = _duration(line, "hold-timeout", "10s")
    renew_seconds = _duration(line, "renew-after", "1h")
    return Readiness(level, is_strict, hold_seconds, renew_seconds)


def _worker_kind(line: CommandLine) -> WorkerKind:
    kind = choice(WorkerKind, line, "worker", WorkerKind.AUTO)
    if kind is WorkerKind.AUTO and line.needs_relay:
        return WorkerKind.PYTHON
    if kind is WorkerKind.NATIVE and not is_built():
        raise SystemFailureError(
            "--worker native: it was not built when socketd was installed; install a C compiler "
            "and install socketd again, or use --worker python"
        )
    return kind


def _pool_settings(line: CommandLine) -> PoolSettings:
    idle_seconds = _duration(line, "idle-timeout", "30s")
    drain_seconds = _duration(line, "drain-timeout", "30s")
    limit_seconds = _duration(line, "time-limit", "0") if line.has("time-limit") else None
    workers = _count(line, "workers", 1, MOST_WORKERS)
    most = _count(line, "max-workers", 1, MOST_WORKERS)
    # Who has said how many are to wait gets so many; who has not leaves it to the load.
    usual_strategy = Strategy.ADAPTIVE if workers is None else Strategy.EAGER
    strategy = choice(Strategy, line, "strategy", usual_strategy)
    if line.has("fork") and line.has("loop"):
        minimum, maximum = size_pool(strategy, workers, most)
        usual = PoolSettings(minimum, maximum, strategy, idle_seconds, drain_seconds)
    else:
        count = None if line.has("loop") else 1
        usual = PoolSettings(1, 1, Strategy.FIXED, idle_seconds, drain_seconds, count)
    return dataclasses.replace(usual, limit_seconds=limit_seconds)


def _configure_log(line: CommandLine) -> None:
    usual = log.LogLevel.INFO if line.has("verbose") else log.LogLevel.WARNING
    level = choice(log.LogLevel, line, "log-level", usual)
    log.configure(_log_format(line), level, "socket", line.values.get("log-file"))


def _log_format(line: CommandLine) -> log.LogFormat:
    is_file = line.has("log-file")
    usual = log.LogFormat.CONSOLE if is_file else log.usual_format(os.environ)
    return choice(log.LogFormat, line, "log-format", usual)


def _count(line: CommandLine, name: str, lowest: int, highest: int) -> int | None:
    text = line.values.get(name)
    return None if text is None else parse_count(text, f"--{name}", lowest, highest)


def _duration(line: CommandLine, name: str, usual: str) -> float:
    return parse_duration(line.values.get(name, usual), f"--{name}")


def _exit_code(line: CommandLine, stop_signal: signal.Signals | None) -> int:
    """Return 0 for a pool that has stopped; without -W the classic code of the signal."""
    if stop_signal is None or line.has("workers"):
        return ExitCode.DONE
    if _log_format(line) is log.LogFormat.CONSOLE:
        log.say(f"\n{_CLASSIC_NAMES[stop_signal]} occured, exiting")
    return 256 - stop_signal
