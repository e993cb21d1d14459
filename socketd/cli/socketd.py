"""The command `socketd`: the supervisor.

Owns the grammar of its subcommands. Must not know fork, signals or sockets. Modules for one
subcommand are imported only when it is called.

click parses the command line and prints nothing itself: we print its output, so that a failed write
is noticed. A subcommand returns the function to run.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from socketd import __version__
from socketd.cli import clicked_completion, console
from socketd.cli.clicked import Strict, WholeNumber, taken, with_settings
from socketd.cli.control_commands import CONTROL_COMMANDS
from socketd.cli.file_commands import FILE_COMMANDS
from socketd.cli.plan_command import plan
from socketd.cli.report import report
from socketd.cli.usual_file import usual_file
from socketd.errors import ExitCode
from socketd.settings.setting import CGI, EXPLAIN
from socketd.settings.table import LEVELS

_PROGRAM = "socketd"
_MOST_CONNECTIONS = 1000
_Action = Callable[[], int]
_Command = TypeVar("_Command", bound=Callable[..., _Action])


def _serving(command: _Command) -> _Command:
    """Add the options that all serving commands have."""
    for option in reversed(
        (
            click.option(
                "--ready-fd",
                type=WholeNumber(0),
                metavar="N",
                help="Write a newline to descriptor N when all services are up, and close it.",
            ),
            click.option(
                "--log-format",
                type=click.Choice(["console", "json", "journal"]),
                help="Format of log lines; the default is journal if stderr leads to it, otherwise "
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


def _print_completion(ctx: click.Context, _: click.Parameter, shell: str | None) -> None:
    if shell is not None:
        click.echo(clicked_completion.script(ctx.command, shell, _PROGRAM))
        ctx.exit()


_FILE = click.argument("file", type=click.Path(dir_okay=False), required=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=_PROGRAM)
@click.option(
    "--completion",
    type=click.Choice(clicked_completion.SHELLS),
    is_eager=True,
    expose_value=False,
    callback=_print_completion,
    help="Print completions for a shell.",
)
def commands() -> None:
    """Supervise services that put programs behind sockets."""


@commands.command(cls=Strict)
@_FILE
@_serving
def run(
    file: str | None,
    ready_fd: int | None,
    log_format: str | None,
    log_file: str | None,
    log_level: str,
) -> _Action:
    """Serve what FILE says until stopped; without FILE ./socketd.toml or /etc/socketd.toml.

    SIGHUP reloads FILE; SIGUSR2 replaces the running version of socketd by the installed one.
    """
    from socketd.cli.run import run as serve
    from socketd.cli.run import run_options

    options = run_options(log_format, log_level, ready_fd, log_file)
    return lambda: serve(file or usual_file(), options)


@commands.command(cls=Strict)
@click.argument(
    "words",
    nargs=-1,
    metavar="[PROGRAM [ARGUMENT]...]",
    shell_complete=clicked_completion.complete_command,
)
@click.option("--scgi", multiple=True, metavar="ADDRESS", help="Take SCGI requests at ADDRESS.")
@click.option("--fcgi", multiple=True, metavar="ADDRESS", help="Take FastCGI requests at ADDRESS.")
@with_settings(CGI)
@click.option(
    "--control",
    type=click.Path(dir_okay=False),
    metavar="PATH",
    help="Say at a socket at PATH what the server does, and take orders there.",
)
@click.option("--estate-version", "state_format", type=int, hidden=True)
@_serving
def cgi(
    *,
    control: str | None,
    state_format: int | None,
    ready_fd: int | None,
    log_format: str | None,
    log_file: str | None,
    log_level: str,
    scgi: tuple[str, ...],
    fcgi: tuple[str, ...],
    words: tuple[str, ...],
    **rest: Any,  # noqa: ANN401  values of settings, each of its kind
) -> _Action:
    """Serve a CGI program, or a folder of them, to a web server.

    ADDRESS is HOST:PORT, PORT, the path of a UNIX socket with a slash in it, @NAME, or fd:NAME. Put
    "--" before PROGRAM if its arguments begin with a dash.
    """
    from socketd.cli.cgi import CgiOptions
    from socketd.cli.cgi import cgi as serve
    from socketd.cli.run import run_options

    options = CgiOptions(scgi, fcgi, words, taken(rest, CGI), control)
    serving = run_options(log_format, log_level, ready_fd, log_file)
    return lambda: serve(options, serving, state_format)


@commands.command(cls=Strict)
@_FILE
@click.option("--estate-version", "state_format", type=int, hidden=True)
@click.option("--log-format", hidden=True)
@click.option("--log-file", hidden=True)
@click.option(
    "--explain",
    "is_explained",
    is_flag=True,
    help="Start the programs, and print at which level of --ready each is, and why not at another.",
)
def check(
    *,
    file: str | None,
    state_format: int | None,
    log_format: str | None,
    log_file: str | None,
    is_explained: bool,
) -> _Action:
    """Print every mistake in FILE; exit with 0 if there is none, otherwise with 1.

    Also looks up programs, users, groups, directories, hosts and ports.
    """
    from socketd.cli.check import check as check_file

    def judge() -> int:
        if state_format is not None:
            from socketd.cli.run import prove, run_options

            prove(state_format, run_options(log_format, "info", None, log_file))
        path = file or usual_file()
        services = check_file(path)
        if is_explained:
            from socketd.cli.explain import explain_services

            explain_services(path, services, lambda line: _show(line))
        return ExitCode.DONE

    return lambda: min(report(_PROGRAM, judge), 1)


@commands.command(cls=Strict)
@_FILE
def show(file: str | None) -> _Action:
    """Print every setting of FILE with its default filled in."""
    from socketd.cli.check import show as show_file

    def display() -> int:
        return _show(show_file(file or usual_file()))

    return lambda: min(report(_PROGRAM, display), 1)


@commands.command(cls=Strict, context_settings={"allow_interspersed_args": False})
@click.argument(
    "words",
    nargs=-1,
    required=True,
    metavar="COMMAND [ARGUMENT]...",
    shell_complete=clicked_completion.complete_command,
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    type=click.Choice(LEVELS.split()),
    help="Look at this level; can be repeated. The default is all but stop.",
)
@click.option("--send", metavar="TEXT", help="Send TEXT and a newline in each connection.")
@click.option(
    "--input",
    "input_path",
    metavar="FILE",
    help="Send what is in FILE; the default is to send nothing.",
)
@click.option(
    "--connections",
    type=WholeNumber(1, _MOST_CONNECTIONS),
    metavar="N",
    default=3,
    show_default=True,
    help="Make N connections at each level; times are their medians.",
)
@click.option("--no-connection", is_flag=True, help="Make none: only see whether it is held.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
@with_settings(EXPLAIN)
def explain(
    *,
    words: tuple[str, ...],
    levels: tuple[str, ...],
    send: str | None,
    input_path: str | None,
    connections: int,
    no_connection: bool,
    is_json: bool,
    **rest: Any,  # noqa: ANN401  values of settings, each of its kind
) -> _Action:
    """Start COMMAND at each level of --ready, and print what comes of it.

    Which levels it can be held at, or why not; what its copies share; the time to the first byte
    and the memory of a copy, measured here; the level that auto takes.

    A single word is taken as `socket -p` takes it, by a shell if it needs one.

    COMMAND really runs: up to the place where it is held, and then to its end in each connection
    that is made to it. Whatever it leaves behind is killed.
    """
    from socketd.cli.explain import ExplainOptions, explained

    values = taken(rest, EXPLAIN)
    count = 0 if no_connection else connections
    options = ExplainOptions(words, levels, send, input_path, count, is_json, values)
    return lambda: _show(explained(options))


for command in (*FILE_COMMANDS, *CONTROL_COMMANDS, plan):
    commands.add_command(command)


def main() -> None:
    """Run the command and end the process with a documented exit code."""
    console.end(report(_PROGRAM, lambda: _run(sys.argv[1:])))


def _run(arguments: list[str]) -> int:
    console.open_standard_descriptors()
    answer = clicked_completion.answer(commands, os.environ, _PROGRAM)
    if answer is not None:
        return _show(answer)
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
