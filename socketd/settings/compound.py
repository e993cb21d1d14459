"""The kinds of values that have parts: commands, variables, limits, ports.

Owns the way to one plain value and back for each; see kinds.py, whose rule on imports holds here
too.
"""

import os

from socketd.settings.kinds import BadValueError, Kind, listed

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
_MOST_DIGITS = 18  # int() refuses thousands, and no limit of ours needs more


class RequestVariables(Kind):
    """Names that a request may set, with commas between them on a command line."""

    __slots__ = ()

    def read(self, word: str) -> object:
        """Return the names."""
        return self.take(word.split(","))

    def take(self, found: object) -> object:
        """Return the names, of which there is at least one."""
        from socketd.errors import UsageError
        from socketd.settings.request_variables import parse_request_variables

        names = [name for name in listed(found) if isinstance(name, str) and "," not in name]
        if not names or names != listed(found):
            raise BadValueError
        try:
            return parse_request_variables(",".join(names), "")
        except UsageError as error:
            raise BadValueError(str(error).removeprefix(": "), is_whole=True) from None

    def show(self, value: object) -> object:
        """Return a list."""
        assert isinstance(value, tuple)
        return list(value)


class PeerRules(Kind):
    """Rules about clients, with commas between them on a command line."""

    __slots__ = ()

    repeats = True

    def __init__(self, last: str = "all") -> None:
        super().__init__(
            "a list of addresses, prefixes as in '192.0.2.0/24', 'uid:USER', 'gid:GROUP' and "
            f"'{last}'"
        )

    def read(self, word: str) -> object:
        """Return the rules."""
        return self.take(word.split(","))

    def take(self, found: object) -> object:
        """Return the rules as they stand there."""
        from socketd.errors import UsageError

        rules = listed(found)
        for rule in rules:
            if not isinstance(rule, str):
                raise BadValueError
            try:
                self._check(rule)
            except UsageError as error:
                raise BadValueError(str(error)) from None
        return tuple(rules)

    def show(self, value: object) -> object:
        """Return a list."""
        assert isinstance(value, tuple)
        return list(value)

    def join(self, present: object, more: object) -> object:
        """Return both."""
        assert isinstance(present, tuple)
        assert isinstance(more, tuple)
        return present + more

    def _check(self, rule: str) -> None:
        from socketd.settings.peerrule import parse_rule

        parse_rule(rule)


class Proxies(PeerRules):
    """Proxies, in the form of rules."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("unix")

    def _check(self, rule: str) -> None:
        from socketd.settings.peerrule import parse_proxy

        parse_proxy(rule)


class Line(Kind):
    """A short text that is sent as it is; on a command line with the escapes of C."""

    __slots__ = ()

    _MOST_BYTES = 512

    def __init__(self) -> None:
        super().__init__(
            f"a text of 1 to {self._MOST_BYTES} bytes",
            f"a text of 1 to {self._MOST_BYTES} bytes, in which \\r, \\n, \\t and \\\\ stand for "
            "what they do in C",
        )

    def read(self, word: str) -> object:
        """Return the text with its escapes resolved."""
        parts = []
        rest = iter(word)
        for one in rest:
            text = one if one != "\\" else _ESCAPES.get(next(rest, ""))
            if text is None:
                raise BadValueError
            parts.append(text)
        return self.take("".join(parts))

    def take(self, found: object) -> object:
        """Return the text."""
        if not isinstance(found, str):
            raise BadValueError
        if not 1 <= len(found.encode(errors="surrogateescape")) <= self._MOST_BYTES:
            raise BadValueError
        return found


class Frequency(Kind):
    """How often something may happen: so many a second, a minute, an hour or a day, and at once.

    The value is the number, the unit, and how many at once.
    """

    __slots__ = ()

    _UNITS = "smhd"
    _MOST = 100_000
    _MOST_AT_ONCE = 10_000

    def __init__(self) -> None:
        super().__init__(
            f"a number from 1 to {self._MOST} with /s, /m, /h or /d, as in '100/s', and behind a "
            f"colon how many at once, up to {self._MOST_AT_ONCE}, as in '100/s:200'"
        )

    def read(self, word: str) -> object:
        """Return the parts; at once there may be as many as in the time, unless it says."""
        rate, sign, burst = word.partition(":")
        number, unit = rate[:-2], rate[-1:]
        if rate[-2:-1] != "/" or unit not in self._UNITS:
            raise BadValueError
        count = self._number(number, self._MOST)
        at_once = self._number(burst, self._MOST_AT_ONCE) if sign else count
        return count, unit, min(at_once, self._MOST_AT_ONCE)

    def show(self, value: object) -> object:
        """Return the text, with how many at once where that says more."""
        assert isinstance(value, tuple)
        count, unit, at_once = value
        usual = min(count, self._MOST_AT_ONCE)
        return f"{count}/{unit}" if at_once == usual else f"{count}/{unit}:{at_once}"

    def _number(self, text: str, most: int) -> int:
        if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
            raise BadValueError
        if not 1 <= int(text) <= most:
            raise BadValueError
        return int(text)


class Patience(Kind):
    """A refusal, at once or after a time: `refuse`, or a word with a duration, as in `wait:5s`.

    The value is in seconds, 0 for at once. With `may_be_endless` the word alone is for never.
    """

    __slots__ = ("_may_be_endless", "_word")

    _NEVER = float("inf")

    def __init__(self, word: str, *, may_be_endless: bool = False) -> None:
        self._word = word
        self._may_be_endless = may_be_endless
        alone = f"{word}, " if may_be_endless else ""
        super().__init__(f"{alone}refuse, or {word}: and a duration, as in '{word}:5s'")

    def read(self, word: str) -> object:
        """Return the seconds."""
        from socketd.errors import UsageError
        from socketd.settings.duration import parse_duration

        if word == "refuse":
            return 0.0
        if word == self._word and self._may_be_endless:
            return self._NEVER
        name, sign, duration = word.partition(":")
        if name != self._word or not sign:
            raise BadValueError
        try:
            return parse_duration(duration, "")
        except UsageError:
            raise BadValueError from None

    def show(self, value: object) -> object:
        """Return the text."""
        from socketd.settings.duration import format_duration

        assert isinstance(value, float | int)
        if value == self._NEVER:
            return self._word
        return f"{self._word}:{format_duration(value)}" if value else "refuse"


class Command(Kind):
    """A command as for a shell, or in a file a list of a program and its arguments."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("a command as for a shell, or a list of a program and its arguments")

    def read(self, word: str) -> object:
        """Return the command; an empty one is found out when its program is looked for."""
        if "\0" in word:
            raise BadValueError
        return word

    def take(self, found: object) -> object:
        """Return the command, a tuple where it is a list."""
        if not isinstance(found, list):
            return super().take(found or None)
        if not found or not found[0]:
            raise BadValueError("it names no program")
        for word in found:
            if not isinstance(word, str) or "\0" in word:
                raise BadValueError
        return tuple(found)

    def show(self, value: object) -> object:
        """Return the text or the list."""
        return list(value) if isinstance(value, tuple) else value


class Ports(Kind):
    """Numbers of ports, with commas between them on a command line; "none" there is no port."""

    __slots__ = ()

    _HIGHEST = 65535

    def __init__(self) -> None:
        numbers = f"numbers from 1 to {self._HIGHEST}"
        super().__init__(f"a list of {numbers}", f"{numbers} with commas between them, or none")

    def read(self, word: str) -> object:
        """Return the ports; only the ten digits of ASCII are taken."""
        texts = [] if word == "none" else word.split(",")
        for text in texts:
            if not (text.isascii() and text.isdecimal()) or len(text) > _MOST_DIGITS:
                raise BadValueError
        return self.take([int(text) for text in texts])

    def take(self, found: object) -> object:
        """Return the ports, of which there may be none."""
        ports = listed(found)
        for port in ports:
            if type(port) is not int or not 1 <= port <= self._HIGHEST:
                raise BadValueError
        return tuple(ports)

    def show(self, value: object) -> object:
        """Return a list."""
        assert isinstance(value, tuple)
        return list(value)


class Variables(Kind):
    """Names and texts of environment variables."""

    __slots__ = ()

    repeats = True

    def __init__(self) -> None:
        super().__init__("a table of names and texts", "NAME=VALUE or NAME")

    def read(self, word: str) -> object:
        """Return one variable of NAME=VALUE, or of NAME, which stands in our environment.

        A value on the command line is visible to every user.
        """
        name, sign, value = word.partition("=")
        if not sign:
            if name not in os.environ:
                raise BadValueError("it is given no value, and the environment has none")
            value = os.environ[name]
        return self.take({name: value})

    def take(self, found: object) -> object:
        """Return the variables."""
        if not isinstance(found, dict):
            raise BadValueError
        allowed = "names without = and texts without NUL"
        inner = tuple(
            (name, name, allowed, "")
            for name, value in found.items()
            if not name or "=" in name or not isinstance(value, str) or "\0" in name + value
        )
        if inner:
            raise BadValueError(inner=inner)
        return dict(found)

    def join(self, present: object, more: object) -> object:
        """Return both, the later one of a name."""
        assert isinstance(present, dict)
        assert isinstance(more, dict)
        return {**present, **more}


class Limits(Kind):
    """Resource limits: each name with (soft, hard), None for no limit."""

    __slots__ = ()

    repeats = True
    _HIGHEST = 2**63 - 1

    def __init__(self) -> None:
        super().__init__(
            "a table of resources of setrlimit(2) in lower case; each a number, 'unlimited', or a "
            "list of both limits, the soft one first",
            "NAME=LIMIT or NAME=SOFT:HARD",
        )

    def read(self, word: str) -> object:
        """Return one limit of NAME=LIMIT or NAME=SOFT:HARD."""
        name, sign, text = word.partition("=")
        if not sign:
            raise BadValueError
        numbers = []
        for part in text.split(":"):
            digits = part.isascii() and part.isdecimal() and len(part) <= _MOST_DIGITS
            numbers.append(int(part) if digits else part)
        return self.take({name: numbers if len(numbers) > 1 else numbers[0]})

    def take(self, found: object) -> object:
        """Return the limits."""
        from socketd.settings.confinement import RESOURCES

        if not isinstance(found, dict):
            raise BadValueError
        limits, inner = {}, []
        for name, value in found.items():
            allowed = self._why_not(value)
            if name not in RESOURCES:
                inner.append((name, name, f"one of {', '.join(sorted(RESOURCES))}", ""))
                continue
            if allowed:
                inner.append((name, value, allowed, ""))
                continue
            both = value if isinstance(value, list) else [value, value]
            limits[name] = tuple(None if one == "unlimited" else one for one in both)
        if inner:
            raise BadValueError(inner=tuple(inner))
        return limits

    def _why_not(self, value: object) -> str:
        """Return what would be allowed in place of a value, nothing if it is a limit."""
        both = value if isinstance(value, list) else [value, value]
        numbers = [self._number(one) for one in both]
        if len(numbers) != 2 or min(numbers) < 0:
            return "a number, 'unlimited', or a list of two of these"
        return "" if numbers[0] <= numbers[1] else "a soft limit within the hard one"

    def _number(self, found: object) -> int:
        """Return a limit as a number, which is beyond all others for none; -1 if it is no limit."""
        if found == "unlimited":
            return self._HIGHEST + 1
        if isinstance(found, bool) or not isinstance(found, int):
            return -1
        return found if 0 <= found <= self._HIGHEST else -1

    def show(self, value: object) -> object:
        """Return a table with a number for each name, or a list where the two limits differ."""
        assert isinstance(value, dict)
        shown: dict[str, object] = {}
        for name, both in value.items():
            soft, hard = ("unlimited" if one is None else one for one in both)
            shown[name] = soft if soft == hard else [soft, hard]
        return shown

    def join(self, present: object, more: object) -> object:
        """Return both, the later one of a name."""
        assert isinstance(present, dict)
        assert isinstance(more, dict)
        return {**present, **more}
