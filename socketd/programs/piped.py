"""A program on two pipes, for connections that need a relay.

Owns the start of such a program, its pipes and its end. Must not know what is relayed.
"""

import contextlib
import os
import resource
import signal
from typing import NoReturn

from socketd.errors import ProgramError, SystemFailureError, describe_errno
from socketd.programs.command import Program
from socketd.programs.exec_rules import is_about_program, start_by, status_of
from socketd.relay.relay import RelaySettings, Sink, Source
from socketd.settings.stderr import StderrTarget, open_stderr

# Python ignores these signals, a program expects their default action.
_OURS_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)


class PipedProgram:
    """A running program, in our process group, with what its relay reads and writes.

    With -w its stdin is /dev/null, with -r its output: then there is no pipe. If its stderr should
    go to the socket, it goes to the same pipe as stdout. Raises OSError if it cannot run.
    """

    def __init__(
        self,
        program: Program,
        environment: dict[str, str],
        settings: RelaySettings,
        stderr: StderrTarget,
    ) -> None:
        self.source: Source | None = None
        self.sink: Sink | None = None
        self._status: int | None = None
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        theirs = [null]
        try:
            stdin, stdout = null, null
            if not settings.write_only:
                stdin, ours = os.pipe2(os.O_CLOEXEC)
                theirs.append(stdin)
                os.set_blocking(ours, False)
                self.sink = Sink(ours, "program")
            if not settings.read_only:
                ours, stdout = os.pipe2(os.O_CLOEXEC)
                theirs.append(stdout)
                os.set_blocking(ours, False)
                self.source = Source(ours, "program")
            wiring = {0: stdin, 1: stdout}
            if stderr is StderrTarget.SOCKET:
                wiring[2] = stdout
            elif stderr is not StderrTarget.INHERIT:
                theirs.append(open_stderr(stderr))
                wiring[2] = theirs[-1]
            self.pid = _spawn(program, environment, wiring)
        except BaseException:
            self.close_stdin()
            self.close_stdout()
            raise
        finally:
            for fd in theirs:
                os.close(fd)

    def close_stdin(self) -> None:
        """Close the program's input."""
        if self.sink is not None:
            os.close(self.sink.fd)
            self.sink = None

    def close_stdout(self) -> None:
        """Stop reading its output: its next write raises SIGPIPE."""
        if self.source is not None:
            os.close(self.source.fd)
            self.source = None

    def terminate(self, number: int = signal.SIGTERM) -> None:
        """Send the program a signal unless it has ended."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self) -> int:
        """Close the pipes, wait for the program's end; return its status or minus its signal."""
        self.close_stdin()
        self.close_stdout()
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status


def start_program(
    program: Program, environment: dict[str, str], settings: RelaySettings, stderr: StderrTarget
) -> PipedProgram:
    """Start a program. Raises ProgramError or SystemFailureError if it cannot run."""
    try:
        return PipedProgram(program, environment, settings, stderr)
    except OSError as error:
        text = f"cannot run {program.path!r}: {describe_errno(error.errno or 0)}"
        if is_about_program(error.errno):
            raise ProgramError(text, status_of(error.errno)) from error
        raise SystemFailureError(text) from error


def exit_like(status: int) -> NoReturn:
    """End this process like the program: with its exit code, or by its signal."""
    if status < 0:
        number = -status
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core dump, the program's, is enough
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        status = 128 + number
    os._exit(status)


def _spawn(program: Program, environment: dict[str, str], wiring: dict[int, int]) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in wiring.items()]

    def spawn(program: Program) -> int:
        return os.posix_spawn(
            program.path,
            program.arguments,
            environment,
            file_actions=actions,
            setsigdef=_OURS_IGNORED,
            setsigmask=(),
        )

    return start_by(program, spawn)
