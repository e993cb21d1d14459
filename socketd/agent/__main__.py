"""`__main__.py CONTROL [NAME...]`: answer one agent check on stdin and stdout.

Owns the way from a connection to an answer, and for how long a question is waited for. CONTROL is
the path of the server's control socket, each NAME a service that is none of those which balancers
send clients to. It is what `[agent]` of a configuration file runs, by socketd.hold.
"""

import contextlib
import gc
import os
import select
import sys
import time

from socketd.agent.advice import advise
from socketd.control.client import state_of
from socketd.errors import SocketdError

_STDIN_FD, _STDOUT_FD = 0, 1
# A balancer that has something to say says it with the first packet; one that has not says nothing.
_QUESTION_SECONDS = 0.2
_MOST_BYTES = 1024


def serve(control: str, others: list[str]) -> None:
    """Answer; say nothing if the server cannot be asked: then its health check has to tell."""
    gc.disable()  # a process for one question has nothing to collect
    question = _read_question().decode(errors="replace")
    try:
        state = state_of(control)
    except SocketdError as error:
        os.write(sys.stderr.fileno(), f"socketd agent: {error}\n".encode(errors="replace"))
        return
    with contextlib.suppress(OSError):  # the client has gone
        os.write(_STDOUT_FD, f"{advise(state, question, others)}\n".encode(errors="replace"))


def _read_question() -> bytes:
    """Return the first line, or what there is of it when the time is over."""
    deadline = time.monotonic() + _QUESTION_SECONDS
    said = b""
    poll = select.poll()
    poll.register(_STDIN_FD, select.POLLIN)
    while b"\n" not in said and len(said) < _MOST_BYTES:
        rest = deadline - time.monotonic()
        if rest <= 0 or not poll.poll(rest * 1000):
            break
        try:
            part = os.read(_STDIN_FD, _MOST_BYTES)
        except OSError:  # the client has gone
            break
        if not part:
            break
        said += part
    return said.partition(b"\n")[0]


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
