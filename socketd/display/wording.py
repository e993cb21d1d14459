"""The words for what a server is and does: its headline, ages, and what is not as it ought to be.

Owns them. Must not know where they are shown.
"""

from collections.abc import Sequence

from socketd.control.document import State
from socketd.display.fields import Row

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def headline(state: State) -> str:
    """Return what a server is, in a line."""
    server = state.server
    words = [f"socketd {server.version}", f"pid {server.pid}", server.state]
    words.append(f"up {age(server.answered_at - server.started_at)}")
    if server.file is not None:
        words.append(server.file)
    return ", ".join(words)


def notes_on_server(state: State) -> list[str]:
    """Return a line for all of the server itself that is not as it ought to be."""
    notes = []
    for what, attempts in (("reload", state.server.reloads), ("re-exec", state.server.reexecs)):
        if attempts.last is not None and attempts.last.errors:
            since = age(state.server.answered_at - attempts.last.finished_at)
            notes += [f"the last {what} has failed, {since} ago: {e}" for e in attempts.last.errors]
    if state.server.faults:
        notes.append(f"{state.server.faults} faults of socketd: see its log, and report them")
    return notes


def notes_on(rows: Sequence[Row]) -> list[str]:
    """Return a line for all of some listeners that is not as it ought to be."""
    notes = []
    for service, one in rows:
        place = f"{service.name} {one.address}"
        if one.back_off is not None:
            pause = f"no worker is started for {one.back_off.seconds:g} s"
            notes.append(f"{place}: {pause}: {one.back_off.reason}")
        if one.level.reason:
            notes.append(f"{place}: {one.level.had} and not {one.level.wanted}: {one.level.reason}")
        if one.departs_in_seconds is not None:
            seconds = f"{one.departs_in_seconds:.1f} s"
            notes.append(f"{place}: it leaves, and takes connections for {seconds} more")
        if one.state == "drained":
            notes.append(f"{place}: it takes no connection until it is resumed, or reloaded")
        elif one.workers.is_set:
            sizes = f"min {one.workers.min} and max {one.workers.max}"
            notes.append(f"{place}: {sizes} until the next reload")
    return notes


def age(seconds: float) -> str:
    """Return a time in the two units that matter most."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
