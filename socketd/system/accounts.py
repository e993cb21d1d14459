"""Users and groups: their names as an operator writes them, and the look-up in the databases.

Owns what is a valid name, and the look-up. Must not know what a user is for.

An empty name is what an unset variable of a script leaves, as in `--user "$WHO"`; to take it for
"no user" would run a program as root. So an empty name is always an error. A number is a user or
group that need not be in a database. The number with all bits set is refused: setresuid(2) and
chown(2) read it as "unchanged".
"""

import contextlib
import grp
import os
import pwd

from socketd.errors import SystemFailureError, UsageError

_MOST_DIGITS = 10  # int() refuses thousands
_NONE = 2**32 - 1


def check_name(name: str, setting: str) -> str:
    """Return a name of a user or group that can be one. Raises UsageError."""
    if not name:
        raise UsageError(f"{setting}: the name is empty")
    if "\0" in name or ":" in name:
        raise UsageError(f"{setting}: {name!r} cannot be a name")
    return name


def parse_user(text: str, setting: str) -> tuple[str, str | None]:
    """Read USER or USER:GROUP. Raises UsageError if either name is empty."""
    user, colon, group = text.partition(":")
    if not user or (colon and not group):
        raise UsageError(f"{setting}: {text!r} is not USER or USER:GROUP: a name is empty")
    return check_name(user, setting), check_name(group, setting) if colon else None


def find_user(user: str) -> tuple[int, int | None]:
    """Return the numbers of a user and of its primary group, None if it is in no database.

    Raises SystemFailureError for an unknown name.
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
    """Return the number of a group. Raises SystemFailureError for an unknown name."""
    with contextlib.suppress(KeyError, ValueError):
        return grp.getgrnam(group).gr_gid
    number = _number_of(group)
    if number is None:
        raise SystemFailureError(
            f"unknown group {group!r}: give a name of the group database or a number"
        )
    return number


def groups_of(uid: int, gid: int) -> list[int]:
    """Return all groups of a user in the database, including `gid`; none for any other user."""
    try:
        return sorted(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:
        return []


def login_variables(user: str) -> dict[str, str]:
    """Return the variables that a login sets for a user in the database; none for others."""
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
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_number and int(text) < _NONE else None
