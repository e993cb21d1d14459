"""How a CGI script in Python is started ahead, by what its file says.

Owns reading a script's first line. Must not know templates.

Such a script is prepared up to its first line and stopped there; see socketd/hold.py.
"""

import os
import re

from socketd.errors import ProgramError
from socketd.programs.cgi import SAFE_PATH
from socketd.programs.command import Program, locate
from socketd.system.products import HOLD_SCRIPT

_LONGEST_FIRST_LINE = 256  # the kernel reads no further, binfmt_script
# After resolving symbolic links, since it may be called `python`; hold.py needs 3.7.
_PYTHON = re.compile(r"python3(?:\.(?:[7-9]|\d\d+))?")


def prepared(program: Program) -> Program | None:
    """Return what runs a script in Python up to its first line, None for any other program."""
    interpreter = _interpreter_of(program.path)
    if interpreter is None:
        return None
    words = (*interpreter, HOLD_SCRIPT, "--cgi", program.path, *program.arguments[1:])
    try:
        found = locate(words, {"PATH": SAFE_PATH})
    except ProgramError:  # each request will get the error
        return None
    is_python = _PYTHON.fullmatch(os.path.basename(os.path.realpath(found.path)))
    return found if is_python else None


def _interpreter_of(path: str) -> tuple[str, ...] | None:
    """Return the words that run a script, None if it is none; execve(2), env(1)."""
    try:
        with open(path, "rb") as file:
            first = file.readline(_LONGEST_FIRST_LINE)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:]).split()
    if words and os.path.basename(words[0]) == "env":
        words = words[2:] if words[1:2] == ["-S"] else words[1:]
    return tuple(words) or None
