"""`socketd run FILE` and `socketd cgi`: from settings to running services, to an exit code.

Owns the order of start and end. Must not know what a configuration file may hold, nor where
settings come from if not from a file.
"""

import contextlib
import fcntl
import functools
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable

from socketd.cli.console import STDERR_FD, stay_running
from socketd.cli.descriptors import raise_limit, settle_descriptors
from socketd.config.build import Surroundings
from socketd.config.file import OFF, ServerTable, load
from socketd.config.services import ServiceSettings
from socketd.dataclass import dataclass
from socketd.errors import ExitCode, ListenError, UsageError
from socketd.loop.listeners import Listener, adopt, listen
from socketd.master.agreement import SNAPSHOT_VARIABLE, VERSION, check_version
from socketd.master.signals import RELOAD_SIGNAL, REPLACE_SIGNAL, STOP_SIGNALS, WORKER_SIGNALS
from socketd.operations import log
from socketd.operations.systemd import PassedSocket, find_manager, take_passed_sockets
from socketd.settings.address import InheritedAddress
from socketd.system.directory import absolute

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    from socketd.control.server import ControlServer
    from socketd.master.loop import Master
    from socketd.master.reexec import Snapshot


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of the command line."""

    log_format: log.LogFormat | None
    log_level: log.LogLevel
    ready_fd: int | None
    log_file: str | None = None


def run_options(
    log_format: str | None, log_level: str, ready_fd: int | None, log_file: str | None
) -> RunOptions:
    """Return the options from the texts of a command line."""
    chosen = None if log_format is None else log.LogFormat(log_format)
    return RunOptions(chosen, log.LogLevel(log_level), ready_fd, log_file)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the settings of services come from.

    `read` is called at the start and at each reload and raises SocketdError. With the arguments
    `proof` the next version of the program checks whether it could start with them.
    """

    title: str
    read: Callable[[Surroundings], list[ServiceSettings]]
    proof: tuple[str, ...]
    file: str | None = None
    server: ServerTable | None = None


def run(path: str, options: RunOptions) -> int:
    """Serve what a file says until told to stop; return the exit code.

    Raises SocketdError if it cannot begin.
    """
    path = absolute(path)
    proof = ("check", "--estate-version", str(VERSION), path)
    server = ServerTable()
    read = functools.partial(load, path, server=server)
    return serve(Source(path, read, proof, path, server), options)


def prove(state_format: int, options: RunOptions) -> None:
    """Show that this version could go on where one with that format of its state stops.

    Raises SystemFailureError. What a master is made of is imported: an installation that is not
    whole has to fail now, not when it has taken the place of the running version.
    """
    check_version(state_format)
    begin_log(options)
    import socketd.cli.invocation
    import socketd.control.server
    import socketd.master.loop
    import socketd.master.reexec
    import socketd.master.snapshot  # noqa: F401  as serve() does


def serve(source: Source, options: RunOptions) -> int:
    """Do the same with settings from anywhere."""
    # First of all, before we open descriptors ourselves. After a re-exec the old version has
    # already written to it.
    ready_fd = None
    if options.ready_fd is not None and not os.environ.get(SNAPSHOT_VARIABLE):
        ready_fd = _take_ready_fd(options.ready_fd)
    settle_descriptors()
    stay_running()
    begin_log(options)
    snapshot, passed, soft_nofile = _inheritance()
    # These signals stay blocked until the loop can handle them. The old version has blocked all
    # others, too, and so may have our caller; they are unblocked.
    waiting = {*STOP_SIGNALS, RELOAD_SIGNAL, REPLACE_SIGNAL}
    if snapshot is not None:
        waiting |= WORKER_SIGNALS
    signal.pthread_sigmask(signal.SIG_SETMASK, waiting)
    if signal.getsignal(RELOAD_SIGNAL) is signal.SIG_IGN:
        log.emit("reload_unavailable", reason="SIGHUP was ignored at the start")
    if any(one.fd == options.ready_fd for one in passed):
        raise UsageError(f"--ready-fd: descriptor {options.ready_fd} is a socket that was passed")
    environment = dict(os.environ)
    names = Counter(one.name for one in passed)
    usual_control = functools.partial(_usual_control, source, environment)
    around = Surroundings(environment, names, soft_nofile, usual_control=usual_control)
    read = functools.partial(source.read, around)
    opening = functools.partial(_open, passed=passed)
    manager = find_manager(environment, os.getpid())

    def make_master() -> "Master":
        # Clients can connect already: all that a master needs takes longer to import than what has
        # been done so far. It is imported as a whole, since the files may be of the next version
        # when it is used.
        from socketd.cli.invocation import command
        from socketd.master import snapshot as codec
        from socketd.master.loop import Master
        from socketd.master.reexec import NextVersion, Successor

        called = command()
        next_version = NextVersion(
            proof=(*called, *source.proof, *_log_arguments(options)),
            command=(*called, *sys.argv[1:]),
            write=lambda snapshot: codec.write(snapshot, passed, soft_nofile),
            keep=tuple(one.fd for one in passed),
        )
        on_ready = functools.partial(_tell_ready, ready_fd)
        title = _title_setter(source.title)
        control = _control_of(source, environment)
        return Master(on_ready, manager, read, opening, Successor(next_version), title, control)

    if snapshot is not None:
        make_master().run([], snapshot)
        return ExitCode.DONE
    with contextlib.ExitStack() as undoing:
        services = []
        for settings in read():
            listener = opening(settings)
            undoing.callback(listener.close)
            services.append((settings, listener))
        make_master().run(services)
    return ExitCode.DONE


def _usual_control(source: Source, environment: dict[str, str]) -> str | None:
    """Return where the control socket is if the file does not say."""
    from socketd.control.place import usual_path

    file = source.file
    return None if file is None else usual_path(file, environment, os.geteuid())


def _control_of(source: Source, environment: dict[str, str]) -> "ControlServer | None":
    """Return the control socket of a server, not bound yet; None for one that nobody wants."""
    file, server = source.file, source.server
    if server is None:
        return None
    from socketd.control.place import Place
    from socketd.control.server import ControlServer

    usual = _usual_control(source, environment)

    def wanted() -> Place | None:
        if not server.is_read:
            return None
        if server.control is None:
            return Place(usual, is_asked_for=False)
        return Place(None if server.control == OFF else server.control, is_asked_for=True)

    return ControlServer(wanted, file)


def _inheritance() -> "tuple[Snapshot | None, list[PassedSocket], int | None]":
    """Return the state of the old version, or what a manager passed."""
    fd = os.environ.pop(SNAPSHOT_VARIABLE, "")
    if fd:
        from socketd.master import snapshot as codec

        snapshot, passed, soft_nofile = codec.read(codec.descriptor_of(fd))
        codec.check_descriptors(snapshot, passed)
        return snapshot, passed, soft_nofile
    return None, take_passed_sockets(os.environ, os.getpid()), raise_limit()


def _open(settings: ServiceSettings, passed: list[PassedSocket]) -> Listener:
    """Create a listener, or use one that was passed. Raises SocketdError."""
    address = settings.address
    if not isinstance(address, InheritedAddress):
        return listen(address, settings.backlog)
    fds = [one.fd for one in passed if one.name == address.name]
    if address.position >= len(fds):
        raise ListenError(f"no socket named {address.name!r} was passed")
    # A copy: the original is kept for a service that a later reload may add.
    copy = fcntl.fcntl(fds[address.position], fcntl.F_DUPFD_CLOEXEC, 3)
    return adopt(copy, address)


def _take_ready_fd(fd: int) -> int:
    """Return a private copy of the descriptor; its number then leads to /dev/null.

    It may be stdout, as with other supervisors. Raises UsageError if it is not writable.
    """
    if fd == STDERR_FD:
        raise UsageError("--ready-fd: descriptor 2 is for error messages; give another")
    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    except (OSError, OverflowError):
        raise UsageError(f"--ready-fd: descriptor {fd} is not open") from None
    if flags & os.O_ACCMODE == os.O_RDONLY:
        raise UsageError(f"--ready-fd: descriptor {fd} is not open for writing")
    if fd > STDERR_FD:
        return fd
    copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, STDERR_FD + 1)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, fd)
    os.close(null)
    return copy


def _tell_ready(fd: int | None) -> None:
    """Write a newline and close, as s6 expects."""
    if fd is not None:
        with contextlib.suppress(OSError):  # no reader; the services are up all the same
            os.write(fd, b"\n")
        os.close(fd)


def _log_arguments(options: RunOptions) -> list[str]:
    """Return the options of the log: the next version would not start without its log."""
    words = []
    if options.log_format is not None:
        words += ["--log-format", options.log_format.value]
    if options.log_file is not None:
        words += ["--log-file", options.log_file]
    return words


def begin_log(options: RunOptions) -> None:
    """Configure the log. Raises SystemFailureError if it cannot be opened."""
    log_format = options.log_format or log.usual_format(os.environ)
    log.configure(log_format, options.log_level, "socketd", options.log_file)


def _title_setter(title: str) -> Callable[[str], None]:
    """Return what sets the title that ps(1) shows."""
    from setproctitle import setproctitle

    shown = title.encode(errors="replace").decode()  # a path may hold bytes that are not valid text

    def set_title(counts: str) -> None:
        setproctitle(f"socketd: master {shown}: {counts}")

    return set_title
