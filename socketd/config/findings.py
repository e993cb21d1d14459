"""The mistakes in a configuration file, and their wording.

Owns the wording of mistakes. Must not know what a file may hold.
"""

from socketd.dataclass import dataclass, field
from socketd.settings.values import Problem

_MOST_KEYS = 20  # to be read in one line
_MANUAL = "docs/configuration.md"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file."""

    key: str
    problem: str

    def __str__(self) -> str:
        """Return `key: problem`, or the problem of the file as a whole."""
        return f"{self.key}: {self.problem}" if self.key else self.problem


@dataclass(slots=True)
class Findings:
    """The mistakes so far."""

    mistakes: list[Mistake] = field(default_factory=list)

    def add(self, key: str, problem: str) -> None:
        """Record a mistake."""
        self.mistakes.append(Mistake(key, problem))

    def add_value(self, key: str, found: object, allowed: str, why: str = "") -> None:
        """Record a value that is not allowed."""
        self.add(key, Problem("", why, found=found, allowed=allowed).in_file())

    def add_unknown(self, key: str, name: str, known: list[str], home: str = "") -> None:
        """Record an unknown key, with the most similar known one, or where it is known."""
        import difflib  # which only a mistake needs

        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
        if home:
            hint = f"it is a key of {home}"
        elif not near and len(known) > _MOST_KEYS:
            hint = f"{_MANUAL} has the keys of a service"
        self.add(key, f"unknown key; {hint}")


def quoted(name: str) -> str:
    """Return a name as it stands in a key."""
    is_plain = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return name if is_plain else repr(name)
