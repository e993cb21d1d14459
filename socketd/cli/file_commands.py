"""The subcommands of `socketd` that write a configuration file.

Owns their grammar. Must not know what stands in one. Modules for one subcommand are imported only
when it is called.
"""

from collections.abc import Callable
from typing import Any

import click

from socketd.cli.clicked import Strict, WholeNumber
from socketd.cli.console import say, show
from socketd.errors import ExitCode

_PROGRAM = "socketd"
_Action = Callable[[], int]
_FORCE = click.option(
    "--force", "may_replace", is_flag=True, help="Replace a file that is there already."
)


@click.command("import", cls=Strict)
@click.argument("file", type=click.Path())
@click.option(
    "--from",
    "origin",
    type=click.Choice(["xinetd", "inetd"]),
    help="What FILE is; the default is what it looks like.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="PATH",
    help="Write PATH, which must not be there; the default is to print.",
)
@_FORCE
def import_(*, file: str, origin: str | None, output: str | None, may_replace: bool) -> _Action:
    """Translate xinetd.conf or inetd.conf into a configuration file.

    FILE may also be a folder of such files. What is not the same here, and what there is not, is a
    comment in the result.
    """

    def translate() -> int:
        from socketd.cli.new_file import check_new, write_new
        from socketd.cli.translation import translated

        if output is not None:
            check_new(output, may_replace=may_replace)
        text, summary = translated(file, origin)
        if output is not None:
            write_new(output, text, may_replace=may_replace)
            summary += f"; next: {_PROGRAM} check {output}"
        elif not show(text.rstrip("\n"), _PROGRAM):
            return ExitCode.SYSTEM
        say(f"{_PROGRAM}: {summary}")
        return ExitCode.DONE

    return translate


@click.command(cls=Strict)
@click.argument("file", type=click.Path(dir_okay=False), default="./socketd.toml")
@click.option(
    "--kind",
    type=click.Choice(["program", "inetd", "cgi-folder", "cgi-program"]),
    help="What is to be served.",
)
@click.option("--name", metavar="NAME", help="Name of the service.")
@click.option(
    "--listen", metavar="ADDRESS", help="HOST:PORT, PORT, or the path of a socket with a slash."
)
@click.option("--program", metavar="COMMAND", help="The program, with its arguments.")
@click.option("--root", metavar="FOLDER", help="The folder of a kind that has one.")
@click.option(
    "--protocol", type=click.Choice(["scgi", "fcgi"]), help="How the web server passes requests."
)
@click.option("--user", metavar="USER", help="Who the program runs as; needs root to serve.")
@click.option("--group", metavar="GROUP", help="Who may connect to a socket's path.")
@click.option(
    "--max-workers",
    "most",
    type=WholeNumber(1, 32768),
    metavar="N",
    help="Most connections at once.",
)
@click.option(
    "--unit", type=click.Path(dir_okay=False), metavar="PATH", help="Write a unit of systemd, too."
)
@click.option("--yes", "takes_defaults", is_flag=True, help="Ask nothing; take the defaults.")
@_FORCE
def init(**rest: Any) -> _Action:  # noqa: ANN401  each option's own
    """Write a commented configuration file; FILE is ./socketd.toml unless given.

    What the options leave open is asked at a terminal, else it is the default. Nothing is written
    that `socketd check` would refuse, and nothing replaced without --force.
    """

    def write() -> int:
        from socketd.cli.init import InitOptions
        from socketd.cli.init import init as write_file

        text = write_file(InitOptions(**rest))
        return ExitCode.DONE if show(text, _PROGRAM) else ExitCode.SYSTEM

    return write


FILE_COMMANDS = (init, import_)
