"""`python -m socketd` is the command `socketd`."""

from socketd.cli.entry import main_socketd

main_socketd()
