"""The values that an operator set, by key, and the problems with them.

Owns the defaults of settings that were not set, and the wording of a problem. Must not know where a
value was read, nor what it is for.
"""

from collections.abc import Callable

from socketd.dataclass import dataclass
from socketd.errors import ExitCode, SocketdError
from socketd.settings import table

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    import enum
    from typing import TypeVar

    _Member = TypeVar("_Member", bound=enum.Enum)

_LONGEST_FOUND = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with a setting; each front end words it with its own names.

    Either a value that is not valid for its kind (`allowed` describes valid ones), or a broken rule
    (`why`, in which {workers.min} stands for the name of a setting) with the `value` that breaks
    it. `cause` is an error with its own message for a command line.
    """

    key: str
    why: str = ""
    value: str = ""
    found: object = None
    allowed: str = ""
    exit_code: int = ExitCode.USAGE
    cause: SocketdError | None = None

    def in_file(self) -> str:
        """Return what is wrong with a key of a file, without its name."""
        if not self.allowed:
            return f"{self.value}{': ' if self.value else ''}{_named(self.why, str)}"
        found = ", ".join(part for part in (f"found {shown(self.found)}", self.why) if part)
        return f"{found}; allowed: {self.allowed}"

    def on_command_line(self, option_of: Callable[[str], str]) -> str:
        """Return what is wrong with an option, to be put behind its name."""
        if not self.allowed:
            return f"{' ' if self.value else ''}{self.value}: {_named(self.why, option_of)}"
        why = f": {self.why}" if self.why else ""
        return f": {shown(self.found)} is not {self.allowed}{why}"


def _named(text: str, name_of: Callable[[str], str]) -> str:
    import re  # which only a problem needs

    return re.sub(r"\{([a-z_.]+)\}", lambda reference: name_of(reference[1]), text)


def shown(found: object) -> str:
    """Return a value as it may stand in a line, cut short if it is long."""
    if isinstance(found, tuple):  # which is how a list of a file is kept
        found = list(found)
    try:
        text = str(found).lower() if isinstance(found, bool) else repr(found)
    except ValueError:  # int() and repr() refuse thousands of digits, unless they are hexadecimal
        text = "a number of thousands of digits"
    return text if len(text) <= _LONGEST_FOUND else text[: _LONGEST_FOUND - 3] + "..."


class Values:
    """Values by the keys of the table.

    `given` holds what the operator set. `wrong` holds the keys whose values are invalid, so that
    they are not reported as missing, too.
    """

    def __init__(self, given: dict[str, object], wrong: frozenset[str] = frozenset()) -> None:
        self.given = given
        self.wrong = wrong
        self._defaults = {setting.key: setting.default for setting in table.SETTINGS}

    def has(self, key: str) -> bool:
        """Tell whether the operator has set it."""
        return key in self.given

    def get(self, key: str) -> object:
        """Return a value of any kind; None if it is not set and has no default."""
        return self.given.get(key, self._defaults[key])

    def text(self, key: str) -> str | None:
        """Return a text."""
        value = self.get(key)
        assert value is None or isinstance(value, str), key
        return value

    def number(self, key: str) -> int | None:
        """Return a whole number."""
        value = self.get(key)
        assert value is None or isinstance(value, int), key
        return value

    def seconds(self, key: str) -> float:
        """Return a length of time that has a default."""
        value = self.get(key)
        assert isinstance(value, float | int), key
        return value

    def limit_seconds(self, key: str) -> float | None:
        """Return a length of time, None if there is no limit."""
        return None if self.get(key) is None else self.seconds(key)

    def is_on(self, key: str) -> bool:
        """Return a switch."""
        value = self.get(key)
        assert isinstance(value, bool), key
        return value

    def names(self, key: str) -> tuple[str, ...] | None:
        """Return a list of names."""
        value = self.get(key)
        assert value is None or isinstance(value, tuple), key
        return value

    def mapping(self, key: str) -> dict[str, object]:
        """Return a table."""
        value = self.get(key)
        assert isinstance(value, dict), key
        return value

    def member(self, key: str, kind: "type[_Member]", usual: "_Member") -> "_Member":
        """Return the member of an enumeration named by a word; `usual` if it is not set."""
        value = self.text(key)
        return usual if value is None else kind(value)
