"""The kinds of values that only settings of a listener have.

Owns the way to one plain value and back for each; see kinds.py, whose rule on imports holds here
too.
"""

from socketd.settings.kinds import BadValueError, Duration, Kind

_LONGEST_INTERFACE = 15  # linux/if.h: IFNAMSIZ, with the final NUL
_LONGEST_SECONDS = 32767  # linux/tcp.h: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL
_MOST_QUESTIONS = 127  # MAX_TCP_KEEPCNT
_MOST_PARTS = 3
_MOST_DIGITS = 9  # int() refuses thousands


class Interface(Kind):
    """The name of a network interface, which need not be there yet."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(
            f"the name of a network interface: at most {_LONGEST_INTERFACE} bytes, no / : or blank"
        )

    def read(self, word: str) -> object:
        """Return the name, if the kernel would take it for one."""
        is_short = 0 < len(word.encode(errors="surrogateescape")) <= _LONGEST_INTERFACE
        has_others = any(one in "/:\0" or one.isspace() for one in word)
        if not is_short or has_others or word in (".", ".."):
            raise BadValueError
        return word


class Keepalive(Kind):
    """Seconds of silence, seconds between two questions, and how many questions."""

    __slots__ = ()

    def __init__(self) -> None:
        text = (
            "up to three values, as in '60s,10s,6': the silence and the pause, whole seconds from "
            f"1s to {_LONGEST_SECONDS}s, and a number from 1 to {_MOST_QUESTIONS}"
        )
        super().__init__(text)

    def read(self, word: str) -> object:
        """Return the three values, None for one that is left out."""
        parts = word.split(",")
        if len(parts) > _MOST_PARTS:
            raise BadValueError
        pause = self._seconds(parts[1]) if len(parts) > 1 else None
        count = self._count(parts[2]) if len(parts) == _MOST_PARTS else None
        return self._seconds(parts[0]), pause, count

    def show(self, value: object) -> object:
        """Return the text."""
        assert isinstance(value, tuple)
        silence, pause, count = value
        seconds = (Duration().show(one) for one in (silence, pause) if one is not None)
        return ",".join(map(str, (*seconds, *(() if count is None else (count,)))))

    def _seconds(self, text: str) -> int:
        seconds = Duration().read(text)
        assert isinstance(seconds, float)
        if seconds != int(seconds) or seconds > _LONGEST_SECONDS:
            raise BadValueError
        return int(seconds)

    def _count(self, text: str) -> int:
        is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
        if not is_number or not 1 <= int(text) <= _MOST_QUESTIONS:
            raise BadValueError
        return int(text)
