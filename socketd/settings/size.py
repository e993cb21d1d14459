"""Sizes of settings: numbers of bytes.

Owns their form as text. Must not know what is that large.
"""

from socketd.settings.kinds import BadValueError, Kind

_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MOST_BYTES = 2**63 - 1
_MOST_DIGITS = 18  # int() refuses thousands, and no limit needs more


class Size(Kind):
    """A number of bytes, with K, M or G for 1024 of them and so on."""

    __slots__ = ("_least", "_most")

    def __init__(self, least: int = 1, most: int | None = None) -> None:
        example = "100M" if most is None else "8K"
        bounds = "" if most is None else f", from {least} to {most}"
        super().__init__(
            f"a number of bytes, or a text of one with K, M or G, as in '{example}'{bounds}",
            f"a number of bytes{bounds}, which may end with K, M or G, for example {example}",
        )
        self._least = least
        self._most = _MOST_BYTES if most is None else most

    def read(self, word: str) -> object:
        """Return the bytes."""
        digits, unit = (word[:-1], word[-1:]) if word[-1:] in ("K", "M", "G") else (word, "")
        if not (digits.isascii() and digits.isdecimal()) or len(digits) > _MOST_DIGITS:
            raise BadValueError
        return self._checked(int(digits) * _FACTORS[unit])

    def take(self, found: object) -> object:
        """Return the bytes."""
        if type(found) is int:
            return self._checked(found)
        return super().take(found)

    def show(self, value: object) -> object:
        """Return the shortest form."""
        assert isinstance(value, int)
        for unit in "GMK":
            if value % _FACTORS[unit] == 0:
                return f"{value // _FACTORS[unit]}{unit}"
        return value

    def _checked(self, count: int) -> int:
        if not self._least <= count <= self._most:
            raise BadValueError
        return count
