"""`socketd metrics`: one HTTP request on stdin and stdout.

Owns what is said where a package is missing. Must not know HTTP.
"""

from collections.abc import Callable

from socketd.errors import ExitCode, SystemFailureError
from socketd.system.extras import HTTP, why_missing


def metrics(find_control: Callable[[], str]) -> int:
    """Answer the request; return the exit code. Raises SystemFailureError if that is impossible.

    `find_control` returns the path of the control socket, or raises SocketdError: that the server
    does not run is an answer.
    """
    reason = why_missing(HTTP)
    if reason:
        raise SystemFailureError(f"cannot speak HTTP: {reason}")
    from socketd.metrics.__main__ import serve

    serve(find_control)
    return ExitCode.DONE
