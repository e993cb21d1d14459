"""The command `socketd`: the supervisor.

Owns the grammar of its subcommands. Must not know fork, signals or sockets; what only one
subcommand needs is imported when that is called.

click reads the command line and prints nothing itself: what it would print is shown by us, who
can tell when there is no room for it. A subcommand returns what is then to be done.
"""

import contextlib
import io
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from socketd import __version__
from socketd.cli import console
from socketd.cli.report import report
from socketd.config import MOST_WORKERS
from socketd.duration import parse_duration
from socketd.errors import ExitCode, UsageError
from socketd.filemode import parse_mode
from socketd.pool import Strategy

_PROGRAM = "socketd"
_Action = Callable[[], int]
_Command = TypeVar("_Command", bound=Callable[..., _Action])


class _WholeNumber(click.IntRange):
    """A number in ASCII digits: int() would take those of any script, and 1_000."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401  click's signature
        if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
            self.fail(f"{value!r} is not a whole number", param, ctx)
        return super().convert(value, param, ctx)


def _serving(command: _Command) -> _Command:
    """Give a command that serves the options that all of them have."""
    for option in reversed(
        (
            click.option(
                "--ready-fd",
                type=_WholeNumber(0),
                metavar="N",
                help="Write a newline to descriptor N when all services are up, and close it.",
            ),
            click.option(
                "--log-format",
                type=click.Choice(["console", "json", "journal"]),
                help="How log lines look; journal is the default where stderr leads to it, else "
                "console.",
            ),
            click.option(
                "--log-file", metavar="PATH", help="Log to PATH, which may be rotated at any time."
            ),
            click.option(
                "--log-level",
                type=click.Choice(["debug", "info", "warning", "error"]),
                default="info",
                show_default=True,
                help="The least important level to log.",
            ),
        )
    ):
        command = option(command)
    return command


class _Strict(click.Command):
    """A command that takes no empty value: an unset variable of a script leaves one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        for parameter in self.get_params(ctx):
            value = ctx.params.get(parameter.name or "")
            values = value if isinstance(value, tuple) else (value,)
            if isinstance(parameter, click.Argument):
                values = values[:1]  # those of a program may be empty
            if "" in values:
                raise click.BadParameter("the value is empty", ctx, parameter)
        return rest


def _read_duration(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> float | None:
    """Return the seconds of a length of time, None if there is none."""
    if text is None:
        return None
    try:
        return parse_duration(text, "")
    except UsageError as error:
        raise click.BadParameter(str(error).removeprefix(": "), context, parameter) from error


def _read_mode(context: click.Context, parameter: click.Parameter, text: str) -> int:
    """Return the bits of octal digits."""
    try:
        return parse_mode(text, "")
    except UsageError as error:
        raise click.BadParameter(str(error).removeprefix(": "), context, parameter) from error


_FILE = click.argument("file", type=click.Path(dir_okay=False))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=_PROGRAM)
def commands() -> None:
    """Supervise services that put programs behind sockets."""


@commands.command(cls=_Strict)
@_FILE
@_serving
def run(
    file: str, ready_fd: int | None, log_format: str | None, log_file: str | None, log_level: str
) -> _Action:
    """Serve what FILE says until stopped.

    SIGHUP reads FILE again; SIGUSR2 replaces this process by the installed version of socketd.
    """
    from socketd.cli.run import run as serve
    from socketd.cli.run import run_options

    options = run_options(log_format, log_level, ready_fd, log_file)
    return lambda: serve(file, options)


@commands.command(cls=_Strict)
@click.argument("words", nargs=-1, metavar="[PROGRAM [ARGUMENT]...]")
@click.option("--scgi", multiple=True, metavar="ADDRESS", help="Take SCGI requests at ADDRESS.")
@click.option("--fcgi", multiple=True, metavar="ADDRESS", help="Take FastCGI requests at ADDRESS.")
@click.option("--root", metavar="FOLDER", help="Let each request's path name a program in FOLDER.")
@click.option(
    "-W",
    "--workers",
    type=_WholeNumber(1, MOST_WORKERS),
    default=4,
    show_default=True,
    help="Workers that wait, for each address.",
)
@click.option(
    "--max-workers",
    type=_WholeNumber(1, MOST_WORKERS),
    help="Workers that there may be, for each address; 256 by default, or -W's N.",
)
@click.option(
    "--strategy",
    type=click.Choice([one.value for one in Strategy]),
    default=Strategy.EAGER.value,
    show_default=True,
    help="How the pool grows and shrinks.",
)
@click.option(
    "--ready",
    type=click.Choice(["fork", "load", "stop", "load!", "stop!"]),
    help="How far the program is started ahead; by default as far as can be.",
)
@click.option("--user", metavar="USER", help="Run the program as USER (needs root).")
@click.option(
    "--env",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a variable; the environment of the server is not the program's.",
)
@click.option(
    "--mode",
    metavar="OCTAL",
    callback=_read_mode,
    default="0660",
    show_default=True,
    help="Of UNIX sockets.",
)
@click.option(
    "--head-timeout",
    metavar="TIME",
    callback=_read_duration,
    default="30s",
    show_default=True,
    help="How long the head of a request may take.",
)
@click.option(
    "--keep-timeout",
    metavar="TIME",
    callback=_read_duration,
    help="How long a kept FastCGI connection may wait for its next request; 75s by default.",
)
@click.option(
    "--idle-timeout",
    metavar="TIME",
    callback=_read_duration,
    default="30s",
    show_default=True,
    help="Quiet time after which the pool shrinks.",
)
@click.option(
    "--time-limit",
    metavar="TIME",
    callback=_read_duration,
    help="How long a request may take; as long as it likes by default.",
)
@click.option(
    "--drain-timeout",
    metavar="TIME",
    callback=_read_duration,
    default="30s",
    show_default=True,
    help="How long a stop waits for requests.",
)
@click.option("--estate-version", type=int, hidden=True)
@_serving
def cgi(
    *,
    estate_version: int | None,
    ready_fd: int | None,
    log_format: str | None,
    log_file: str | None,
    log_level: str,
    strategy: str,
    ready: str | None,
    head_timeout: float,
    keep_timeout: float | None,
    time_limit: float | None,
    idle_timeout: float,
    drain_timeout: float,
    **rest: Any,  # noqa: ANN401  click's values, each of the type that CgiOptions has
) -> _Action:
    """Serve a CGI program, or a folder of them, to a web server.

    ADDRESS is HOST:PORT, PORT, /PATH of a UNIX socket, or fd:NAME. Arguments of PROGRAM that begin
    with a dash stand behind "--".
    """
    from socketd.cli.cgi import CgiOptions
    from socketd.cli.cgi import cgi as serve
    from socketd.cli.run import run_options

    options = CgiOptions(
        strategy=Strategy(strategy),
        ready=ready or "",
        head_seconds=head_timeout,
        keep_seconds=keep_timeout,
        limit_seconds=time_limit,
        idle_seconds=idle_timeout,
        drain_seconds=drain_timeout,
        **rest,
    )
    serving = run_options(log_format, log_level, ready_fd, log_file)
    return lambda: serve(options, serving, estate_version)


@commands.command(cls=_Strict)
@_FILE
@click.option("--estate-version", type=int, hidden=True)
@click.option("--log-format", hidden=True)
@click.option("--log-file", hidden=True)
def check(
    file: str, estate_version: int | None, log_format: str | None, log_file: str | None
) -> _Action:
    """Say everything that is wrong with FILE; exit 0 if nothing is, else 1.

    Also tries what does no harm: programs, users, groups, directories and addresses.
    """
    from socketd.cli.check import check as check_file

    def judge() -> int:
        if estate_version is not None:
            from socketd.cli.run import begin_log, run_options

            begin_log(run_options(log_format, "info", None, log_file))
        check_file(file, estate_version)
        return ExitCode.DONE

    return lambda: min(report(_PROGRAM, judge), 1)


@commands.command(cls=_Strict)
@_FILE
def show(file: str) -> _Action:
    """Print every setting of FILE with its default filled in."""
    from socketd.cli.check import show as show_file

    def display() -> int:
        return _show(show_file(file))

    return lambda: min(report(_PROGRAM, display), 1)


def main() -> None:
    """Run the command and end the process with a documented exit code."""
    sys.exit(report(_PROGRAM, lambda: _run(sys.argv[1:])))


def _run(arguments: list[str]) -> int:
    console.open_standard_descriptors()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            action = commands.main(arguments, prog_name=_PROGRAM, standalone_mode=False)
        except click.ClickException as error:
            complaint = io.StringIO()
            error.show(complaint)
            console.say(complaint.getvalue().rstrip("\n"))
            return ExitCode.USAGE
    if callable(action):
        code: int = action()
        return code
    return _show(printed.getvalue().rstrip("\n"))


def _show(text: str) -> int:
    return ExitCode.DONE if console.show(text, _PROGRAM) else ExitCode.SYSTEM
