"""The subcommands of `socketd` that write a configuration file.

Owns their grammar. Must not know what stands in one. Modules for one subcommand are imported only
when it is called.
"""

from collections.abc import Callable

import click

from socketd.cli.clicked import Strict
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


FILE_COMMANDS = (import_,)
