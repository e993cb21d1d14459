"""`socket -s -p`: from the command line to a running pool, to an exit code.

Owns the order of the start (settings, background, listener, pid file, pool) and of the end.
"""

import os
import signal

from socketd.cli import console
from socketd.cli.background import detach
from socketd.cli.choices import choice
from socketd.cli.descriptors import settle_descriptors
from socketd.cli.given import given, refuse
from socketd.cli.operand import listening_address
from socketd.cli.options import CommandLine
from socketd.cli.passed import passed_listeners
from socketd.config.build import Builder, Surroundings
from socketd.config.fronts import behind, why_no_front
from socketd.config.services import ServiceSettings, WorkerKind
from socketd.dataclass import replace
from socketd.errors import ExitCode
from socketd.loop.listeners import Listener, listen
from socketd.operations import log
from socketd.operations.systemd import find_manager
from socketd.pool.settings import PoolSettings, Strategy
from socketd.programs.cgi import Folders, FrontKind, put_behind, unwrap
from socketd.programs.command import Program
from socketd.settings.address import InheritedAddress
from socketd.settings.readiness import AT_FORK, ReadyLevel
from socketd.settings.stderr import StderrTarget
from socketd.settings.values import Values
from socketd.system.directory import absolute
from socketd.system.products import is_built

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from socketd.control.server import ControlServer


def serve(line: CommandLine, environment: dict[str, str]) -> int:
    """Serve until told to stop; return the exit code. Raises SocketdError if it cannot begin."""
    inherited = settle_descriptors()
    console.stay_running()
    passed = passed_listeners(line, environment)
    settings = settings_of(line, environment)
    if isinstance(settings.address, InheritedAddress):
        for listener in passed:
            listener.set_options(settings.address.options)
    _configure_log(line)
    manager = find_manager(environment, os.getpid())
    pid_path, control_path = line.values.get("pidfile"), line.values.get("control")
    if pid_path is not None:
        pid_path = absolute(pid_path)
    if control_path is not None:
        control_path = absolute(control_path)
    announce = None
    if line.has("background"):
        kept = {listener.socket.fileno() for listener in passed}
        others = [fd for fd in inherited if fd not in kept]
        announce = detach(console.speak_to, log.speak_to, given=others)
    # From here on there is something to clean up: stop signals stay blocked until the loop can
    # handle them.
    signal.pthread_sigmask(signal.SIG_BLOCK, console.SIGNAL_NAMES)
    listeners = passed or [listen(settings.address, settings.backlog)]
    try:
        # Clients can connect from here on: what the master needs takes longer to import than all
        # that has been done so far.
        from socketd.master.loop import Master
        from socketd.operations.pidfile import PidFile

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
            # With -b there is no terminal whose hang-up could mean "stop", so SIGHUP reloads.
            read = (lambda: renewed) if line.has("background") else None
            master = Master(
                on_ready,
                manager,
                read,
                lambda one: listen(one.address, one.backlog),
                control=_control_at(control_path),
            )
            master.run(services)
        finally:
            if pid_file is not None:
                pid_file.remove()
    finally:
        for listener in listeners:
            listener.close()
    return _exit_code(line, master.stop_signal)


def _control_at(path: str | None) -> "ControlServer | None":
    """Return a control socket at a path, if one was asked for."""
    if path is None:
        return None
    from socketd.control.place import Place
    from socketd.control.server import ControlServer

    return ControlServer(lambda: Place(path, is_asked_for=True))


def _is_port_untold(line: CommandLine) -> bool:
    """Tell whether the system chooses the port and no log line would show it."""
    is_told = log.is_enabled("service_ready") and _log_format(line) is not log.LogFormat.JOURNAL
    return line.operands == ["0"] and (line.has("log-file") or not is_told)


def _say_port(listener: Listener) -> None:
    log.say(f"inet: listening on port {listener.port}")


def settings_of(line: CommandLine, environment: dict[str, str]) -> ServiceSettings:
    """Return the settings of the service. Raises SocketdError for the first that is wrong."""
    values = given(line)
    relay = None
    if line.needs_relay:
        from socketd.cli.client import relay_settings

        relay = relay_settings(line)
    builder = Builder(values, Surroundings(environment, relay=relay))
    settings = builder.service("socket")
    refuse(builder.problems)
    wrapped = _unwrap(settings, values)
    if wrapped is not None:
        # Like the wrapper: the program gets only the request's variables, and its error messages
        # are kept out of the answer.
        kind, chosen = wrapped
        settings = behind(settings, put_behind(kind, chosen, {}))
        if isinstance(chosen, Folders):  # each request names its program
            settings = replace(settings, readiness=AT_FORK)
        if settings.stderr is StderrTarget.SOCKET:
            settings = replace(settings, stderr=StderrTarget.SYSLOG)
    if not values.has("keep_children"):  # as in socket 1.1
        settings = replace(settings, ends_children=False)
    if not (line.has("fork") and line.has("loop")):
        settings = replace(settings, pool=_one_at_a_time(line, settings.pool))
    return replace(settings, address=listening_address(line, values))


def _unwrap(
    settings: ServiceSettings, values: Values
) -> tuple[FrontKind, Program | Folders] | None:
    """Return what our wrapper would run, if a front can do the same; None otherwise."""
    wrapped = unwrap(settings.program)
    # With another directory the wrapper would look for the program there.
    is_left = settings.relay is not None or values.has("directory") or values.has("front")
    if wrapped is None or is_left or not is_built() or settings.worker is WorkerKind.PYTHON:
        return None
    kind, chosen = wrapped
    has_root = isinstance(chosen, Folders)
    is_open = has_root and settings.readiness.is_auto
    level = ReadyLevel.FORK if is_open else settings.readiness.level
    reason = why_no_front(kind, level, settings.worker, has_root=has_root)
    return wrapped if reason is None else None


def _one_at_a_time(line: CommandLine, pool: PoolSettings) -> PoolSettings:
    count = None if line.has("loop") else 1
    return replace(pool, minimum=1, maximum=1, strategy=Strategy.FIXED, connection_limit=count)


def _settings_at(settings: ServiceSettings, listener: Listener) -> ServiceSettings:
    """Return the settings of the pool that serves one of the sockets that were passed."""
    return replace(settings, address=listener.address)


def _configure_log(line: CommandLine) -> None:
    usual = log.LogLevel.INFO if line.has("verbose") else log.LogLevel.WARNING
    level = choice(log.LogLevel, line, "log-level", usual)
    log.configure(_log_format(line), level, "socket", line.values.get("log-file"))


def _log_format(line: CommandLine) -> log.LogFormat:
    is_file = line.has("log-file")
    usual = log.LogFormat.CONSOLE if is_file else log.usual_format(os.environ)
    return choice(log.LogFormat, line, "log-format", usual)


def _exit_code(line: CommandLine, stop_signal: signal.Signals | None) -> int:
    """Return 0 for a stopped pool; without -W the code of socket 1.1 for the signal."""
    if stop_signal is None or line.has("workers"):
        return ExitCode.DONE
    if _log_format(line) is log.LogFormat.CONSOLE:
        log.say(f"\n{console.SIGNAL_NAMES[stop_signal]} occured, exiting")
    return 256 - stop_signal
