"""Whether a program that somebody names is one that requests may name.

Owns the look at the file. Must not know who names it, nor what follows. The rule that counts is
that of native/front/choice.c, which looks at each request: this one keeps the master from starting
what no request could lead to.
"""

import os
import stat

from socketd.programs.cgi import Folders

_ANY_EXECUTE = 0o111
_SET_ID = stat.S_ISUID | stat.S_ISGID


def look_at(path: str, folders: Folders) -> os.stat_result | None:
    """Return what kind of file it is, None for one that no request may name."""
    if not os.path.isabs(path) or "\0" in path:
        return None
    try:
        found = os.stat(path)
        real = os.path.realpath(path, strict=True)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & _ANY_EXECUTE:
        return None
    if found.st_mode & _SET_ID:
        return None  # nothing can be loaded into it
    places = folders.scripts if folders.root is None else (folders.root,)
    return found if any(_leads_to(place, real) for place in places) else None


def _leads_to(place: str, real: str) -> bool:
    """Tell whether a file is a place of the list, or below it."""
    at = os.path.realpath(place)
    return real == at or real.startswith(at.rstrip("/") + "/")
