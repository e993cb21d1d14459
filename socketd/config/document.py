"""The text of a configuration file, and the TOML in it.

Owns what is read at all, and what is told of a text that is no TOML. Must not know any key.
"""

import os
import re
import stat
import tomllib

from socketd.errors import ConfigurationError, describe_errno

_MOST_BYTES = 2**24
# A key of 10,000 parts takes tomllib seconds, in which no client is served.
_DEEP_KEY = re.compile(
    r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""", re.ASCII
)
_BYTE_ORDER_MARK = "\ufeff"  # some editors of other systems put it first
_TABLE = re.compile(r"^[ \t]*+\[", re.MULTILINE)


def read_text(path: str) -> str:
    """Return the text of a file. Raises ConfigurationError."""
    try:
        return _read(path).decode().removeprefix(_BYTE_ORDER_MARK)
    except OSError as error:
        why = describe_errno(error.errno or 0)
        raise ConfigurationError(path, [f"cannot be read: {why}"]) from error
    except ValueError as error:
        raise ConfigurationError(path, [f"is not TOML: {error}"]) from error


def decode(path: str, text: str) -> dict[str, object]:
    """Return what the text of a file says. Raises ConfigurationError if it is no TOML."""
    try:
        if _DEEP_KEY.search(text):
            raise RecursionError
        return tomllib.loads(text)
    except RecursionError as error:
        why = "lists or tables are nested too deep"
        raise ConfigurationError(path, [f"cannot be read: {why}"]) from error
    except ValueError as error:  # also for a number with more digits than int() accepts
        raise ConfigurationError(path, [f"is not TOML: {error}"]) from error


def before_tables(text: str) -> str:
    """Return the part of a text in which keys stand that are of no table."""
    table = _TABLE.search(text)
    return text if table is None else text[: table.start()]


def _read(path: str) -> bytes:
    """Return what a file holds. Raises OSError, and ConfigurationError for what is no such file.

    A reload happens in the loop of the master: nothing is read that may block or
    have no end. Opening a FIFO without a writer does not wait either.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ConfigurationError(path, ["cannot be read: it is no regular file"])
    with open(fd, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        why = f"it has more than the {_MOST_BYTES} bytes that are read"
        raise ConfigurationError(path, [f"cannot be read: {why}"])
    return content
