"""A table in the width of a terminal: what is left out, and what is shortened.

Owns the rules. Must not know what is in the table.
"""

from collections.abc import Sequence

from socketd.dataclass import dataclass
from socketd.display.cells import beginning, end, width_of

GAP = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What a table gives up where it is too wide: whole columns first, then parts of texts.

    `texts` are the columns that begin at the left, `least` the width that is left of one in
    `first_to_shrink`. One that is wider than `enough` sends no other away, and shrinks to that
    before another shrinks to less.
    """

    texts: frozenset[str]
    first_to_go: tuple[str, ...]
    first_to_shrink: tuple[str, ...]
    least: int
    enough: int


def fit(
    heads: Sequence[str], cells: Sequence[Sequence[str]], shape: Shape, width: int
) -> list[str]:
    """Return the names of the columns that stay."""
    keep = list(heads)
    for name in shape.first_to_go:
        sizes = {
            one: min(size, shape.enough) if one in shape.first_to_shrink else size
            for one, size in _widths(heads, cells, keep).items()
        }
        if name in keep and sum(sizes.values()) + GAP * (len(keep) - 1) > width:
            keep.remove(name)
    return keep


def sizes_of(
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    keep: Sequence[str],
    shape: Shape,
    width: int,
) -> dict[str, int]:
    """Return the width of each column that stays, within that of all if it has room for numbers."""
    sizes = _widths(heads, cells, keep)
    excess = sum(sizes.values()) + GAP * (len(keep) - 1) - width
    for least in (shape.enough, shape.least):
        for name in shape.first_to_shrink:
            if name in sizes and excess > 0:
                most = max(min(sizes[name], max(least, len(name))), sizes[name] - excess)
                excess -= sizes[name] - most
                sizes[name] = most
    return sizes


def padded(text: str, size: int, *, is_text: bool) -> str:
    """Return a cell in exactly the width of its column."""
    text = shortened(text, size)
    rest = " " * (size - width_of(text))
    return text + rest if is_text else rest + text


def table(
    heads: Sequence[str], cells: Sequence[Sequence[str]], shape: Shape, width: int
) -> list[str]:
    """Return the lines of a table, none longer than a width that has room for the numbers."""
    keep = fit(heads, cells, shape, width)
    sizes = sizes_of(heads, cells, keep, shape, width)
    places = [heads.index(name) for name in keep]
    return [
        (" " * GAP)
        .join(
            padded(line[place], sizes[name], is_text=name in shape.texts)
            for name, place in zip(keep, places, strict=True)
        )
        .rstrip()
        for line in (heads, *cells)
    ]


def shortened(text: str, most: int) -> str:
    """Return a text with its middle left out: the ends tell one address from another."""
    if width_of(text) <= most:
        return text
    first = (most - 1) // 2
    return f"{beginning(text, first)}…{end(text, most - 1 - first)}" if most > 0 else ""


def _widths(
    heads: Sequence[str], cells: Sequence[Sequence[str]], keep: Sequence[str]
) -> dict[str, int]:
    return {
        name: max(len(name), *(width_of(line[place]) for line in cells), 0)
        for place, name in enumerate(heads)
        if name in keep
    }
