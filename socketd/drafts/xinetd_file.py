"""The grammar of xinetd.conf(5): from text to entries.

Owns how a file is read. Must not know what an attribute means, nor how files come by their text.
"""

import re
from collections.abc import Callable, Iterable

from socketd.dataclass import dataclass, field
from socketd.drafts.origin import Line

_ENTRY = re.compile(r"(defaults|service\s+(\S+?))\s*(\{?)", re.ASCII)
_ATTRIBUTE = re.compile(r"(\w+)\s*(\+=|-=|=)\s*(.*)", re.ASCII)
_INCLUDE = re.compile(r"(include|includedir)\s+(\S.*)", re.ASCII)
_SETS = frozenset(
    "only_from no_access log_on_success log_on_failure passenv env disabled enabled".split()
)
_ONE_TEXT = frozenset({"server_args"})

Read = Callable[[str, bool], Iterable[tuple[str, str]]]


@dataclass(slots=True)
class Entry:
    """A service or the defaults; each attribute with its words, and with how they were assigned."""

    name: str
    line: Line
    attributes: dict[str, list[str]] = field(default_factory=dict)
    is_added: set[str] = field(default_factory=set)
    removed: dict[str, list[str]] = field(default_factory=dict)

    def words(self, name: str) -> list[str]:
        """Return the words of an attribute, none if it is not there."""
        return self.attributes.get(name, [])

    def word(self, name: str) -> str:
        """Return the words of an attribute as one text."""
        return " ".join(self.words(name))

    def assign(self, name: str, sign: str, words: list[str]) -> None:
        """Do what a line says."""
        if sign == "=":
            self.is_added.discard(name)
            self.attributes[name] = words
            return
        if name not in self.attributes:
            self.is_added.add(name)
        if sign == "+=":
            self.attributes[name] = self.words(name) + words
        else:
            self.removed.setdefault(name, []).extend(words)
            self.attributes[name] = [one for one in self.words(name) if one not in words]


@dataclass(slots=True)
class Parser:
    """What has been read so far. `read` returns the files of an include, each with its text.

    `read` raises OSError for what cannot be read; that is a remark, as it is for xinetd.
    """

    read: Read
    defaults: Entry = field(default_factory=lambda: Entry("defaults", Line("", 0, "")))
    services: list[Entry] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _entry: Entry | None = None
    _is_open: bool = False

    def parse(self, file: str, text: str) -> None:
        """Take the entries of a text."""
        for number, raw in enumerate(text.split("\n"), 1):
            words = raw.strip()
            if words and not words.startswith("#"):
                self._take(Line(file, number, words))
        if self._entry is not None:
            self.mistakes.append(self._entry.line.complaint("the entry has no } at its end"))
            self._entry = None

    def _take(self, line: Line) -> None:
        if self._entry is None:
            self._begin(line)
        elif not self._is_open:
            self._is_open = line.text == "{"
            if not self._is_open:
                self._complain(line, "found {!r} in place of the { of an entry")
                self._entry = None
        elif line.text == "}":
            self._entry = None
        else:
            self._take_attribute(self._entry, line)

    def _begin(self, line: Line) -> None:
        include, entry = _INCLUDE.fullmatch(line.text), _ENTRY.fullmatch(line.text)
        if include is not None:
            self._include(line, include[2].strip(), is_folder=include[1] == "includedir")
        elif entry is None:
            self._complain(line, "found {!r} in place of service NAME, defaults or include")
        else:
            self._is_open = bool(entry[3])
            if entry[2] is None:
                self._entry = self.defaults
                self.defaults.line = line
            else:
                self._entry = Entry(entry[2], line)
                self.services.append(self._entry)

    def _take_attribute(self, entry: Entry, line: Line) -> None:
        found = _ATTRIBUTE.fullmatch(line.text)
        if found is None:
            self._complain(line, "found {!r} in place of ATTRIBUTE = VALUE")
            return
        name, sign, value = found[1], found[2], found[3].strip()
        words = [value] if name in _ONE_TEXT and value else value.split()
        if entry is self.defaults and name in _SETS and sign == "=":
            sign = "+="  # there each line adds to those before
        entry.assign(name, sign, words)

    def _include(self, line: Line, path: str, *, is_folder: bool) -> None:
        try:
            for file, text in self.read(path, is_folder):
                self.parse(file, text)
        except OSError as error:
            self.remarks.append(line.complaint(f"{path!r} cannot be read: {error.strerror}"))

    def _complain(self, line: Line, why: str) -> None:
        self.mistakes.append(line.complaint(why.replace("{!r}", repr(line.text[:60]))))
