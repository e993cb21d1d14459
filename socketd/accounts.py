"""Users and groups: their names as people write them, and what the databases say of them.

Owns what may be a name, and the look-up. Must not know what becomes of a user.

An empty name is what an unset variable of a script leaves, `--user "$WHO"`, and to take it for
"nobody has been named" would run a program as root. So it is a mistake wherever a name stands. A
number stands for a user or group that no database has to know; the number of all ones does not:
to setresuid(2) and chown(2) that means "as it is".
"""

import contextlib
import grp
import os
import pwd
import re

from socketd.errors import SystemFailureError, UsageError

_NUMBER = re.compile(r"[0-9]{1,10}")  # int() takes digits of any script, and refuses thousands
_NONE = 2**32 - 1


def check_name(name: str, setting: str) -> str:
    """Return a name of a user or group that can be one. Raises UsageError."""
    if not name:
        raise UsageError(f"{setting}: the name is empty")
    if "\0" in name or ":" in name:
        raise UsageError(f"{setting}: {name!r} cannot be a name")
    return name


def parse_user(text: str, setting: str) -> tuple[str, str | None]:
    """Read USER or USER:GROUP. Raises UsageError for an empty name, whichever it is."""
    user, colon, group = text.partition(":")
    if not user or (colon and not group):
        raise UsageError(f"{setting}: {text!r} is not USER or USER:GROUP: a name is empty")
    return check_name(user, setting), check_name(group, setting) if colon else None


def find_user(user: str) -> tuple[int, int | None]:
    """Return the numbers of a user and of its own group, None if no database knows that.

    Raises SystemFailureError for a name that there is not.
    """
    with contextlib.suppress(KeyError, ValueError):  # ValueError: it holds a NUL
        entry = pwd.getpwnam(user)
        return entry.pw_uid, entry.pw_gid
    number = _number_of(user)
    if number is None:
        raise SystemFailureError(
            f"unknown user {user!r}: give a name of the user database or a number"
        )
    try:
        entry = pwd.getpwuid(number)
    except KeyError:
        return number, None
    return entry.pw_uid, entry.pw_gid


def find_group(group: str) -> int:
    """Return the number of a group. Raises SystemFailureError for a name that there is not."""
    with contextlib.suppress(KeyError, ValueError):
        return grp.getgrnam(group).gr_gid
    number = _number_of(group)
    if number is None:
        raise SystemFailureError(
            f"unknown group {group!r}: give a name of the group database or a number"
        )
    return number


def groups_of(uid: int, gid: int) -> list[int]:
    """Return all groups of a user of the database, `gid` among them; none for any other."""
    try:
        return sorted(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:
        return []


def login_variables(user: str) -> dict[str, str]:
    """Return what a login sets for a user of the database; nothing for any other."""
    with contextlib.suppress(KeyError, ValueError):
        entry = pwd.getpwnam(user)
        return {
            "HOME": entry.pw_dir,
            "LOGNAME": entry.pw_name,
            "SHELL": entry.pw_shell,
            "USER": entry.pw_name,
        }
    return {}


def _number_of(text: str) -> int | None:
    if not _NUMBER.fullmatch(text) or int(text) >= _NONE:
        return None
    return int(text)
