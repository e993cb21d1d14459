"""Options whose value is one of a few words.

Owns the way from a word to a member of an enumeration, and the error for unknown words.
"""

from socketd.cli.options import CommandLine
from socketd.errors import UsageError

TYPE_CHECKING = False  # typing's, without typing
if TYPE_CHECKING:
    import enum
    from typing import TypeVar

    _Choice = TypeVar("_Choice", bound=enum.Enum)


def choice(kind: "type[_Choice]", line: CommandLine, name: str, usual: "_Choice") -> "_Choice":
    """Return the member that an option names. Raises UsageError if it names none."""
    text = line.values.get(name)
    if text is None:
        return usual
    for member in kind:
        if member.value == text:
            return member
    allowed = ", ".join(str(member.value) for member in kind)
    raise UsageError(f"--{name}: {text!r} is not one of {allowed}")
