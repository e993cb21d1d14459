"""`__main__.py CONTROL`: answer one HTTP request on stdin and stdout with what a server says.

Owns the way from a connection to an answer. CONTROL is the path of the server's control socket. It
is what `[metrics]` of a configuration file runs, by socketd.hold: all that it imports is there
before its connection is.
"""

import functools
import gc
import os
import sys
from collections.abc import Callable

from socketd.control.client import Connection
from socketd.metrics.answers import answer
from socketd.metrics.conversation import converse

_STDIN_FD, _STDOUT_FD = 0, 1


def serve(find_control: Callable[[], str]) -> None:
    """Answer the request."""
    gc.disable()  # a process for one request has nothing to collect
    converse(
        _STDIN_FD,
        _STDOUT_FD,
        functools.partial(answer, connect=functools.partial(_connect, find_control), tell=_tell),
    )


def _connect(find_control: Callable[[], str]) -> Connection:
    return Connection(find_control())


def _tell(problem: str) -> None:
    os.write(sys.stderr.fileno(), f"socketd metrics: {problem}\n".encode(errors="replace"))


if __name__ == "__main__":
    serve(lambda: sys.argv[1])
