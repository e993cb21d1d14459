"""The names of variables that a CGI request may set, as people write them.

Owns the text form. Must not know what becomes of a variable; native/front/names.h has the same.
"""

import re

from socketd.errors import UsageError

_REQUEST_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*\*?", re.ASCII)
_LONGEST_LIST = 4000


def parse_request_variables(text: str, setting: str) -> tuple[str, ...]:
    """Read the names that a request may set, separated by commas. Raises UsageError."""
    names = tuple(text.split(","))
    for name in names:
        check_request_variable(name, setting)
    if len(text) > _LONGEST_LIST:
        raise UsageError(f"{setting}: the list is longer than {_LONGEST_LIST} bytes")
    return names


def check_request_variable(name: str, setting: str) -> str:
    """Return a name that a request may set. Raises UsageError. See native/front/names.h."""
    if not _REQUEST_VARIABLE.fullmatch(name):
        raise UsageError(
            f"{setting}: {name!r} is not the name of a variable, a prefix of names followed by *, "
            "or standard"
        )
    return name
