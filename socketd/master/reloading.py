"""A reload: the services become those that are wanted now, or stay as they are.

Owns what is told of a reload, and what its errors are. Must not know when one is wanted, nor how
services are changed.
"""

from collections.abc import Callable

from socketd.config.services import ServiceSettings
from socketd.errors import ConfigurationError, SocketdError, describe_refusal
from socketd.master import garbage
from socketd.master.endpoints import Endpoints, OpenListener
from socketd.master.faults import describe
from socketd.operations import log

ReadSettings = Callable[[], list[ServiceSettings]]


def reload(
    endpoints: Endpoints,
    read: ReadSettings,
    open_listener: OpenListener,
    report_fault: Callable[[str, Exception], None],
) -> list[str]:
    """Do what the settings say that are read now; return what is wrong with them, if anything."""
    try:
        wanted = read()
        endpoints.forget_finished()
        changes = endpoints.change(wanted, open_listener)
    except ConfigurationError as error:
        return _failed(str(error), error.lines)
    except SocketdError as error:
        return _failed(str(error))
    except OSError as error:  # descriptors or memory have run out
        return _failed(describe_refusal(error.errno or 0))
    except Exception as error:  # noqa: BLE001  the services that are there need no reload
        report_fault("reload", error)
        return _failed(f"a bug in socketd: {describe(error)}")
    garbage.begin_again()
    endpoints.tell_apart()
    log.emit(
        "reloaded",
        added=len(changes.added),
        changed=changes.changed,
        removed=len(changes.removed),
        services=len(wanted),
    )
    return []


def is_as_wanted(endpoints: Endpoints, read: ReadSettings) -> bool:
    """Tell whether the services are as configured; False if that cannot be found out."""
    try:
        wanted = {settings.key: settings for settings in read()}
    except Exception:  # noqa: BLE001  the reload that follows says what is wrong
        return False
    return wanted == {key: one.settings for key, one in endpoints.staying.items()}


def _failed(reason: str, lines: list[str] | None = None) -> list[str]:
    log.emit("reload_failed", reason=reason)
    return lines or [reason]
