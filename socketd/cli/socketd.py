"""The command `socketd`: the supervisor.

Owns the grammar of its subcommands. Must not know fork, signals or sockets; what only one
subcommand needs is imported when that is called.
"""

import sys
from collections.abc import Callable

import click

from socketd import __version__
from socketd.errors import ConfigurationError, ExitCode, SocketdError

_FILE = click.argument("file", type=click.Path(dir_okay=False))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="socketd")
def main() -> None:
    """Supervise services that put programs behind sockets."""


@main.command()
@_FILE
@click.option(
    "--ready-fd",
    type=click.IntRange(0),
    metavar="N",
    help="Write a newline to descriptor N when all services are up, and close it.",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json", "journal"]),
    help="How log lines look; journal is the default where stderr leads to it, else console.",
)
@click.option("--log-file", metavar="PATH", help="Log to PATH, which may be rotated at any time.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The least important level to log.",
)
def run(
    file: str, ready_fd: int | None, log_format: str | None, log_file: str | None, log_level: str
) -> None:
    """Serve what FILE says until stopped.

    SIGHUP reads FILE again; SIGUSR2 replaces this process by the installed version of socketd.
    """
    from socketd.cli.run import RunOptions
    from socketd.cli.run import run as serve
    from socketd.log import LogFormat, LogLevel

    chosen = None if log_format is None else LogFormat(log_format)
    options = RunOptions(chosen, LogLevel(log_level), ready_fd, log_file)
    sys.exit(_report(lambda: serve(file, options)))


@main.command()
@_FILE
@click.option("--estate-version", type=int, hidden=True)
def check(file: str, estate_version: int | None) -> None:
    """Say everything that is wrong with FILE; exit 0 if nothing is, else 1.

    Also tries what does no harm: programs, users, groups, directories and addresses.
    """
    from socketd.cli.check import check as check_file

    def judge() -> int:
        check_file(file, estate_version)
        return ExitCode.DONE

    sys.exit(min(_report(judge), 1))


@main.command()
@_FILE
def show(file: str) -> None:
    """Print every setting of FILE with its default filled in."""
    from socketd.cli.check import show as show_file

    def display() -> int:
        click.echo(show_file(file))
        return ExitCode.DONE

    sys.exit(min(_report(display), 1))


def _report(action: Callable[[], int]) -> int:
    """Do it; print what is wrong, if anything is, and return the exit code."""
    try:
        return action()
    except ConfigurationError as error:
        for line in error.lines:
            click.echo(f"socketd: {line}", err=True)
        return error.exit_code
    except SocketdError as error:
        click.echo(f"socketd: {error}", err=True)
        return error.exit_code
