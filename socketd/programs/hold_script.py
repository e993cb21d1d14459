"""The command that prepares a script, `python3 -m socketd.hold`: run by our own file.

Owns how such a command is recognized, and which files it reads. Must not know templates. Every
start of a server imports it.
"""

import os
import sys

from socketd.programs.command import Program
from socketd.system.products import HOLD_SCRIPT

_MODULE = ("-m", "socketd.hold")


def with_own_hold(program: Program) -> Program:
    """Return what runs `python3 -m socketd.hold` by our own file, any other program as it is.

    The Python that is found on PATH need not have this package, and mostly has not where it is
    installed in an environment of its own. In that environment the module is ours already.
    """
    words = program.arguments
    place = words.index("-m") if "-m" in words else len(words)
    is_hold = words[place : place + 2] == _MODULE and all(one[:1] == "-" for one in words[1:place])
    if not is_hold or os.path.dirname(program.path) == os.path.join(sys.prefix, "bin"):
        return program
    return Program(program.path, (*words[:place], HOLD_SCRIPT, *words[place + 2 :]))


def read_by_hold(program: Program) -> tuple[str, ...]:
    """Return the files that a program reads as its user to prepare a script, none for others."""
    words = program.arguments
    if HOLD_SCRIPT not in words:
        return ()
    rest = [word for word in words[words.index(HOLD_SCRIPT) + 1 :] if word != "--cgi"]
    return (HOLD_SCRIPT, *(one for one in rest[:1] if os.path.isabs(one)))
