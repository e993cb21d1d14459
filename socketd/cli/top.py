"""`socketd top`: what a running server does, as it happens.

Owns the way to a screen, or to a plain one. Must not know what is on it, nor how a server is asked.
"""

import gc
import os
from collections.abc import Callable

from socketd.cli import console
from socketd.dataclass import dataclass
from socketd.display.fields import rows_of
from socketd.display.inquiry import Inquiry
from socketd.display.model import Model
from socketd.display.plain import Plain
from socketd.errors import ExitCode, UsageError
from socketd.system.extras import SCREEN, why_missing

_LEAST_SECONDS = 0.1
_DUMB = ("", "dumb", "unknown")


@dataclass(frozen=True, slots=True)
class TopOptions:
    """What of a server is shown, how often it is asked, and whether nothing but text is used."""

    service: str | None = None
    interval_seconds: float = 1.0
    is_plain: bool = False


def top(path: Callable[[], str], options: TopOptions) -> int:
    """Show a server until somebody leaves; return the exit code. Raises SocketdError."""
    gc.enable()
    if options.interval_seconds < _LEAST_SECONDS:
        raise UsageError(f"--interval: no shorter time than {_LEAST_SECONDS:g} s is taken")
    is_dumb = os.environ.get("TERM", "") in _DUMB
    hint = "Ctrl-C ends."
    if not options.is_plain and not is_dumb:
        reason = why_missing(SCREEN)
        if not reason:
            return _on_screen(path, options)
        hint += f" For keys and a mouse {reason}."
    return _plain(path, options, hint, is_dumb=is_dumb)


def _on_screen(path: Callable[[], str], options: TopOptions) -> int:
    if not (os.isatty(console.STDIN_FD) and os.isatty(console.STDOUT_FD)):
        raise UsageError("top needs a terminal; for scripts there is `socketd status`")
    from socketd.display.application import Application, watch

    application = Application(Model(service=options.service))
    inquiry = Inquiry(path, options.interval_seconds, application.hear)
    inquiry.begin()
    _check(application.model)
    return ExitCode.DONE if watch(application, inquiry) else ExitCode.BUG


def _plain(path: Callable[[], str], options: TopOptions, hint: str, *, is_dumb: bool) -> int:
    if not os.isatty(console.STDOUT_FD):
        raise UsageError("top needs a terminal; for scripts there is `socketd status`")
    plain = Plain(Model(service=options.service), hint, lambda text: console.show(text, "socketd"))
    inquiry = Inquiry(path, options.interval_seconds, plain.hear)
    inquiry.begin()
    _check(plain.model)
    plain.watch(inquiry, is_dumb=is_dumb)
    return ExitCode.SYSTEM


def _check(model: Model) -> None:
    """Complain of a service that is not there. Raises UsageError."""
    if model.state is not None:
        rows_of(model.state, model.service)
