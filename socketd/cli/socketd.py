"""The command `socketd`: the supervisor."""

import click

from socketd import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="socketd")
def main() -> None:
    """Supervise services that put programs behind sockets."""
