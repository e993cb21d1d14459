"""`[metrics]` and `[agent]` of a file: what tells of all services, each as a service.

Owns what these services are made of. Must not know how a file is read, nor what a program does.

Each is a service like any other of the same master, so it is supervised, reloaded and replaced like
one, and it serves while all workers of others are busy. Its program runs as the server's user:
nobody else may ask the control socket.
"""

import os
import sys

from socketd.settings.admission_table import ADMISSION_SETTINGS
from socketd.settings.setting import FILE, Setting
from socketd.settings.values import Values
from socketd.system.extras import HTTP, why_missing
from socketd.system.products import HOLD_SCRIPT, is_built

METRICS, AGENT = "metrics", "agent"
INNER = (METRICS, AGENT)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LEAST_WORKERS, _MOST_WORKERS = 1, 4
_LONGEST_SECONDS = 60.0  # its program gives a client half of that


def settings_of_inner() -> list[Setting]:
    """Return the settings that an operator has there: those about clients."""
    return [setting for setting in ADMISSION_SETTINGS if FILE in setting.offers]


def why_not(name: str, control: str | None) -> str:
    """Return why there can be no such service, with the path of the control socket."""
    if control is None:
        return "needs the control socket: see the key control"
    missing = why_missing(HTTP) if name == METRICS else ""
    return f"cannot speak HTTP: {missing}" if missing else ""


def as_service(name: str, given: Values, control: str, delay_seconds: float | None) -> Values:
    """Return the values of a service, with those that were given about its clients.

    The interpreter is told to look for modules in no directory that it is started in. It stops when
    it has imported everything, so that each copy of it answers at once; where no program can be
    held it is started for each request. It tells of all others for as long as they are served.
    """
    program = os.path.join(_PACKAGE, name, "__main__.py")
    others = INNER if name == AGENT else ()
    service: dict[str, object] = {
        "program": (sys.executable, "-P", HOLD_SCRIPT, program, control, *others),
        "ready": "stop" if is_built() else "fork",
        "workers.min": _LEAST_WORKERS,
        "workers.max": _MOST_WORKERS,
        "timeouts.connection": _LONGEST_SECONDS,
        "stderr": "inherit",
        "no_new_privs": True,
    }
    if delay_seconds is not None:
        service["stop_delay"] = delay_seconds
    return Values(service | given.given, given.wrong)
