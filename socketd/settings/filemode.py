"""File permissions as text.

Owns the text form. Must not know what they are for.
"""

import re

from socketd.errors import UsageError

_HIGHEST_MODE = 0o777
_OCTAL = re.compile("[0-7]{1,4}")


def parse_mode(text: str, setting: str) -> int:
    """Return the bits of a mode or a umask from octal digits. Raises UsageError."""
    if not _OCTAL.fullmatch(text) or int(text, 8) > _HIGHEST_MODE:
        raise UsageError(f"{setting}: {text!r} is not an octal number from 0 to 777")
    return int(text, 8)
