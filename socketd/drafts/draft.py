"""A service as it is written into a file for an operator, with what there is to say of it.

Owns the form of such a file. Must not know where a service comes from, nor what its settings do.
"""

from collections.abc import Iterable

from socketd.config.toml import toml_key, toml_value
from socketd.dataclass import dataclass, field
from socketd.errors import in_one_line

_LONGEST_LINE = 100
_LONGEST_NAME = 64
_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-")


@dataclass(slots=True)
class Draft:
    """A service: addresses, values by the keys of the table of settings, and remarks.

    One without an address cannot be served; its remarks say why. One that is off is written as
    comments, as are the examples. `about` has what stands above a key.
    """

    name: str
    listen: list[object] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    examples: dict[str, object] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)
    is_off: bool = False

    def remark(self, what: str, why: str) -> None:
        """Note what could not be taken over, and why, or what is here in its place."""
        self.remarks.append(f"{what}: {why}")

    def refuse(self, why: str) -> None:
        """Note that the service cannot be served."""
        self.listen.clear()
        self.remarks = [f"not here: {why}"]


def document(head: Iterable[str], drafts: list[Draft]) -> str:
    """Return a file with these services; their names become valid ones that differ."""
    parts = ["\n".join(_comment(head))] if head else []
    taken: set[str] = set()
    for draft in drafts:
        draft.name = _free(_valid(draft.name), taken)
        taken.add(draft.name)
        parts.append("\n".join(_lines(draft)))
    return "\n\n".join(parts) + "\n"


def _lines(draft: Draft) -> list[str]:
    if not draft.listen:
        return _comment([f"{draft.name}: {one}" for one in draft.remarks])
    place = f"service.{toml_key(draft.name)}"
    lines = [f"[{place}]", *_said(draft, "listen")]
    lines.append(
        f"listen = {toml_value(draft.listen[0] if draft.listen[1:] == [] else draft.listen)}"
    )
    table = ""
    for key in sorted({**draft.settings, **draft.examples}, key=lambda one: one.rpartition(".")[0]):
        inner, _, name = key.rpartition(".")
        if inner != table:
            lines += ["", f"[{place}.{inner}]"]
            table = inner
        is_set = key in draft.settings
        value = draft.settings[key] if is_set else draft.examples[key]
        lines += [*_said(draft, key), f"{'' if is_set else '# '}{name} = {toml_value(value)}"]
    if draft.is_off:
        lines = [f"# {line}".rstrip() for line in lines]
    return [*_comment(draft.remarks), *lines]


def _said(draft: Draft, key: str) -> list[str]:
    return _comment([draft.about[key]] if key in draft.about else [])


def _comment(texts: Iterable[str]) -> list[str]:
    """Return texts as comments, each in lines that are not too long."""
    lines = []
    for text in texts:
        row = "#"
        for word in in_one_line(text).split(" "):
            if len(row) + 1 + len(word) > _LONGEST_LINE and row != "#":
                lines.append(row)
                row = "#  "
            row += f" {word}"
        lines.append(row.rstrip())
    return lines


def _valid(name: str) -> str:
    """Return the nearest name that a service can have."""
    kept = "".join(one if one in _NAME_CHARACTERS else "-" for one in name)[:_LONGEST_NAME]
    return kept if kept[:1].isalnum() else f"s{kept}"[:_LONGEST_NAME]


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        end = f"-{number}"
        free = name[: _LONGEST_NAME - len(end)] + end
    return free
