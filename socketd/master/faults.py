"""Unexpected exceptions, as text for the log.

Owns their text. Must not know where they come from, nor what is done about them.
"""

import traceback

_LAST_FRAMES = -8
# A log line must fit into a pipe that has any room, which is at least 4096 bytes: pipe(7).
_LONGEST_REASON = 300
_LONGEST_TRACEBACK = 2000


def describe(error: BaseException) -> str:
    """Return type and text of an exception, which may be one that cannot be printed."""
    try:
        text = f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception:  # noqa: BLE001  what it says cannot be had
        text = type(error).__name__
    return _cut(text, _LONGEST_REASON)


def trace(error: BaseException) -> str:
    """Return where an exception comes from, innermost frames last."""
    try:
        lines = traceback.format_exception(error, limit=_LAST_FRAMES)
    except Exception:  # noqa: BLE001  the same; or no memory is left
        return describe(error)
    text = "".join(lines).rstrip()
    return text if len(text) <= _LONGEST_TRACEBACK else f"...{text[-_LONGEST_TRACEBACK:]}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
