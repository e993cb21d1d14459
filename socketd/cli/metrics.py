"""`socketd metrics`: one HTTP request on stdin and stdout.

Owns what is said where a package is missing. Must not know HTTP.
"""

from socketd.errors import ExitCode, SystemFailureError
from socketd.system.extras import HTTP, why_missing


def metrics(control: str) -> int:
    """Answer the request; return the exit code. Raises SystemFailureError if that is impossible."""
    reason = why_missing(HTTP)
    if reason:
        raise SystemFailureError(f"cannot speak HTTP: {reason}")
    from socketd.metrics.__main__ import serve

    serve(control)
    return ExitCode.DONE
