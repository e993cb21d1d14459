"""The kinds of values of settings.

Owns, for each kind, the way from a word of a command line or a value of a file to a plain value,
and back. Must not know which settings there are.

A plain value is a str, number, bool, tuple or dict; a length of time is in seconds, a mode is a
number. Client mode pays for every import, so there are no dataclasses and no typing here, and what
only one kind needs is imported where it is used.
"""

import os

_MOST_DIGITS = 18  # int() refuses thousands, and no limit needs more


class BadValueError(Exception):
    """A value that is not valid for its kind; the text says why, or is empty.

    With `is_whole` the text is the complete message on a command line. `inner` lists the wrong
    parts of a compound value: each with its name, what was found, what is allowed, and why.
    """

    def __init__(
        self,
        why: str = "",
        inner: tuple[tuple[str, object, str, str], ...] = (),
        *,
        is_whole: bool = False,
    ) -> None:
        super().__init__(why)
        self.inner = inner
        self.is_whole = is_whole


class Kind:
    """A kind of values.

    `allowed` describes valid values in a file, `wanted` valid words on a command line. `choices`
    are all valid values, for a kind with a few. With `repeats` an option can be repeated, and its
    values are joined. A switch takes no value on a command line.
    """

    __slots__ = ("allowed", "wanted")

    choices: tuple[str, ...] = ()
    repeats = False
    is_switch = False

    def __init__(self, allowed: str, wanted: str = "") -> None:
        self.allowed = allowed
        self.wanted = wanted or allowed

    def read(self, word: str) -> object:
        """Return the value of a word on a command line. Raises BadValueError."""
        raise NotImplementedError

    def take(self, found: object) -> object:
        """Return the value that a file holds. Raises BadValueError."""
        if not isinstance(found, str):
            raise BadValueError
        return self.read(found)

    def show(self, value: object) -> object:
        """Return a value as it stands in a file."""
        return value

    def join(self, present: object, more: object) -> object:
        """Return the joined value of a repeated option; only for kinds that repeat."""
        raise NotImplementedError


def listed(found: object) -> list[object]:
    """Return a list as it is, and a text or number as a list of that one. Raises BadValueError."""
    if isinstance(found, str) and "," in found:
        raise BadValueError("several stand in [ ], each in quotes of its own")
    if isinstance(found, str) or type(found) is int:
        return [found]
    if not isinstance(found, list):
        raise BadValueError
    return found


class Text(Kind):
    """A text that is not empty."""

    __slots__ = ()

    def read(self, word: str) -> object:
        """Return the text."""
        if not word or "\0" in word:
            raise BadValueError
        return word


class Account(Kind):
    """The name or number of a user or a group."""

    __slots__ = ()

    def read(self, word: str) -> object:
        """Return the name."""
        from socketd.errors import UsageError
        from socketd.system.accounts import check_name

        try:
            return check_name(word, "")
        except UsageError as error:
            raise BadValueError(str(error).removeprefix(": "), is_whole=True) from None


class User(Account):
    """A user; on a command line a group may follow after a colon."""

    __slots__ = ()

    def read(self, word: str) -> object:
        """Return USER or USER:GROUP."""
        from socketd.errors import UsageError
        from socketd.system.accounts import parse_user

        try:
            parse_user(word, "")
        except UsageError as error:
            raise BadValueError(str(error).removeprefix(": "), is_whole=True) from None
        return word

    def take(self, found: object) -> object:
        """Return the name, without a group: that has a key of its own."""
        if not isinstance(found, str):
            raise BadValueError
        return super().read(found)


class Path(Text):
    """A path: absolute in a file, relative to the working directory on a command line."""

    __slots__ = ()

    def read(self, word: str) -> object:
        """Return the absolute path."""
        from socketd.system.directory import absolute

        super().read(word)
        return absolute(word)

    def take(self, found: object) -> object:
        """Return the path, which has to be absolute."""
        if not isinstance(found, str) or not os.path.isabs(found) or "\0" in found:
            raise BadValueError
        return found


class Group(Path):
    """The path of a control group, or "auto"."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("auto, or the absolute path of a directory")

    def read(self, word: str) -> object:
        """Return the word, or an absolute path."""
        return word if word == "auto" else super().read(word)

    def take(self, found: object) -> object:
        """Return the word or the path, which has to be absolute."""
        return found if found == "auto" else super().take(found)


class Choice(Kind):
    """One of a few words."""

    __slots__ = ("choices",)

    def __init__(self, words: str) -> None:
        self.choices = tuple(words.split())
        super().__init__("one of " + ", ".join(self.choices))

    def read(self, word: str) -> object:
        """Return the word."""
        if word not in self.choices:
            raise BadValueError
        return word


class Count(Kind):
    """A whole number within limits."""

    __slots__ = ("_highest", "_lowest")

    def __init__(self, lowest: int, highest: int, allowed: str = "") -> None:
        self._lowest, self._highest = lowest, highest
        wanted = f"a whole number from {lowest} to {highest}"
        super().__init__(allowed or wanted, wanted)

    def read(self, word: str) -> object:
        """Return the number; only the ten digits of ASCII are taken."""
        digits = word.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal()) or len(digits) > _MOST_DIGITS:
            raise BadValueError
        return self.take(int(word))

    def take(self, found: object) -> object:
        """Return the number."""
        if type(found) is not int or not self._lowest <= found <= self._highest:
            raise BadValueError
        return found


class Duration(Kind):
    """A length of time, in seconds."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(
            "a number with ms, s, m, h or d, as in '30s', from 1ms to 365d",
            "a duration; give a number and one of ms, s, m, h, d, for example 30s, from 1ms to "
            "365d",
        )

    def read(self, word: str) -> object:
        """Return the seconds."""
        from socketd.errors import UsageError
        from socketd.settings.duration import parse_duration

        try:
            return parse_duration(word, "")
        except UsageError:
            raise BadValueError from None

    def show(self, value: object) -> object:
        """Return the shortest text for it."""
        from socketd.settings.duration import format_duration

        assert isinstance(value, float | int)
        return format_duration(value)


class Octal(Kind):
    """The bits of a mode or of a umask."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("an octal number in quotes, as in '0660'", "an octal number from 0 to 777")

    def read(self, word: str) -> object:
        """Return the bits."""
        from socketd.errors import UsageError
        from socketd.settings.filemode import parse_mode

        try:
            return parse_mode(word, "")
        except UsageError:
            raise BadValueError from None

    def show(self, value: object) -> object:
        """Return four octal digits."""
        return f"{value:04o}"


class Switch(Kind):
    """True or false."""

    __slots__ = ()

    is_switch = True

    def __init__(self) -> None:
        super().__init__("true or false")

    def read(self, word: str) -> object:  # noqa: ARG002  a switch has none
        """Return true: an option that stands there is meant."""
        return True

    def take(self, found: object) -> object:
        """Return the truth value."""
        if not isinstance(found, bool):
            raise BadValueError
        return found


class Decision(Kind):
    """True or false, where a command line has to be able to say either."""

    __slots__ = ()

    choices = ("yes", "no")

    def __init__(self) -> None:
        super().__init__("true or false", "one of yes, no")

    def read(self, word: str) -> object:
        """Return the truth value."""
        if word not in self.choices:
            raise BadValueError
        return word == "yes"

    def take(self, found: object) -> object:
        """Return the truth value."""
        if not isinstance(found, bool):
            raise BadValueError
        return found


class Accounts(Account):
    """A list of group names, separated by commas on a command line."""

    __slots__ = ()

    def read(self, word: str) -> object:
        """Return the names."""
        return self.take(word.split(","))

    def take(self, found: object) -> object:
        """Return the names, none of which is empty."""
        names = listed(found)
        if not names:
            raise BadValueError
        for name in names:
            if not isinstance(name, str):
                raise BadValueError
            Account.read(self, name)
        return tuple(names)

    def show(self, value: object) -> object:
        """Return a list."""
        assert isinstance(value, tuple)
        return list(value)


class Paths(Kind):
    """A list of absolute paths, separated by commas on a command line; so none has a comma."""

    __slots__ = ()

    def read(self, word: str) -> object:
        """Return the absolute paths."""
        from socketd.system.directory import absolute

        return self.take([absolute(one) if one else "" for one in word.split(",")])

    def take(self, found: object) -> object:
        """Return the paths."""
        paths = listed(found)
        if not paths:
            raise BadValueError
        for path in paths:
            if not isinstance(path, str) or not self._is_allowed(path):
                raise BadValueError
        return tuple(paths)

    def show(self, value: object) -> object:
        """Return a list."""
        assert isinstance(value, tuple)
        return list(value)

    def _is_allowed(self, path: str) -> bool:
        return os.path.isabs(path) and "," not in path and "\0" not in path


class FileNames(Paths):
    """A list of names of files that are not hidden, separated by commas on a command line."""

    __slots__ = ()

    def read(self, word: str) -> object:
        """Return the names."""
        return self.take(word.split(","))

    def _is_allowed(self, path: str) -> bool:
        return bool(path) and not path.startswith(".") and not set(path) & set("/,\0")
