"""The file of services that is meant where none is named.

Owns the places and their order. Must not know what stands in it.
"""

import os

from socketd.errors import UsageError

_HERE = "./socketd.toml"
_SYSTEM = "/etc/socketd.toml"


def usual_file(system: str = _SYSTEM) -> str:
    """Return `./socketd.toml`, else the system's. Raises UsageError if there is none.

    A file names programs, which run as whoever starts the server. So the one of this folder counts
    only if it belongs to that user, or to root: in a folder like /tmp anybody could leave one.
    """
    try:
        owner = os.stat(_HERE).st_uid
    except OSError:
        owner = None
    if owner in (0, os.geteuid()):
        return _HERE
    if os.path.exists(system):
        return system
    why = "" if owner is None else f"; {_HERE} belongs to user {owner}, so it must be named"
    raise UsageError(f"no FILE is given, and there is neither {_HERE} nor {system}{why}")
