"""Questions at a terminal, each with a default.

Owns how one is asked and asked again. Must not know what the answers are for.
"""

import sys
from collections.abc import Callable

from socketd.cli.console import say, write
from socketd.errors import SocketdError, UsageError


def may_ask() -> bool:
    """Tell whether somebody is there to answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, usual: str, check: Callable[[str], str]) -> str:
    """Return an answer, or the default for none; what `check` refuses is asked again.

    Raises UsageError at the end of the input.
    """
    while True:
        write(f"{question} [{usual}]: " if usual else f"{question}: ")
        line = sys.stdin.readline()
        if not line:
            write("\n")
            raise UsageError("the input has ended before every question was answered")
        answer = line.strip() or usual
        if not answer:
            continue
        try:
            return check(answer)
        except SocketdError as error:
            say(f"  {error}")
